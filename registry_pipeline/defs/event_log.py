"""What Dagster's event log proves: which folder a step sealed, and which checks passed on it.

Contains every call to non-public parts of Dagster, so that the tests of this module judge an upgrade.
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
"""Metadata key of a materialization: its sealed run; absent if it has none."""
ROOT_KEY: Final = "ROOT_SHA256"
"""Metadata key of a materialization and of a check: the root hash of the folder."""
DATA_VERSION_TAG: Final = "dagster/data_version"
_PAGE_SIZE: Final = 50


@value_type
class Materialization:
    """A materialization.

    Attributes:
        storage_id: its position in the event log.
        dagster_run_id: empty if a sensor reported a folder that the command line sealed.
    """

    registry_id: str
    storage_id: int
    dagster_run_id: str
    sealed: SealedRun | None
    data_version: str | None = None


def sealed_to_json(sealed: SealedRun) -> dict[str, Any]:
    """Return a sealed run as the value of SEALED_KEY."""
    return {"ref": sealed.ref.to_json(), "inputs": sealed.inputs.to_json(), "as_of_utc": sealed.as_of_utc}


def iterate_ancestry(instance: DagsterInstance, dagster_run_id: str) -> Iterator[str]:
    """Yield the ids of a run and of the runs that it re-executes, the nearest first."""
    seen: set[str] = set()
    current: str | None = dagster_run_id
    while current is not None and current not in seen:
        seen.add(current)
        yield current
        run = instance.get_run_by_id(current)
        current = None if run is None else run.parent_run_id


def read_last_materialization(
    instance: DagsterInstance, registry_id: str, dagster_run_id: str
) -> Materialization | None:
    """Return the last materialization of a registry by a run or the nearest run that it re-executes, or None."""
    return next(reversed(read_run_materializations(instance, registry_id, dagster_run_id)), None)


def read_run_materializations(
    instance: DagsterInstance, registry_id: str, dagster_run_id: str
) -> Sequence[Materialization]:
    """Return all materializations of a registry by a run or the nearest run that it re-executes, the oldest first."""
    for run_id in iterate_ancestry(instance, dagster_run_id):
        run = instance.get_run_record_by_id(run_id)
        if run is None or run.start_time is None:
            continue
        since_start = AssetRecordsFilter(AssetKey(registry_id), after_timestamp=run.start_time)
        records = [record for record in _fetch_all(instance, since_start) if record.run_id == run_id]
        if records:
            return [_parse_record(registry_id, record) for record in records]
    return ()


def read_newest_of_each_partition(instance: DagsterInstance, registry_id: str) -> Sequence[Materialization]:
    """Return the newest materialization of every partition of a registry, in the order of the partitions."""
    newest: dict[str, EventLogRecord] = {}
    for record in _fetch_all(instance, AssetRecordsFilter(AssetKey(registry_id))):
        if record.partition_key is not None:
            newest[record.partition_key] = record
    return [_parse_record(registry_id, newest[partition]) for partition in sorted(newest)]


def read_materializations(
    instance: DagsterInstance, registry_id: str, limit: int, partition: str | None = None
) -> Sequence[Materialization]:
    """Return at most `limit` materializations of a registry, or of one of its partitions, the newest first."""
    partitions = None if partition is None else [partition]
    records_filter = AssetRecordsFilter(AssetKey(registry_id), asset_partitions=partitions)
    records = instance.fetch_materializations(records_filter, limit=limit).records
    return [_parse_record(registry_id, record) for record in records]


def _fetch_all(instance: DagsterInstance, records_filter: AssetRecordsFilter) -> Iterator[EventLogRecord]:
    cursor: str | None = None
    has_more = True
    while has_more:
        page = instance.fetch_materializations(records_filter, limit=_PAGE_SIZE, cursor=cursor, ascending=True)
        yield from page.records
        cursor, has_more = page.cursor, page.has_more


def _parse_record(registry_id: str, record: EventLogRecord) -> Materialization:
    event = record.asset_materialization
    value = None if event is None else event.metadata.get(SEALED_KEY)
    data = getattr(value, "data", None)
    sealed: SealedRun | None = None
    if isinstance(data, dict) and (ref := SealedRef.from_json(data.get("ref"))) is not None:
        inputs = Inputs.from_json(data.get("inputs"))
        sealed = SealedRun(registry_id, ref, inputs, str(data.get("as_of_utc") or ""), reused=True)
    version = None if event is None else (event.tags or {}).get(DATA_VERSION_TAG)
    return Materialization(registry_id, record.storage_id, record.run_id, sealed, version)


def find_unpassed_checks(instance: DagsterInstance, materialization: Materialization) -> dict[str, str]:
    """Return the blocking checks that did not pass on a materialization, with the reason ("failed", "has no result").

    Only the newest result on this very materialization counts, and only among the latest results of the check.
    """
    reasons: dict[str, str] = {}
    for name in REGISTRIES[materialization.registry_id].check_names:
        key = AssetCheckKey(AssetKey(materialization.registry_id), name)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE_SIZE)
        result = next((record for record in records if _is_result_on(record, materialization)), None)
        if result is None:
            reasons[name] = "has no result"
        elif result.status is not AssetCheckExecutionRecordStatus.SUCCEEDED:
            reasons[name] = "failed"
    return reasons


def _is_result_on(record: AssetCheckExecutionRecord, materialization: Materialization) -> bool:
    # The status comes first: the event of a check that was planned and never ran has no evaluation, and raises.
    if record.status is AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
        return False
    target = record.evaluation.target_materialization_data
    root = record.evaluation.metadata.get(ROOT_KEY)
    if target is None or root is None or materialization.sealed is None:
        return False
    # Both must match: Dagster attributes a result to whatever materialization is the latest at that moment.
    ref = materialization.sealed.ref
    return target.storage_id == materialization.storage_id and root.value == ref.manifest_sha256
