"""The queries of the run index, as SQL on the side index, or without it on an index in memory.

A query raises NotFoundError if the log does not exist.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from registry_pipeline.canonical import json_line
from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import spreadsheet_cell
from registry_pipeline.findings.finding import Finding, has_errors
from registry_pipeline.registries.run_index.check import check_runs
from registry_pipeline.registries.run_index.gates import RuleContext, sort_versions, version_key
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log, run_index_log
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.registries.run_index.scan import (
    FAILED_UNIQUENESS,
    find_entries,
    find_runs_by_pattern,
    make_value_pattern,
    read_finished_end,
)
from registry_pipeline.registries.run_index.service import read_rule_context
from registry_pipeline.registries.run_index.side_index import (
    LogChangedError,
    UnusableError,
    make_entry_row,
    make_index_in_memory,
    make_index_row,
    open_index,
    read_rows,
    select_entries,
)
from registry_pipeline.values import replace, value_type

if TYPE_CHECKING:
    import pandas as pd

View = Literal["current", "all", "superseded"]
VIEWS: Final[tuple[View, ...]] = ("current", "all", "superseded")
COLUMNS: Final = tuple(RUN.fields)
"""The columns of every result; extra keys follow by name."""
_LISTS: Final = frozenset(name for name, field in RUN.fields.items() if field.form in ("ids", "fields"))
ORDERS: Final = tuple(name for name in COLUMNS if name not in _LISTS)
"""The fields that records can be ordered by."""
_ORDER_COLUMNS: Final = {"created_utc": "created", "run_id": "run_id", "artist_id": "artist", "genre_id": "genre"}
_ONE_RUN: Final = "WHERE run_id = ? ORDER BY number"


@value_type
class Query:
    """Which records to return; a condition that is None does not apply."""

    artist_id: str | None = None
    genre_id: str | None = None
    # UTC to the second, both inclusive.
    since: str | None = None
    until: str | None = None
    failed: bool = False
    passed: bool = False
    view: View = "current"
    # With - in front, the greatest first; records without the field come last.
    order_by: str = "-created_utc"
    limit: int = 0  # 0 is all


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


Select = Callable[[str, Sequence[str]], Iterator[Entry]]
"""Called with SQL clauses and their values; yields the selected records, read from the log."""
_FindRuns = Callable[[IO[bytes], int], Collection[str] | None]
"""Called with an open log and the end of its lines; returns the runs that a query needs, None for all."""


def find_run(log: Log, run_id: str, *, use_index: bool = True) -> QueryResult:
    """Return every record of a run, the current one last; none if the log does not contain the run."""

    def run(select: Select) -> Iterable[Entry]:
        return sort_versions(list(select(_ONE_RUN, [run_id])))

    return _run_query(log, run, lambda _file, _end: {run_id}, use_index=use_index)


def find_records(log: Log, query: Query, *, use_index: bool = True) -> QueryResult:
    """Return the records that a query selects, in its order."""
    where, values = _make_where(query)
    order = _make_order(query)

    def run(select: Select) -> Iterable[Entry]:
        return _sort_by_field(select(where, values), query) if order is None else select(f"{where}{order}", values)

    return _run_query(log, run, partial(_find_selected_runs, log, query), use_index=use_index)


def find_latest(
    log: Log, context: RuleContext, *, artist_id: str | None, genre_id: str | None, use_index: bool = True
) -> QueryResult:
    """Return the newest current record with qa_gate2 PASS of a run about whose records `check_runs` finds no error.

    No entry if there is none. Runs that are passed over are not reported.
    """
    query = Query(artist_id, genre_id, passed=True)
    where, values = _make_where(query)

    def run(select: Select) -> Iterable[Entry]:
        for entry in select(f"{where} ORDER BY ordered DESC, machine DESC, number DESC", values):
            versions = list(select(_ONE_RUN, [entry.record["run_id"]]))
            if not has_errors(check_runs(log.display_path, versions, context)):
                return [entry]
        return []

    return _run_query(log, run, partial(_find_selected_runs, log, query), use_index=use_index)


def _find_selected_runs(log: Log, query: Query, file: IO[bytes], end: int) -> Collection[str] | None:
    """Return the runs with a record that meets the conditions of a query; None if many runs may have one."""
    value = query.artist_id or query.genre_id
    pattern = make_value_pattern(value) if value else FAILED_UNIQUENESS if query.failed else None

    def matches(record: Record) -> bool:
        _, created, _, _, artist, genre, _, failed = make_index_row(record)
        in_lane = query.artist_id in (None, artist) and query.genre_id in (None, genre)
        return in_lane and failed >= query.failed and (query.since or created) <= created <= (query.until or created)

    return None if pattern is None else find_runs_by_pattern(log, file, end, pattern, matches)


def _run_query(
    log: Log, run: Callable[[Select], Iterable[Entry]], find_runs: _FindRuns, *, use_index: bool
) -> QueryResult:
    """Run a query on the side index, or else (RI070) on an index in memory of the runs that `find_runs` returns.

    Raises:
        NotFoundError: the log does not exist or cannot be read.
        BusyError: the log was edited while it was read without the side index.
    """
    with open_log(log) as file:
        end, findings = read_finished_end(log, file)

        def run_on(connection: sqlite3.Connection) -> tuple[Entry, ...]:
            with closing(connection):
                return tuple(run(partial(select_entries, log, file, connection)))

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
        # (3) Without it. A query about few runs needs all records of those runs, to know which of them is current.
        runs = find_runs(file, end)
        few = None if runs is None else map(make_entry_row, find_entries(log, file, end, runs)[0])
        try:
            connection = make_index_in_memory(read_rows(log, file, end) if few is None else few)
            return QueryResult(run_on(connection), tuple(findings))
        except LogChangedError:
            raise BusyError(f"{log.display_path} changed while it was read", "try again") from None


def _make_where(query: Query) -> tuple[str, list[str]]:
    """Return the WHERE clause of a query, "" if every record matches, and the values of its parameters."""
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


def _make_order(query: Query) -> str | None:
    """Return the ORDER BY and LIMIT of a query, or None if the index has no column of the field."""
    column = _ORDER_COLUMNS.get(query.order_by.removeprefix("-"))
    if column is None:
        return None
    direction = " DESC" if query.order_by.startswith("-") else ""
    columns = dict.fromkeys((column, "ordered", "machine", "number"))
    limit = f" LIMIT {query.limit:d}" if query.limit else ""
    return f" ORDER BY {', '.join(f'{name}{direction}' for name in columns)}{limit}"


def _sort_by_field(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """Return records sorted by a field that the index has no column of, cut to the limit."""
    name, descending = query.order_by.removeprefix("-"), query.order_by.startswith("-")

    def key(entry: Entry) -> tuple[bool, str, str, str, int]:
        # Records without the field come last, also in reverse.
        goes_last = (name in entry.record) == descending
        return (goes_last, str(entry.record.get(name, "")), *version_key(entry.record), entry.number)

    return sorted(entries, key=key, reverse=descending)[: query.limit or None]


def find_columns(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the columns of some records: every field of a RUN record, used or not, then the extra keys by name."""
    extra = {name for record in records for name in record} - set(COLUMNS)
    return (*COLUMNS, *sorted(extra))


