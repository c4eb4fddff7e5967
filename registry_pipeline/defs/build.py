"""Assembly of the Dagster definitions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dagster import Definitions

from registry_pipeline.config import Config, Repository, find_location, find_repository, find_root
from registry_pipeline.defs.active_assets import REPORT_ASSET, make_pointers_asset, make_report_asset, utc_now
from registry_pipeline.defs.active_checks import make_active_checks, make_pointer_checks
from registry_pipeline.defs.assets import make_registry_asset, make_registry_checks
from registry_pipeline.defs.automation import (
    make_active_check_condition,
    make_automation_sensor,
    make_registry_condition,
    make_source_condition,
)
from registry_pipeline.defs.cli_builds_sensor import make_check_job, make_command_line_sensor
from registry_pipeline.defs.collections import make_collection_defs
from registry_pipeline.defs.daily import make_history_defs
from registry_pipeline.defs.executors import make_executor
from registry_pipeline.defs.failure_sensors import failed_check_sensor, failed_run_sensor
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.resources import make_resources
from registry_pipeline.defs.sensors import (
    make_activate_job,
    make_activation_sensor,
    make_check_pointers_job,
    make_daily_schedule,
    make_hourly_schedule,
    make_rebuild_job,
)
from registry_pipeline.defs.shards import make_shard_defs
from registry_pipeline.defs.sources import make_external_assets, make_source_assets
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline.registries.catalog import Catalog, catalog_of


def build_defs(
    repo_root: Path | None = None, clock: Callable[[], datetime] | None = None, *, automated: bool = False
) -> Definitions:
    """Return the assets, checks, jobs, schedules, sensors and resources of one repository.

    Args:
        repo_root: the repository; by default it is found once, now, from the environment or the working directory.
        clock: returns the moment of an activation; tests pass their own.
        automated: whether the sensors and the hourly schedule are on by default.
    """
    root = _find_root(repo_root)
    repository = _load_repository(root)
    config, catalog = Config() if repository is None else repository.config, catalog_of(repository)
    location = Location() if isinstance(root, RegistryPipelineError) else Location(find_location(root) or "", root)
    now = clock or utc_now
    by_condition = config.dagster.rebuild != "schedule"
    rebuild_job, check_job = make_rebuild_job(catalog, location), make_check_job(catalog, location)
    activate_job, check_pointers_job = make_activate_job(location), make_check_pointers_job(catalog, location)
    registry_assets = [
        make_registry_asset(
            spec,
            location,
            config.dagster,
            make_registry_condition(catalog, location, config.dagster.rebuild, spec.registry_id),
        )
        for spec in catalog.build_order
    ]
    definitions = Definitions(
        assets=[
            make_source_assets(catalog, location, make_source_condition(config.dagster.rebuild)),
            *make_external_assets(catalog, location),
            *registry_assets,
            make_pointers_asset(catalog, location, now),
            make_report_asset(catalog, location),
        ],
        asset_checks=[
            *(make_registry_checks(spec, location) for spec in (*catalog.build_order, catalog.spec_of(REPORT_ASSET))),
            make_active_checks(catalog, location, make_active_check_condition(config.dagster.rebuild)),
            make_pointer_checks(location, now),
        ],
        jobs=[rebuild_job, activate_job, check_pointers_job, check_job],
        # A schedule beside the conditions would build everything twice.
        schedules=[
            *([] if by_condition else [make_daily_schedule(rebuild_job)]),
            make_hourly_schedule(check_pointers_job, on=automated),
        ],
        sensors=[
            make_activation_sensor(activate_job, check_pointers_job, on=automated),
            make_command_line_sensor(check_job, on=automated),
            *([make_automation_sensor(catalog, location, on=automated)] if by_condition else []),
            failed_run_sensor,
            failed_check_sensor,
        ],
        resources=make_resources(root, location),
        metadata={code: "; ".join(messages) for code, messages in _group_messages(catalog).items()},
        executor=make_executor(config.dagster),
    )
    history = make_history_defs(catalog.spec_of(DAILY), location, config.history_start)
    return Definitions.merge(
        definitions,
        history,
        make_collection_defs(catalog.collections, location, on=automated),
        make_shard_defs(repository, location, now, on=automated),
    )


def _group_messages(catalog: Catalog) -> dict[str, list[str]]:
    # A misdeclared registry has no asset: the page of the code location says why.
    messages: dict[str, list[str]] = {}
    for problem in catalog.findings:
        messages.setdefault(problem.code, []).append(f"{problem.message} -> {problem.hint}")
    return messages


def _find_root(named: Path | None) -> Path | RegistryPipelineError:
    # A missing repository is reported by the steps that need it; the code location must still load.
    try:
        return find_root(named)
    except RegistryPipelineError as error:
        return NotFoundError(error.message, f"{error.advice}, then reload the code location")


def _load_repository(root: Path | RegistryPipelineError) -> Repository | None:
    if isinstance(root, RegistryPipelineError):
        return None
    # Likewise an invalid toml: the code location loads with the defaults, and each step says what is wrong.
    try:
        return find_repository(root)
    except RegistryPipelineError:
        return None
