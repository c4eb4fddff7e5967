"""The two jobs: rebuild every registry; put checked builds in force and render the report.

Holds selections. Keeps out what the selected assets do. May import `catalog`, the other files of this room and Dagster.
"""

from __future__ import annotations

from typing import Final

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from registry_pipeline.defs.active_assets import ACTIVATE_JOB, POINTERS_ASSET, REPORT_ASSET
from registry_pipeline.registries.catalog import BUILD_ORDER

REBUILD_JOB: Final = "rebuild_job"
OVERDUE_TAG: Final = "dagster/max_runtime"
OVERDUE_SECONDS: Final = 900
"""When a run that moves pointers counts as failed: one whose process died with the daemon would be waited for."""
rebuild_job = define_asset_job(
    REBUILD_JOB,
    selection=AssetSelection.assets(*(spec.registry_id for spec in BUILD_ORDER)),
    description="Build, seal and check every registry. It moves no pointer: where all checks pass, the sensor does.",
)
activate_pointers_job = define_asset_job(
    ACTIVATE_JOB,
    selection=AssetSelection.assets(POINTERS_ASSET, REPORT_ASSET),
    description=(
        "Judge the named runs anew, put them in force in one move, then render the report. The activation sensor "
        "launches it and names the runs; launched by hand it moves nothing and renders what is in force."
    ),
    tags={OVERDUE_TAG: str(OVERDUE_SECONDS)},
)
daily_rebuild_schedule = ScheduleDefinition(
    name="daily_rebuild_schedule",
    job=rebuild_job,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Builds, seals and checks every registry at 03:00 UTC. Off until somebody switches it on.",
)
