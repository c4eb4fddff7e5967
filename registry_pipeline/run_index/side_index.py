"""The side index: where in the log each record stands, by what queries ask for (SPEC 11).

A sqlite file beside the log, rebuildable and never authoritative: it tells places, and whoever reads a place reads the
record there and holds it against what the index said. It is built once, refreshed from what was appended, and built
anew where the log does not begin with every byte that was indexed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from registry_pipeline.run_index.history import order_of
from registry_pipeline.run_index.lines import Entry, parse_record, read_lines
from registry_pipeline.run_index.logs import Log
from registry_pipeline.run_index.prefix import checksum, state_of
from registry_pipeline.run_index.record import UNIQUENESS, Record
from registry_pipeline.run_index.stamps import second_of
from registry_pipeline.run_index.tail import read_tail

_FORMAT: Final = "2"
_WAIT: Final = 10.0
_BATCH: Final = 50_000

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE places (
    number INTEGER PRIMARY KEY, offset INTEGER NOT NULL, size INTEGER NOT NULL, run_id TEXT NOT NULL,
    created TEXT NOT NULL, ordered TEXT NOT NULL, machine TEXT NOT NULL, artist TEXT NOT NULL, genre TEXT NOT NULL,
    passed INTEGER NOT NULL, failed INTEGER NOT NULL, current INTEGER NOT NULL
);
"""
_INDEXES: Final = """
CREATE INDEX by_run ON places (run_id);
CREATE INDEX by_lane ON places (artist, genre, created);
CREATE INDEX by_created ON places (created);
CREATE INDEX by_failure ON places (created) WHERE failed = 1;
CREATE INDEX by_success ON places (artist, genre, ordered) WHERE passed = 1 AND current = 1;
"""
_INSERT: Final = "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NEWEST: Final = """
UPDATE places SET current = (number = (
    SELECT number FROM places AS other WHERE other.run_id = places.run_id
    ORDER BY ordered DESC, machine DESC, number DESC LIMIT 1
)) WHERE run_id IN ({chosen})
"""


class UnusableError(Exception):
    """The side index cannot be used now; the log itself can be read. The text is why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands, and what the index says of it."""

    number: int
    offset: int
    size: int
    claims: tuple[str, str, str, str, str, str, int, int]
    current: bool


def index_path(log: Log) -> Path:
    """Return where the side index of a log lies; git is to ignore it, and it may be removed at any time."""
    return log.path.with_name(log.path.name + ".index.sqlite3")


def claims_of(record: Record) -> tuple[str, str, str, str, str, str, int, int]:
    """Return what the index keeps of a record: run, created, order, machine, artist, genre, passed, failed."""
    ordered, machine = order_of(record)
    return (
        record["run_id"],
        second_of(record["created_utc"]) or "",
        ordered,
        machine,
        record["artist_id"],
        record["genre_id"],
        int(record["qa_gate2"] == "PASS"),
        int(any(record.get(name) == "FAIL" for name in UNIQUENESS)),
    )


def open_index(log: Log, file: IO[bytes], *, anew: bool = False) -> sqlite3.Connection:
    """Return the side index of an open log, up to date with what is finished of it; built or refreshed where it is not.

    Raises:
        UnusableError: it can neither be used nor written.
    """
    place = index_path(log)
    try:
        connection = None if anew else _continued(log, file, place)
        return connection or _built(log, file, place)
    except (sqlite3.Error, OSError) as error:
        raise UnusableError(str(error)) from None


def continued_index(log: Log, file: IO[bytes]) -> sqlite3.Connection | None:
    """Return the side index that is there, up to date with an open log; None where there is none that can be.

    Raises:
        UnusableError: it can neither be read nor written now.
    """
    try:
        return _continued(log, file, index_path(log))
    except (sqlite3.Error, OSError) as error:
        raise UnusableError(str(error)) from None


def take_in(log: Log, file: IO[bytes], connection: sqlite3.Connection) -> None:
    """Take in what was appended under the lock of a log since the index was up to date.

    Raises:
        UnusableError: it cannot be written; it is as it was.
    """
    try:
        state = state_of(file)
        _refresh(log, file, connection, (read_tail(log, file.fileno()).finished, state))
    except (sqlite3.Error, OSError, KeyError, ValueError) as error:
        raise UnusableError(str(error)) from None


def select_places(connection: sqlite3.Connection, where: str, values: Iterable[str | int]) -> Iterator[Place]:
    """Yield the places that a condition chooses.

    Raises:
        UnusableError: the index is damaged.
    """
    columns = "number, offset, size, run_id, created, ordered, machine, artist, genre, passed, failed, current"
    try:
        for row in connection.execute(f"SELECT {columns} FROM places {where}", tuple(values)):  # noqa: S608 - our own words
            yield Place(row[0], row[1], row[2], tuple(row[3:11]), bool(row[11]))
    except sqlite3.Error as error:
        raise UnusableError(str(error)) from None


def extent_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return up to which offset of the log the index goes, and how many lines that are.

    Raises:
        UnusableError: the index is damaged.
    """
    try:
        meta = _meta(connection)
        return int(meta["end"]), int(meta["lines"])
    except (sqlite3.Error, KeyError, ValueError) as error:
        raise UnusableError(str(error)) from None


