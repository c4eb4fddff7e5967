"""The blocking checks of an asset whose partitions are sealed runs: days of history, or members of a collection."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetKey,
    DagsterInstance,
    ResourceParam,
    multi_asset_check,
)

from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import assets, event_log, metadata
from registry_pipeline.defs.event_log import Materialization
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.sealed_run import Verdict

# How many partitions are checked if none is new.
_LAST: Final = 7


def make_partition_checks(spec: RegistrySpec, location: Location, noun: str) -> AssetChecksDefinition:
    """Return the blocking checks of a partitioned asset; `noun` is what one of its partitions is called.

    They check the asset, not a partition: each has one result for all that were checked, which fails if any fails.
    """
    note = (
        f" For each {noun} of the run. Executed alone: for the {noun}s that are new since these checks last passed "
        f"alone, or the last {_LAST} {noun}s if none is new."
    )

    key = location.key(spec.registry_id)

    @multi_asset_check(
        name=f"check_{spec.registry_id}", specs=assets.make_check_specs(spec, location, note=note), can_subset=True
    )
    def check_partitions(
        context: AssetCheckExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            instance = repository.instance
            own = event_log.read_run_materializations(instance, key, context.run.run_id)
            checked_to = None if own else event_log.read_checked_to(instance, key, spec.check_names)
            selected = own or _find_partitions(instance, key, checked_to or 0)
            verdicts = assets.validate_again(context, repository, selected)
        for name in assets.list_selected_checks(context, spec):
            yield _make_result(name, noun, verdicts, checked_to) if verdicts else assets.make_no_run_result(name)

    return check_partitions


def _find_partitions(instance: DagsterInstance, key: AssetKey, checked_to: int) -> Sequence[Materialization]:
    """Return those that were materialized after a position in the event log; if there are none, the last ones."""
    new = event_log.read_new_partitions(instance, key, checked_to)
    return new or event_log.read_last_partitions(instance, key, _LAST)


def _make_result(
    name: str, noun: str, verdicts: Sequence[tuple[Materialization, Verdict]], checked_to: int | None
) -> AssetCheckResult:
    """Return the result of a check; `checked_to` is the position that was reached before, None for those of the run."""
    failed = [(partition, verdict) for partition, verdict in verdicts if not assets.is_passed(name, verdict)]
    names = _list_names(verdicts)
    facts: metadata.Metadata = {f"{noun}s": ", ".join(names)}
    scope = "of this run"
    if checked_to is not None:
        positions = [partition.storage_id for partition, _ in verdicts]
        scope = "new" if max(positions) > checked_to else "the last ones, none is new"
        # One that fails is checked again until it passes, even if it is no longer one of the last.
        reached = min(partition.storage_id for partition, _ in failed) - 1 if failed else max(checked_to, *positions)
        facts[event_log.CHECKED_TO_KEY] = reached
    subject = f"checked {plural(len(names), noun)} ({scope}), {names[0]} to {names[-1]}" + (
        f"; failed: {list_some(_list_names(failed), ', ')}" if failed else ""
    )
    return assets.check_result_of_many(name, [verdict for _, verdict in verdicts], subject, facts)


def _list_names(verdicts: Iterable[tuple[Materialization, Verdict]]) -> list[str]:
    return sorted(printable(partition.partition or verdict.run_id) for partition, verdict in verdicts)
