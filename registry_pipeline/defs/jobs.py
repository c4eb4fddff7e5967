"""The jobs: rebuild every registry; activate checked builds and render the report."""

from __future__ import annotations

from typing import Final

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from registry_pipeline.defs.active_assets import ACTIVATE_JOB, POINTERS_ASSET, REPORT_ASSET
from registry_pipeline.registries.catalog import BUILD_ORDER

REBUILD_JOB: Final = "rebuild_job"
OVERDUE_TAG: Final = "dagster/max_runtime"
OVERDUE_SECONDS: Final = 900
"""Time after which an activation run counts as failed; one whose process died would be waited for without end."""
rebuild_job = define_asset_job(
    REBUILD_JOB,
    selection=AssetSelection.assets(*(spec.registry_id for spec in BUILD_ORDER)),
    description="Build, seal and check every registry. Moves no pointer; the sensor does if all checks pass.",
)
activate_pointers_job = define_asset_job(
    ACTIVATE_JOB,
    selection=AssetSelection.assets(POINTERS_ASSET, REPORT_ASSET),
    description=(
        "Validate the named runs again, activate them in one move, then render the report. The activation sensor "
        "launches it with the runs. Launched by hand, it moves nothing and renders the report on the active runs."
    ),
    tags={OVERDUE_TAG: str(OVERDUE_SECONDS)},
)
daily_rebuild_schedule = ScheduleDefinition(
    name="daily_rebuild_schedule",
    job=rebuild_job,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Builds, seals and checks every registry at 03:00 UTC. Off until you switch it on.",
)
