"""The queries of the run index: one run, the runs of a lane in a span of days, failures, the latest success.

Every query is SQL on an index. That is the side index; without it, the same query runs on an index in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import IO, Final, Literal

from registry_pipeline.errors import BusyError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors
from registry_pipeline.registries.run_index.check import check_runs
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.registries.run_index.scan import find_entries, finished_end, read_entries
from registry_pipeline.registries.run_index.side_index import (
    LogChangedError,
    UnusableError,
    index_in_memory,
    open_index,
    select_entries,
)
from registry_pipeline.registries.run_index.versions import sort_versions, version_key
from registry_pipeline.values import replace, value_type

View = Literal["current", "all", "superseded"]
VIEWS: Final[tuple[View, ...]] = ("current", "all", "superseded")
ORDERS: Final = tuple(name for name, field in RUN.fields.items() if field.form not in ("ids", "fields"))
"""The fields that records can be ordered by."""
_ORDER_COLUMNS: Final = {"created_utc": "created", "run_id": "run_id", "artist_id": "artist", "genre_id": "genre"}
_ONE_RUN: Final = "WHERE run_id = ? ORDER BY number"


@value_type
class Query:
    """Which records to return; a condition that is None does not apply.

    Attributes:
        since, until: UTC to the second, both inclusive.
        order_by: a field; with `-` in front, the greatest first. Records without the field come last.
        limit: the number of records, 0 for all.
    """

    artist_id: str | None = None
    genre_id: str | None = None
    since: str | None = None
    until: str | None = None
    failed: bool = False
    passed: bool = False
    view: View = "current"
    order_by: str = "-created_utc"
    limit: int = 0


@value_type
class QueryResult:
    """The records that a query selects, and whether the side index was used."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()
    by_index: bool = False

    @property
    def records(self) -> tuple[Record, ...]:
        """The records without their locations."""
        return tuple(entry.record for entry in self.entries)


Select = Callable[..., Iterator[Entry]]
"""Called with SQL clauses and their values; yields the selected records, read from the log."""


def find_run(log: Log, run_id: str, *, use_index: bool = True) -> QueryResult:
    """Return every record of a run, the current one last.

    Raises:
        NotFoundError: the log does not exist.
    """

    def read_run(file: IO[bytes], end: int) -> Iterable[Entry]:
        # Faster than reading every record: only lines that contain the id are parsed.
        return find_entries(log, file, end, "run_id", {run_id})[0]

    result = _run_query(log, lambda select: select(_ONE_RUN, run_id), use_index=use_index, read=read_run)
    return replace(result, entries=tuple(sort_versions(result.entries)))


def find_records(log: Log, query: Query, *, use_index: bool = True) -> QueryResult:
    """Return the records that a query selects, in its order.

    Raises:
        NotFoundError: the log does not exist.
    """
    where, values = _where(query)
    order = _order(query)

    def run(select: Select) -> Iterable[Entry]:
        if order is None:
            return _sort_by_field(list(select(where, *values)), query)
        return select(f"{where}{order}", *values)

    return _run_query(log, run, use_index=use_index)


def find_latest(
    log: Log, context: RuleContext, *, artist_id: str | None, genre_id: str | None, use_index: bool = True
) -> QueryResult:
    """Return the newest current record with qa_gate2 PASS whose run breaks no rule, or no entry if there is none.

    Raises:
        NotFoundError: the log does not exist.
    """
    where, values = _where(Query(artist_id, genre_id, passed=True))

    def run(select: Select) -> Iterable[Entry]:
        for entry in select(f"{where} ORDER BY ordered DESC, machine DESC, number DESC", *values):
            versions = list(select(_ONE_RUN, entry.record["run_id"]))
            if not has_errors(check_runs(log.display_path, versions, context)):
                return [entry]
        return []

    return _run_query(log, run, use_index=use_index)


def _run_query(
    log: Log,
    run: Callable[[Select], Iterable[Entry]],
    *,
    use_index: bool,
    read: Callable[[IO[bytes], int], Iterable[Entry]] | None = None,
) -> QueryResult:
    """Run a query on the side index, or on an index in memory of the records that `read` returns."""
    with open_log(log) as file:
        end, findings = finished_end(log, file)

        def run_on(connection: sqlite3.Connection) -> tuple[Entry, ...]:
            with closing(connection):
                return tuple(run(lambda clauses, *values: select_entries(log, file, connection, clauses, values)))

        if use_index:
            reason = "the log changed while it was read"
            # (1) the side index as it is or refreshed, (2) once more after it was rebuilt
            for rebuild in (False, True):
                try:
                    return QueryResult(run_on(open_index(log, file, rebuild=rebuild)), tuple(findings), by_index=True)
                except UnusableError as error:
                    reason = str(error)
                except LogChangedError:
                    continue
            findings.append(finding("RI070", log.display_path, detail=reason))
        # (3) without it
        entries = read_entries(log, file, end) if read is None else read(file, end)
        try:
            return QueryResult(run_on(index_in_memory(entries)), tuple(findings))
        except LogChangedError:
            raise BusyError(f"{log.display_path} changed while it was read", "try again") from None


def _where(query: Query) -> tuple[str, list[str]]:
    conditions = {
        "artist = ?": query.artist_id,
        "genre = ?": query.genre_id,
        "created >= ?": query.since,
        "created <= ?": query.until,
    }
    terms = [term for term, value in conditions.items() if value is not None]
    terms += ["failed = 1"] * query.failed + ["passed = 1"] * query.passed
    terms += [] if query.view == "all" else [f"current = {int(query.view == 'current')}"]
    values = [value for value in conditions.values() if value is not None]
    return f"WHERE {' AND '.join(terms)}" if terms else "", values


def _order(query: Query) -> str | None:
    """Return the ORDER BY and LIMIT of a query, or None if the index has no column of the field."""
    column = _ORDER_COLUMNS.get(query.order_by.removeprefix("-"))
    if column is None:
        return None
    direction = " DESC" if query.order_by.startswith("-") else ""
    columns = dict.fromkeys((column, "ordered", "machine", "number"))
    limit = f" LIMIT {query.limit:d}" if query.limit else ""
    return f" ORDER BY {', '.join(f'{name}{direction}' for name in columns)}{limit}"


def _sort_by_field(entries: Sequence[Entry], query: Query) -> list[Entry]:
    name, descending = query.order_by.removeprefix("-"), query.order_by.startswith("-")

    def key(entry: Entry) -> tuple[str, str, str, int]:
        return (str(entry.record.get(name, "")), *version_key(entry.record), entry.number)

    with_field = sorted((entry for entry in entries if name in entry.record), key=key, reverse=descending)
    without = sorted((entry for entry in entries if name not in entry.record), key=key, reverse=descending)
    ordered = [*with_field, *without]
    return ordered[: query.limit] if query.limit else ordered
