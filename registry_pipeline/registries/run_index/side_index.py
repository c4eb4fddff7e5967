"""The side index: the location of each record in the log, by the fields that queries select on.

It is a sqlite file beside the log that can be removed at any time. A query reads each record that it finds in the log
itself and compares it with its row. "Not found" relies on the rows alone, so the index is used only if nobody else has
written into it (`index_state`) and the log still begins with the bytes that were indexed. Otherwise it is rebuilt. See
"What the side index proves" in docs/how-to-run-index.md.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Final

from registry_pipeline.canonical import second_of
from registry_pipeline.registries.run_index.fingerprint import checksum, is_recorded, record_state, stat_fingerprint
from registry_pipeline.registries.run_index.log_file import Entry, Log, parse_record, read_lines
from registry_pipeline.registries.run_index.record import UNIQUENESS, Record
from registry_pipeline.registries.run_index.tail import read_tail
from registry_pipeline.registries.run_index.versions import order_of
from registry_pipeline.values import value_type

_FORMAT: Final = "3"
_WAIT: Final = 10.0
_ATTEMPTS: Final = 5
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


@value_type
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


def index_row(record: Record) -> tuple[str, str, str, str, str, str, int, int]:
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
    """Return the side index of an open log, up to date with its finished lines; built or refreshed if it was not.

    The connection has begun a read transaction: other processes cannot write into the index until it is closed.

    Raises:
        UnusableError: it can neither be used nor written.
    """
    path = index_path(log)
    try:
        connection = None if anew else _continued(log, file, path)
        if connection is None:
            _built(log, file, path)
            connection = _continued(log, file, path)
    except (sqlite3.Error, OSError) as error:
        raise UnusableError(str(error)) from None
    if connection is None:
        raise UnusableError("the side index or the log changed while the index was built")
    return connection


def continued_index(log: Log, file: IO[bytes]) -> sqlite3.Connection | None:
    """Return the side index that exists, up to date with an open log; None if there is none, or it must be rebuilt.

    Raises:
        UnusableError: it can neither be read nor written now.
    """
    try:
        return _continued(log, file, index_path(log))
    except (sqlite3.Error, OSError) as error:
        raise UnusableError(str(error)) from None


def index_new_lines(log: Log, file: IO[bytes]) -> None:
    """Index what was appended, under the lock of the log, since the index was up to date; no connection may be open.

    Raises:
        UnusableError: the index cannot be written.
    """
    try:
        state = stat_fingerprint(file)
        _refresh(log, file, index_path(log), (read_tail(log, file.fileno()).finished, state))
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
    if record is None or index_row(record) != place.claims:
        return None
    return Entry(record, place.number, place.offset, place.size)


def _continued(log: Log, file: IO[bytes], path: Path) -> sqlite3.Connection | None:
    """Return the index that exists, refreshed; None if it must be rebuilt."""
    connection = _open_unchanged(path)
    if connection is None:
        return None
    try:
        meta = _meta(connection)
        # In this order: the log grows, so whatever another process has indexed already lies before the end read now.
        state = stat_fingerprint(file)
        end = read_tail(log, file.fileno()).finished
        is_known = meta["format"] == _FORMAT and meta["reader"] == log.reader.fingerprint
        if is_known and meta["state"] == state and meta["end"] == str(end):
            return connection
        # Growth hides edits: every indexed byte is read again, though none is parsed.
        indexed = int(meta["end"])
        is_prefix = is_known and indexed <= end and checksum(file, 0, indexed) == int(meta["checksum"])
    except (KeyError, ValueError):
        is_prefix = False
    except BaseException:
        connection.close()
        raise
    connection.close()
    if not is_prefix:
        return None
    _refresh(log, file, path, (end, state))
    return _open_unchanged(path)


def _open_unchanged(path: Path) -> sqlite3.Connection | None:
    """Return a connection that reads the index as this program wrote it; None if there is none, or it was changed."""
    for _ in range(_ATTEMPTS):
        if not path.is_file():
            return None
        before = path.stat().st_ino
        connection = _connect(path)
        try:
            # The pragma takes the read lock and runs nothing of a schema that is not yet known to be ours. A process
            # that is writing keeps its lock until it has recorded the new state.
            connection.execute("BEGIN")
            connection.execute("PRAGMA user_version").fetchone()
            # If the file was replaced meanwhile, `connection` may read the old one.
            if path.stat().st_ino == before:
                if is_recorded(path, before):
                    return connection
                connection.close()
                return None
        except sqlite3.OperationalError:  # locked, or not readable
            connection.close()
            raise
        except sqlite3.DatabaseError:
            connection.close()
            return None
        connection.close()
    raise UnusableError("other processes keep changing the side index")


def _refresh(log: Log, file: IO[bytes], path: Path, found: tuple[int, str]) -> None:
    """Index what was appended; another process may have been faster, so the start is read again under the lock."""
    inode = path.stat().st_ino
    with closing(_connect(path)) as connection:
        # A journal file would only cost time: an index whose write was cut off has no recorded state and is rebuilt.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("BEGIN IMMEDIATE")
        # The lock now outlives the commit until the connection is closed: nobody reads an index without its state. Set
        # before BEGIN, two processes would each keep the read lock that the other waits for.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not is_recorded(path, inode):
            raise UnusableError("the side index was changed while it was refreshed")
        end, state = found
        meta = _meta(connection)
        start, lines = int(meta["end"]), int(meta["lines"])
        if start > end:
            return
        indexed = checksum(file, start, end, int(meta["checksum"]))
        fresh: set[str] = set()
        lines = _insert(log, file, connection, (start, end, lines), fresh)
        for run_id in sorted(fresh):
            connection.execute(_NEWEST.format(chosen="?"), (run_id,))
        _write_meta(log, connection, (end, lines, indexed), state)
        connection.execute("COMMIT")
        record_state(path, inode)


def _built(log: Log, file: IO[bytes], path: Path) -> None:
    """Build the index from the log in a file of its own, then put it in the place of the one that exists."""
    _clear_leftovers(path)
    state = stat_fingerprint(file)
    end = read_tail(log, file.fileno()).finished
    indexed = checksum(file, 0, end)  # before the lines are parsed: a change meanwhile does not match it
    making = path.with_name(f"{path.name}.building-{os.getpid()}")
    making.unlink(missing_ok=True)
    try:
        with closing(_connect(making)) as connection:
            connection.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
            )
            connection.executescript(_TABLES)
            connection.execute("BEGIN")
            lines = _insert(log, file, connection, (0, end, 0), None)
            connection.execute("COMMIT")
            connection.executescript(_INDEXES)
            # The last commit syncs the whole file: a state that survives a power failure describes what is on the disk.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN")
            again = "SELECT run_id FROM places GROUP BY run_id HAVING count(*) > 1"
            connection.execute(_NEWEST.format(chosen=again))
            _write_meta(log, connection, (end, lines, indexed), state)
            connection.execute("COMMIT")
            _replace_index(making, path)
    finally:
        making.unlink(missing_ok=True)


def _replace_index(making: Path, path: Path) -> None:
    """Put a new index in place, with its state; its connection is still open and locked, so readers wait."""
    inode = making.stat().st_ino
    for suffix in ("-journal", "-wal", "-shm"):  # sqlite would write what an old one left into the new index
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    making.replace(path)
    record_state(path, inode)


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
        rows.append((line.number, line.offset, line.size, *index_row(record), 1))
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
