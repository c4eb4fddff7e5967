"""Assembly of the Dagster definitions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from dagster import Definitions, define_asset_job, in_process_executor

from registry_pipeline.config import find_repository
from registry_pipeline.defs.active_assets import REPORT_ASSET, make_pointers_asset, make_report_asset, utc_now
from registry_pipeline.defs.assets import SEALED_IO, make_registry_asset, make_registry_checks
from registry_pipeline.defs.cli_builds_sensor import CHECK_JOB, command_line_sensor, select_checks
from registry_pipeline.defs.daily import make_history_defs
from registry_pipeline.defs.resources import RepositoryResource, SealedIOManager
from registry_pipeline.defs.sensors import activate_pointers_job, activation_sensor, daily_rebuild_schedule, rebuild_job
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.registries.catalog import BUILD_ORDER, spec_of


def build_defs(repo_root: Path | None = None, clock: Callable[[], datetime] | None = None) -> Definitions:
    """Return the assets, checks, jobs, schedule, sensors and resources of one repository.

    The history of days is included if the repository has a `history_start`.

    Args:
        repo_root: the repository; by default it is found from the environment or the working directory of a step.
        clock: returns the moment of an activation; tests pass their own.
    """
    repository = RepositoryResource(root="" if repo_root is None else str(repo_root))
    start = _read_history_start(repo_root)
    checks = define_asset_job(
        CHECK_JOB,
        selection=select_checks(with_days=start is not None),
        description="Check the latest materialization of every registry again. Builds nothing and moves no pointer.",
    )
    definitions = Definitions(
        assets=[
            *(make_registry_asset(spec) for spec in BUILD_ORDER),
            make_pointers_asset(clock or utc_now),
            make_report_asset(),
        ],
        asset_checks=[make_registry_checks(spec) for spec in (*BUILD_ORDER, spec_of(REPORT_ASSET))],
        jobs=[rebuild_job, activate_pointers_job, checks],
        schedules=[daily_rebuild_schedule],
        sensors=[activation_sensor, command_line_sensor],
        resources={"repository": repository, SEALED_IO: SealedIOManager(repository=repository)},
        # A process per step would spend seconds on imports where the step takes less.
        executor=in_process_executor,
    )
    return Definitions.merge(definitions, make_history_defs(start))


def _read_history_start(repo_root: Path | None) -> date | None:
    # A repository that cannot be read is reported by the steps that use it; the code location must still load.
    try:
        return find_repository(repo_root).config.history_start
    except RegistryPipelineError:
        return None
