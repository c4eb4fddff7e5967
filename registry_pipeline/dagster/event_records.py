"""Read the events of an asset, and the start of a run, from a Dagster instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, EventLogRecord, EventRecordsResult

from registry_pipeline.errors import NotFoundError

ROOT_KEY: Final = "ROOT_SHA256"
"""Metadata key of a materialization and of a check: the root hash of the folder."""
_PAGE_SIZE: Final = 50
# The clock of a worker on another machine may be behind that of the machine on which the run started.
_CLOCK_SKEW_SECONDS: Final = 60.0

Fetch = Callable[..., EventRecordsResult]
"""A method of DagsterInstance that fetches one page of events, as `fetch_materializations`."""


def read_run_start(instance: DagsterInstance, run_id: str) -> datetime:
    """Return when a Dagster run started (not when it was queued); raise NotFoundError if it has not."""
    record = instance.get_run_record_by_id(run_id)
    if record is None or record.start_time is None:
        raise NotFoundError(f"the Dagster run {run_id} has not started", "launch it through Dagster")
    return datetime.fromtimestamp(record.start_time, UTC)


def iterate_ancestry(instance: DagsterInstance, run_id: str) -> Iterator[str]:
    """Yield the ids of a run and of the runs that it re-executes, the nearest first."""
    seen: set[str] = set()
    current: str | None = run_id
    while current is not None and current not in seen:
        seen.add(current)
        yield current
        run = instance.get_run_by_id(current)
        current = None if run is None else run.parent_run_id


def fetch_all(fetch: Fetch, records_filter: AssetRecordsFilter, *, ascending: bool) -> Iterator[EventLogRecord]:
    """Yield all events that a filter selects; the event log is read page by page."""
    cursor: str | None = None
    has_more = True
    while has_more:
        page = fetch(records_filter, limit=_PAGE_SIZE, cursor=cursor, ascending=ascending)
        yield from page.records
        cursor, has_more = page.cursor, page.has_more


def fetch_of_run(instance: DagsterInstance, fetch: Fetch, key: AssetKey, run_id: str) -> Sequence[EventLogRecord]:
    """Return the events of an asset in one run, the oldest first."""
    run = instance.get_run_record_by_id(run_id)
    if run is None or run.start_time is None:
        return ()
    since_start = AssetRecordsFilter(key, after_timestamp=run.start_time - _CLOCK_SKEW_SECONDS)
    return [record for record in fetch_all(fetch, since_start, ascending=True) if record.run_id == run_id]


def fetch_materializations_of_run(
    instance: DagsterInstance, key: AssetKey, run_id: str, partition: str | None = None
) -> Sequence[EventLogRecord]:
    """Return the materializations of an asset by a run, or by the nearest run that it re-executes, the oldest first.

    With `partition`, only the materializations of this partition count.
    """
    for ancestor in iterate_ancestry(instance, run_id):
        records = fetch_of_run(instance, instance.fetch_materializations, key, ancestor)
        own = [record for record in records if partition is None or record.partition_key == partition]
        if own:
            return own
    return ()


def fetch_newest_of_partitions(
    instance: DagsterInstance, key: AssetKey, after_storage_id: int | None = None
) -> Sequence[EventLogRecord]:
    """Return the newest materialization of each partition that has one after a position in the event log."""
    records_filter = AssetRecordsFilter(key, after_storage_id=after_storage_id)
    by_age = fetch_all(instance.fetch_materializations, records_filter, ascending=True)
    return list({record.partition_key: record for record in by_age if record.partition_key is not None}.values())


def read_latest_materializations(instance: DagsterInstance, key: AssetKey) -> Sequence[EventLogRecord]:
    """Return the latest materialization of an asset, or the newest of each partition if the latest has one."""
    latest = instance.fetch_materializations(AssetRecordsFilter(key), limit=1).records
    if not latest or latest[0].partition_key is None:
        return latest
    return fetch_newest_of_partitions(instance, key)
