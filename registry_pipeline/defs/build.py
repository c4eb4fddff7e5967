"""Assembly: one function makes the Definitions; tests pass their own parts.

Holds which parts there are. Keeps out the parts. May import the other files of this room, `catalog` and Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from dagster import Definitions, define_asset_job, in_process_executor

from registry_pipeline.config import find_repository
from registry_pipeline.defs.active_assets import REPORT_ASSET, pointers_asset, report_asset, utc_now
from registry_pipeline.defs.assets import SEALED_IO, registry_asset
from registry_pipeline.defs.checks import registry_checks
from registry_pipeline.defs.cli_builds_sensor import CHECK_JOB, checked_again, command_line_sensor
from registry_pipeline.defs.daily import history_defs
from registry_pipeline.defs.io_manager import SealedIOManager
from registry_pipeline.defs.jobs import activate_pointers_job, daily_rebuild_schedule, rebuild_job
from registry_pipeline.defs.resources import GovernedRepository
from registry_pipeline.defs.sensors import activation_sensor
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.catalog import BUILD_ORDER


def build_defs(repo_root: Path | None = None, clock: Callable[[], datetime] | None = None) -> Definitions:
    """Return everything that Dagster shows and runs.

    `repo_root` is the governed repository; without it the environment or the working directory tells, when a step
    runs. `clock` tells the moment of activation. A folder's stamp is its run's start and needs no clock.
    drift_signals_daily is there if the repository, as it is found now, says when its history begins.

    The executor is in process: a process for each step spends seconds of imports where the step takes less.
    """
    governed = GovernedRepository(root="" if repo_root is None else str(repo_root))
    start = _history_start(repo_root)
    checks = define_asset_job(
        CHECK_JOB,
        selection=checked_again(with_days=start is not None),
        description="Check the latest materialization of every registry anew. It builds nothing and moves no pointer.",
    )
    present = Definitions(
        assets=[*(registry_asset(spec) for spec in BUILD_ORDER), pointers_asset(clock or utc_now), report_asset()],
        asset_checks=[registry_checks(spec) for spec in (*BUILD_ORDER, registries_validation.spec_of(REPORT_ASSET))],
        jobs=[rebuild_job, activate_pointers_job, checks],
        schedules=[daily_rebuild_schedule],
        sensors=[activation_sensor, command_line_sensor],
        resources={"governed": governed, SEALED_IO: SealedIOManager(governed=governed)},
        executor=in_process_executor,
    )
    return Definitions.merge(present, history_defs(start))


def _history_start(repo_root: Path | None) -> date | None:
    """Return the first day of history as the repository says now; None where it says none, or cannot be read.

    Loading asks the toml file only. What is wrong with the repository is told by whatever uses it, not by a code
    location that does not load.
    """
    try:
        return find_repository(repo_root).config.history_start
    except RegistryPipelineError:
        return None