def format_csv(records: Sequence[Record], *, raw: bool = False) -> bytes:
    """Return records as CSV with a header (RFC 4180, UTF-8, LF). A list is its JSON text, a missing field is empty.

    Unless `raw`, a text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    columns = find_columns(records)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_format_cell(name, raw=raw) for name in columns)
    writer.writerows([_format_cell(record.get(name), raw=raw) for name in columns] for record in records)
    return text.getvalue().encode("utf-8")


def _format_cell(value: Any, *, raw: bool) -> str:
    if value is None:
        return ""
    # Numbers, lists and objects are JSON text, which does not start like a formula except for a negative number.
    if not isinstance(value, str):
        return json.dumps(value)
    return value if raw else spreadsheet_cell(value)


def format_parquet(records: Sequence[Record]) -> bytes:
    """Return records as a Parquet file: columns of text and of lists of text; an extra key is its JSON text."""
    import duckdb  # noqa: PLC0415 - only this format needs it

    columns = find_columns(records)
    types = {name: "VARCHAR[]" if name in _LISTS else "VARCHAR" for name in columns}
    rows = ({name: _make_parquet_value(name, record.get(name)) for name in columns} for record in records)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:") as connection:
        source, target = Path(folder) / "rows.jsonl", Path(folder) / "rows.parquet"
        source.write_bytes(b"".join(map(json_line, rows)))
        connection.execute("SET threads = 1")
        read = "read_json($source, format = 'newline_delimited', columns = $types, maximum_object_size = 16777216)"
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM {read}", {"source": str(source), "types": types})  # noqa: S608
        connection.execute("COPY rows TO $target (FORMAT parquet)", {"target": str(target)})
        return target.read_bytes()


def _make_parquet_value(name: str, value: Any) -> Any:
    return value if value is None or name in _LISTS or isinstance(value, str) else json.dumps(value)


def _make_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return records as a DataFrame: one row each, None for a missing field, timestamps as text."""
    import pandas as pd  # noqa: PLC0415 - commands do not need it

    columns = find_columns(records)
    rows = [[record.get(name) for name in columns] for record in records]
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def show(repository: Repository, run_id: str, *, history: bool = False) -> pd.DataFrame:
    """Return the current record of a run, or with `history` all its records, the current one last; maybe no row."""
    records = find_run(run_index_log(repository), run_id).records
    return _make_frame(records if history else records[-1:])


def list_runs(repository: Repository, query: Query) -> pd.DataFrame:
    """Return the records that a query selects, in its order."""
    return _make_frame(find_records(run_index_log(repository), query).records)


def failed_uniqueness(repository: Repository, query: Query | None = None) -> pd.DataFrame:
    """Return the records with a FAIL of a uniqueness check that a query selects."""
    return list_runs(repository, replace(query or Query(), failed=True))


def latest(repository: Repository, artist_id: str | None = None, genre_id: str | None = None) -> pd.DataFrame:
    """Return the newest current record with qa_gate2 PASS whose run has no error, in at most one row."""
    context, _ = read_rule_context(repository)
    result = find_latest(run_index_log(repository), context, artist_id=artist_id, genre_id=genre_id)
    return _make_frame(result.records)