def read_place(log: Log, file: IO[bytes], place: Place) -> Entry | None:
    """Return the record at a place, None where it is not what the index said of it."""
    before = min(1, place.offset)  # the newline of the line before
    whole = os.pread(file.fileno(), place.size + before, place.offset - before)
    data = whole[before:]
    if len(data) != place.size or whole.count(b"\n") != 1 + before or whole[:before].strip() or data[-1:] != b"\n":
        return None
    record = parse_record(log, data)
    if record is None or claims_of(record) != place.claims:
        return None
    return Entry(record, place.number, place.offset, place.size)


def _continued(log: Log, file: IO[bytes], place: Path) -> sqlite3.Connection | None:
    """Return the index that is there, refreshed; None where it has to be built anew."""
    if not place.is_file():
        return None
    connection = _connect(place)
    try:
        meta = _meta(connection)
        # In this order: a log grows, and what another process has indexed already lies before the end that is read now.
        state = state_of(file)
        end = read_tail(log, file.fileno()).finished
        is_known = meta["format"] == _FORMAT and meta["reader"] == log.reader.fingerprint
        if is_known and meta["state"] == state and meta["end"] == str(end):
            return connection
        # Growth hides edits: every byte that was indexed is read, though none of them is parsed again.
        indexed = int(meta["end"])
        if is_known and indexed <= end and checksum(file, 0, indexed) == int(meta["checksum"]):
            _refresh(log, file, connection, (end, state))
            return connection
    except (sqlite3.DatabaseError, KeyError, ValueError) as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or not to be written: not damaged
            connection.close()
            raise
    connection.close()
    return None


def _refresh(log: Log, file: IO[bytes], connection: sqlite3.Connection, found: tuple[int, str]) -> None:
    """Take in what was appended since; another process may have been faster, so that the start is read anew."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        end, state = found
        meta = _meta(connection)
        start, lines = int(meta["end"]), int(meta["lines"])
        if start > end:
            return
        told = checksum(file, start, end, int(meta["checksum"]))
        fresh: set[str] = set()
        lines = _insert(log, file, connection, (start, end, lines), fresh)
        for run_id in sorted(fresh):
            connection.execute(_NEWEST.format(chosen="?"), (run_id,))
        _write_meta(log, connection, (end, lines, told), state)


def _built(log: Log, file: IO[bytes], place: Path) -> sqlite3.Connection:
    _clear_leftovers(place)
    state = state_of(file)
    end = read_tail(log, file.fileno()).finished
    told = checksum(file, 0, end)  # before the lines are parsed: whatever changes meanwhile does not fit it
    making = place.with_name(f"{place.name}.building-{os.getpid()}")
    making.unlink(missing_ok=True)
    try:
        with closing(_connect(making)) as connection:
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            connection.executescript(_TABLES)
            connection.execute("BEGIN")
            lines = _insert(log, file, connection, (0, end, 0), None)
            connection.execute("COMMIT")
            connection.executescript(_INDEXES)
            connection.execute("BEGIN")
            again = "SELECT run_id FROM places GROUP BY run_id HAVING count(*) > 1"
            connection.execute(_NEWEST.format(chosen=again))
            _write_meta(log, connection, (end, lines, told), state)
            connection.execute("COMMIT")
        making.replace(place)
    finally:
        making.unlink(missing_ok=True)
    return _connect(place)


def _insert(
    log: Log, file: IO[bytes], connection: sqlite3.Connection, span: tuple[int, int, int], runs: set[str] | None
) -> int:
    """Insert the records of a span (from, to, lines before it); return how many lines there are up to its end."""
    start, end, number = span
    rows: list[tuple[str | int, ...]] = []
    for line in read_lines(file, end=end, offset=start, number=number + 1):
        number = line.number
        record = None if line.too_long or not line.ended else parse_record(log, line.data)
        if record is None:
            continue
        rows.append((line.number, line.offset, line.size, *claims_of(record), 1))
        if runs is not None:
            runs.add(record["run_id"])
        if len(rows) == _BATCH:
            connection.executemany(_INSERT, rows)
            rows.clear()
    connection.executemany(_INSERT, rows)
    return number


def _connect(place: Path) -> sqlite3.Connection:
    return sqlite3.connect(place, timeout=_WAIT, isolation_level=None)


def _meta(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT key, value FROM meta"))


def _write_meta(log: Log, connection: sqlite3.Connection, seen: tuple[int, int, int], state: str) -> None:
    """Write what was `seen` of the log: up to which offset, how many lines, and the checksum of it."""
    end, lines, told = map(str, seen)
    values = {"format": _FORMAT, "reader": log.reader.fingerprint, "end": end, "lines": lines, "checksum": told}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [*values.items(), ("state", state)])


def _clear_leftovers(place: Path) -> None:
    """Remove what builders left that were killed."""
    for left in place.parent.glob(f"{place.name}.building-*"):
        pid = left.name.rpartition("-")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            with suppress(OSError):
                left.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
