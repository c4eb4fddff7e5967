"""The queries of the run index: one run, the runs of a lane in a span of days, failures, the latest success (SPEC 11).

Each has two ways, through the side index and by reading the whole log, and one answer. `find_` functions return values;
`frames` makes DataFrames of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import IO, Any, Final, Literal

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors
from registry_pipeline.registries.run_index.check import check_runs
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.registries.run_index.scan import find_entries, finished_end, read_entries
from registry_pipeline.registries.run_index.side_index import (
    UnusableError,
    index_row,
    open_index,
    read_place,
    select_places,
)
from registry_pipeline.registries.run_index.versions import in_order, order_of
from registry_pipeline.values import replace, value_type

View = Literal["current", "all", "superseded"]
VIEWS: Final[tuple[View, ...]] = ("current", "all", "superseded")
ORDERS: Final = tuple(name for name, each in RUN.fields.items() if each.holds not in ("ids", "fields"))
"""The fields by which records can be ordered."""


@value_type
class Query:
    """Which records are asked for. `since` and `until` are UTC to the second and both count; None asks nothing.

    `order_by` is a field, with `-` before it the greatest first; records without it come last. Equal ones follow their
    order in the run index, newest first where the greatest is first. `limit` 0 is all.
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
    """The records that answer, as they stand in the log, and where. `by_index` tells which way was taken."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()
    by_index: bool = False

    @property
    def records(self) -> tuple[Record, ...]:
        """The records alone."""
        return tuple(entry.record for entry in self.entries)


def find_run(log: Log, run_id: str, *, use_index: bool = True) -> QueryResult:
    """Return every record of a run, in the order of SPEC 11, the current one last.

    Raises:
        NotFoundError: there is no log.
    """

    def scan(file: IO[bytes], end: int) -> list[Entry]:
        return find_entries(log, file, end, "run_id", {run_id})[0]

    def ask(reading: _Reading) -> list[Entry]:
        return reading.entries("WHERE run_id = ? ORDER BY number", run_id)

    answer = _either(log, scan, ask, use_index=use_index)
    return replace(answer, entries=tuple(in_order(answer.entries)))


def find_records(log: Log, question: Query, *, use_index: bool = True) -> QueryResult:
    """Return the records that a question asks for.

    Raises:
        NotFoundError: there is no log.
    """
    where, values = _condition(question)
    ordered, in_sql = _order_clause(question)

    def scan(file: IO[bytes], end: int) -> list[Entry]:
        return _sorted(_scanned(log, file, end, question), question)

    def ask(reading: _Reading) -> list[Entry]:
        found = reading.entries(f"{where}{ordered}", *values)
        return found if in_sql else _sorted(found, question)

    return _either(log, scan, ask, use_index=use_index)


def find_latest(
    log: Log, around: RuleContext, *, artist_id: str | None, genre_id: str | None, use_index: bool = True
) -> QueryResult:
    """Return the newest current record with qa_gate2 PASS whose run breaks no rule; no entry where there is none.

    Raises:
        NotFoundError: there is no log.
    """
    question = Query(artist_id, genre_id, passed=True)

    def holds(entries: Sequence[Entry]) -> bool:
        return not has_errors(check_runs(log.shown, entries, around))

    def scan(file: IO[bytes], end: int) -> list[Entry]:
        for entry in sorted(_scanned(log, file, end, question), key=_newness, reverse=True):
            if holds(find_entries(log, file, end, "run_id", {entry.record["run_id"]})[0]):
                return [entry]
        return []

    def ask(reading: _Reading) -> list[Entry]:
        where, values = _condition(question)
        for entry in reading.each(f"{where} ORDER BY ordered DESC, machine DESC, number DESC", *values):
            if holds(reading.entries("WHERE run_id = ? ORDER BY number", entry.record["run_id"])):
                return [entry]
        return []

    return _either(log, scan, ask, use_index=use_index)


class _ChangedError(Exception):
    """What the index said is not what the log says."""


class _Reading:
    """The side index and the log open together; what a place holds is read and held against the index."""

    __slots__ = ("_connection", "_file", "_log")

    def __init__(self, log: Log, file: IO[bytes], connection: Any) -> None:
        self._log, self._file, self._connection = log, file, connection

    def each(self, where: str, *values: str | int) -> Iterator[Entry]:
        for place in select_places(self._connection, where, values):
            entry = read_place(self._log, self._file, place)
            if entry is None:
                raise _ChangedError
            yield entry

    def entries(self, where: str, *values: str | int) -> list[Entry]:
        return list(self.each(where, *values))


def _either(
    log: Log, scan: Callable[[IO[bytes], int], list[Entry]], ask: Callable[[_Reading], list[Entry]], *, use_index: bool
) -> QueryResult:
    """Answer through the index, once more through one that is built anew, else from the log alone."""
    with open_log(log) as file:
        end, findings = finished_end(log, file)
        detail = "the log changed while it was asked"
        for anew in (False, True) if use_index else ():
            try:
                with closing(open_index(log, file, anew=anew)) as connection:
                    return QueryResult(tuple(ask(_Reading(log, file, connection))), tuple(findings), by_index=True)
            except UnusableError as error:
                detail = str(error)
            except _ChangedError:
                continue
        told = [finding("RI070", log.shown, detail=detail)] if use_index else []
        return QueryResult(tuple(scan(file, end)), (*findings, *told))


def _condition(question: Query) -> tuple[str, list[str | int]]:
    terms: list[str] = []
    values: list[str | int] = []
    for term, value in (
        ("artist = ?", question.artist_id),
        ("genre = ?", question.genre_id),
        ("created >= ?", question.since),
        ("created <= ?", question.until),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    terms += ["failed = 1"] if question.failed else []
    terms += ["passed = 1"] if question.passed else []
    terms += [] if question.view == "all" else [f"current = {int(question.view == 'current')}"]
    return f"WHERE {' AND '.join(terms)}" if terms else "", values


def _order_clause(question: Query) -> tuple[str, bool]:
    """Return how sqlite orders and cuts the answer, and whether it can: other fields are ordered once they are read."""
    name = question.order_by.removeprefix("-")
    column = {"created_utc": "created", "run_id": "run_id", "artist_id": "artist", "genre_id": "genre"}.get(name)
    if column is None:
        return "", False
    way = " DESC" if question.order_by.startswith("-") else ""
    columns = dict.fromkeys((column, "ordered", "machine", "number"))
    limit = f" LIMIT {question.limit:d}" if question.limit else ""
    return f" ORDER BY {', '.join(f'{each}{way}' for each in columns)}{limit}", True


def _scanned(log: Log, file: IO[bytes], end: int, question: Query) -> list[Entry]:
    newest: dict[str, tuple[str, str, int]] = {}
    found: list[Entry] = []
    for entry in read_entries(log, file, end):
        record, order = entry.record, (*order_of(entry.record), entry.number)
        if question.view != "all" and order > newest.get(record["run_id"], ("", "", 0)):
            newest[record["run_id"]] = order
        if _answers(record, question):
            found.append(entry)
    if question.view == "all":
        return found
    current = question.view == "current"
    return [each for each in found if (newest[each.record["run_id"]][2] == each.number) == current]


def _answers(record: Record, question: Query) -> bool:
    _, created, _, _, artist, genre, passed, failed = index_row(record)
    return (
        question.artist_id in (None, artist)
        and question.genre_id in (None, genre)
        and (question.since is None or created >= question.since)
        and (question.until is None or created <= question.until)
        and (not question.failed or bool(failed))
        and (not question.passed or bool(passed))
    )


def _sorted(entries: list[Entry], question: Query) -> list[Entry]:
    name, down = question.order_by.removeprefix("-"), question.order_by.startswith("-")
    told = [entry for entry in entries if name in entry.record]
    told.sort(key=lambda entry: (_sortable(name, entry.record), *_newness(entry)), reverse=down)
    rest = sorted((entry for entry in entries if name not in entry.record), key=_newness, reverse=down)
    chosen = [*told, *rest]
    return chosen[: question.limit] if question.limit else chosen


def _sortable(name: str, record: Record) -> str:
    return index_row(record)[1] if name == "created_utc" else str(record[name])


def _newness(entry: Entry) -> tuple[str, str, int]:
    return (*order_of(entry.record), entry.number)
