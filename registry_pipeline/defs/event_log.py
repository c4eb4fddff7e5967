"""What Dagster's event log proves: which folder a step sealed, and which checks passed on it.

Holds every call of an instance that is not part of Dagster's public interface, and the reading of our own
materialization metadata, so that an upgrade of Dagster is judged by the tests of this one file. Keeps out what follows
from the evidence. May import `model` and Dagster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from dagster import AssetCheckKey, AssetKey, AssetRecordsFilter, DagsterInstance, EventLogRecord
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline.values import value_type

SEALED_KEY: Final = "sealed"
"""Metadata of a materialization: the sealed run that it stands for, absent where there is none."""
ROOT_KEY: Final = "ROOT_SHA256"
"""Metadata of a materialization and of a check: the root hash of the folder that was sealed or judged."""
DATA_VERSION_TAG: Final = "dagster/data_version"
_HISTORY: Final = 50


@value_type
class Materialized:
    """One materialization: its place in the event log, the Dagster run that made it, and the folder it stands for.

    `dagster_run_id` is empty where no run made it: the command line sealed the folder, and a sensor told of it.
    """

    registry_id: str
    storage_id: int
    dagster_run_id: str
    sealed: SealedRun | None
    data_version: str | None = None


def sealed_to_json(sealed: SealedRun) -> dict[str, Any]:
    """Return a sealed run as the metadata of its materialization keeps it."""
    return {"ref": sealed.ref.to_json(), "inputs": sealed.inputs.to_json(), "as_of_utc": sealed.as_of_utc}


def ancestry(instance: DagsterInstance, dagster_run_id: str) -> Iterator[str]:
    """Yield a run and the runs that it re-executes, the nearest first."""
    seen: set[str] = set()
    current: str | None = dagster_run_id
    while current is not None and current not in seen:
        seen.add(current)
        yield current
        run = instance.get_run_by_id(current)
        current = None if run is None else run.parent_run_id


def materialized_in(instance: DagsterInstance, registry_id: str, dagster_run_id: str) -> Materialized | None:
    """Return what a Dagster run, or the nearest run that it re-executes, materialized of a registry; else None."""
    return next(reversed(all_materialized_in(instance, registry_id, dagster_run_id)), None)


def all_materialized_in(instance: DagsterInstance, registry_id: str, dagster_run_id: str) -> Sequence[Materialized]:
    """Return all that such a run materialized of a registry, the oldest first: one a partition, where it has some."""
    for run_id in ancestry(instance, dagster_run_id):
        run = instance.get_run_record_by_id(run_id)
        if run is None or run.start_time is None:
            continue
        wanted = AssetRecordsFilter(AssetKey(registry_id), after_timestamp=run.start_time)
        made = [record for record in _all_materializations(instance, wanted) if record.run_id == run_id]
        if made:
            return [_materialized(registry_id, record) for record in made]
    return ()


def newest_of_each_partition(instance: DagsterInstance, registry_id: str) -> Sequence[Materialized]:
    """Return the newest materialization of every partition of a registry, in the order of the partitions."""
    newest: dict[str, EventLogRecord] = {}
    for record in _all_materializations(instance, AssetRecordsFilter(AssetKey(registry_id))):
        if record.partition_key is not None:
            newest[record.partition_key] = record
    return [_materialized(registry_id, newest[partition]) for partition in sorted(newest)]


def of_partition(instance: DagsterInstance, registry_id: str, partition: str) -> Sequence[Materialized]:
    """Return the newest materialization of one partition of a registry, or nothing."""
    wanted = AssetRecordsFilter(AssetKey(registry_id), asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    return [_materialized(registry_id, record) for record in records]


def _all_materializations(instance: DagsterInstance, wanted: AssetRecordsFilter) -> Iterator[EventLogRecord]:
    cursor: str | None = None
    more = True
    while more:
        page = instance.fetch_materializations(wanted, limit=_HISTORY, cursor=cursor, ascending=True)
        yield from page.records
        cursor, more = page.cursor, page.has_more


def materializations(instance: DagsterInstance, registry_id: str, limit: int) -> Sequence[Materialized]:
    """Return the newest materializations of a registry, the newest first."""
    records = instance.fetch_materializations(AssetRecordsFilter(AssetKey(registry_id)), limit=limit).records
    return [_materialized(registry_id, record) for record in records]


def _materialized(registry_id: str, record: EventLogRecord) -> Materialized:
    event = record.asset_materialization
    kept = None if event is None else event.metadata.get(SEALED_KEY)
    data = getattr(kept, "data", None)
    sealed: SealedRun | None = None
    if isinstance(data, dict) and (ref := SealedRef.from_json(data.get("ref"))) is not None:
        inputs = Inputs.from_json(data.get("inputs"))
        sealed = SealedRun(registry_id, ref, inputs, str(data.get("as_of_utc") or ""), reused=True)
    version = None if event is None else (event.tags or {}).get(DATA_VERSION_TAG)
    return Materialized(registry_id, record.storage_id, record.run_id, sealed, version)


def unproved_checks(instance: DagsterInstance, made: Materialized) -> dict[str, str]:
    """Return the blocking checks that did not pass on that very materialization, each with the reason.

    The newest verdict on the materialization counts. A verdict belongs to it when both its storage id and its root
    are the materialization's: Dagster attributes a check to whatever is the latest at that moment.
    """
    reasons: dict[str, str] = {}
    for name in REGISTRIES[made.registry_id].check_names:
        key = AssetCheckKey(AssetKey(made.registry_id), name)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_HISTORY)
        verdict = next((r for r in records if _judges(r, made)), None)
        if verdict is None:
            reasons[name] = "has not judged it"
        elif verdict.status is not AssetCheckExecutionRecordStatus.SUCCEEDED:
            reasons[name] = "failed"
    return reasons


def _judges(record: AssetCheckExecutionRecord, made: Materialized) -> bool:
    # The status first: the event of a check that was planned and never ran has no verdict to ask for.
    if record.status is AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
        return False
    target = record.evaluation.target_materialization_data
    root = record.evaluation.metadata.get(ROOT_KEY)
    if target is None or root is None or made.sealed is None:
        return False
    return target.storage_id == made.storage_id and root.value == made.sealed.ref.manifest_sha256
