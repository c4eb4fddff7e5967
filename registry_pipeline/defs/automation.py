"""What starts rebuilds (`rebuild` of the table `[dagster]`): a schedule, or automation conditions of the assets."""

from typing import Any, Final

from dagster import AssetSelection, AutomationCondition, AutomationConditionSensorDefinition, DefaultSensorStatus

from registry_pipeline.config import Rebuild
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.sources import make_source_key
from registry_pipeline.registries.catalog import Catalog
from registry_pipeline.registries.sources import list_sources

REBUILD_CRON: Final = "0 3 * * *"
_OBSERVATION_CRON: Final = "*/5 * * * *"


def make_source_condition(rebuild: Rebuild) -> AutomationCondition[Any] | None:
    """Return the condition on which a source is observed, at 03:00 UTC or every five minutes; None for a schedule."""
    if rebuild == "schedule":
        return None
    return AutomationCondition.on_cron(REBUILD_CRON if rebuild == "on_cron" else _OBSERVATION_CRON)


def _select_sources(catalog: Catalog, location: Location) -> AssetSelection:
    return AssetSelection.assets(*(make_source_key(name, location) for name in list_sources(catalog)))


def make_registry_condition(
    catalog: Catalog, location: Location, rebuild: Rebuild, registry_id: str
) -> AutomationCondition[Any] | None:
    """Return the condition on which a registry is built, at 03:00 UTC or after a change; None for a schedule.

    The ages in op_status_table change without any source, so it is built every night also if only changes count.
    """
    if rebuild == "on_cron":
        # A source whose content is the same does not count as updated, so the condition must not wait for it.
        return AutomationCondition.on_cron(REBUILD_CRON).ignore(_select_sources(catalog, location))
    if rebuild == "eager":
        # A capture without its source is never materialized. What is built from it must not wait for it.
        eager = AutomationCondition.eager().without(~AutomationCondition.any_deps_missing())
        return eager | _make_nightly_condition() if registry_id == "op_status_table" else eager
    return None


def _make_nightly_condition() -> AutomationCondition[Any]:
    # A build since the night has counted the ages already. While one is in progress, the condition waits.
    built = AutomationCondition.newly_requested() | AutomationCondition.newly_updated()
    busy = AutomationCondition.in_progress() | AutomationCondition.any_deps_in_progress()
    return AutomationCondition.cron_tick_passed(REBUILD_CRON).since(built) & ~busy


def make_active_check_condition(rebuild: Rebuild) -> AutomationCondition[Any] | None:
    """Return the condition of the check `active`, which never holds; None for a schedule."""
    # Of an asset with a check in its own step, Dagster 1.13.27 starts that check alone, unless another check has a
    # condition: then it starts all that have none. The activation sensor writes `active`, so no build must wait for it.
    never = AutomationCondition.missing() & ~AutomationCondition.missing()
    return None if rebuild == "schedule" else never


def make_automation_sensor(catalog: Catalog, location: Location, *, on: bool) -> AutomationConditionSensorDefinition:
    """Return the sensor that evaluates these conditions; `on` is its default status."""
    return AutomationConditionSensorDefinition(
        "automation_sensor",
        target=AssetSelection.all() | _select_sources(catalog, location),
        default_status=DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description="Starts rebuilds as `rebuild` of the table `[dagster]` says. Activation is left to its own sensor.",
    )
