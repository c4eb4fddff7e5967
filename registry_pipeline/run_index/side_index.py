"""The side index: where in the log each record stands, by what queries ask for (SPEC 11).

A sqlite file beside the log, rebuildable and never authoritative: it tells places, and whoever reads a place reads the
record there and holds it against what the index said. It is built once, refreshed from what was appended, and built
anew where the log is not what it was continued from.
"""

from __future__ import annotations

import hashlib
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
from registry_pipeline.run_index.record import UNIQUENESS, Record
from registry_pipeline.run_index.stamps import second_of
from registry_pipeline.run_index.tail import read_tail

_FORMAT: Final = "1"
_SAMPLES: Final = 16
_SAMPLE: Final = 4096
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


def counted(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many lines and how many records the index has seen."""
    try:
        records = connection.execute("SELECT count(*) FROM places").fetchone()[0]
        return int(_meta(connection)["lines"]), int(records)
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
        end = read_tail(log, file.fileno()).finished
        is_known = meta["format"] == _FORMAT and meta["reader"] == log.reader.fingerprint
        if is_known and meta["state"] == _state(file) and meta["end"] == str(end):
            return connection
        if is_known and _is_prefix(file, meta, end):
            _refresh(log, file, end, connection)
            return connection
    except (sqlite3.DatabaseError, KeyError, ValueError) as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or not to be written: not damaged
            connection.close()
            raise
    connection.close()
    return None


def _is_prefix(file: IO[bytes], meta: dict[str, str], end: int) -> bool:
    """Tell whether what was indexed is the beginning of a log that changed since, as far as samples show."""
    indexed = int(meta["end"])
    grew = indexed < end or int(meta["size"]) > _size(file)
    return grew and indexed <= end and meta["samples"] == _samples(file, indexed)


def _refresh(log: Log, file: IO[bytes], end: int, connection: sqlite3.Connection) -> None:
    """Take in what was appended since; another process may have been faster, so that the start is read anew."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        meta = _meta(connection)
        start, lines = int(meta["end"]), int(meta["lines"])
        if start > end:
            return
        fresh: set[str] = set()
        lines = _insert(log, file, connection, (start, end, lines), fresh)
        for run_id in sorted(fresh):
            connection.execute(_NEWEST.format(chosen="?"), (run_id,))
        _write_meta(log, file, connection, end, lines)


def _built(log: Log, file: IO[bytes], place: Path) -> sqlite3.Connection:
    _clear_leftovers(place)
    end = read_tail(log, file.fileno()).finished
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
            _write_meta(log, file, connection, end, lines)
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


def _write_meta(log: Log, file: IO[bytes], connection: sqlite3.Connection, end: int, lines: int) -> None:
    told = {
        "format": _FORMAT,
        "reader": log.reader.fingerprint,
        "end": str(end),
        "lines": str(lines),
        "size": str(_size(file)),
        "state": _state(file),
        "samples": _samples(file, end),
    }
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", told.items())


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _state(file: IO[bytes]) -> str:
    stat = os.fstat(file.fileno())
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def _samples(file: IO[bytes], end: int) -> str:
    """Return the hash of samples of the first `end` bytes, the last ones among them: a log that was edited shows."""
    digest = hashlib.sha256()
    last = max(0, end - _SAMPLE)
    for place in sorted({last * number // _SAMPLES for number in range(_SAMPLES + 1)}):
        digest.update(os.pread(file.fileno(), min(_SAMPLE, end - place), place))
    return digest.hexdigest()


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
