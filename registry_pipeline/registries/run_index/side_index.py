"""The side index: a sqlite file beside the log with the location of each record and the fields that queries select on.

It can be removed at any time. A query reads each record that it finds in the log itself and compares it with its row.
"Not found" relies on the rows alone, so the index is used only if nobody else has written into it (`is_recorded`) and
the log still starts with the bytes that were indexed, as far as `_compare_blocks` can say. Otherwise it is rebuilt. See
"What the side index proves" in docs/how-to/append-to-the-run-index.md.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import IO, Any, Final

from registry_pipeline.errors import RefusedError
from registry_pipeline.files.atomic_write import read_own_file
from registry_pipeline.registries.run_index.line_pattern import add_seconds
from registry_pipeline.registries.run_index.log_file import (
    Entry,
    Line,
    Log,
    parse_line,
    parse_record,
    read_tail,
    scan_lines,
)
from registry_pipeline.registries.run_index.record import UNIQUENESS, Record

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_STATE: Final = 256
_POLL: Final = 0.0005
# The longest wait for the clock of the file system, in seconds; the coarsest clocks advance every two.
_PATIENCE: Final = 3.0
_BLOCK: Final = 1 << 18
# How many blocks of the indexed part a refresh compares: 4 MiB, some milliseconds.
_COMPARED: Final = 16
_FORMAT: Final = "4"
_WAIT: Final = 10.0
_ATTEMPTS: Final = 5
_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL);
CREATE TABLE places (
    number INTEGER PRIMARY KEY, offset INTEGER NOT NULL, size INTEGER NOT NULL, run_id TEXT NOT NULL,
    created TEXT NOT NULL, ordered TEXT NOT NULL, machine TEXT NOT NULL, artist TEXT NOT NULL, genre TEXT NOT NULL,
    passed INTEGER NOT NULL, failed INTEGER NOT NULL, current INTEGER NOT NULL
);
"""
_BY_RUN: Final = "CREATE INDEX by_run ON places (run_id)"
# Made after `current` is set, which would change the last one.
_INDEXES: Final = """
CREATE INDEX by_lane ON places (artist, genre, created);
CREATE INDEX by_created ON places (created);
CREATE INDEX by_failure ON places (created) WHERE failed = 1;
CREATE INDEX by_success ON places (artist, genre, ordered) WHERE passed = 1 AND current = 1;
"""
_COLUMNS: Final = "number, offset, size, run_id, created, ordered, machine, artist, genre, passed, failed"
_INSERT: Final = f"INSERT INTO places ({_COLUMNS}, current) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"  # noqa: S608 - constants
_SET_CURRENT: Final = """
UPDATE places SET current = (number = (
    SELECT number FROM places AS other WHERE other.run_id = places.run_id
    ORDER BY ordered DESC, machine DESC, number DESC LIMIT 1
)) WHERE run_id IN ({runs})
"""
_REPEATED_RUNS: Final = "SELECT run_id FROM places GROUP BY run_id HAVING count(*) > 1"


IndexRow = tuple[Any, ...]
"""The location of a record and what `make_index_row` returns, in the order of the columns."""


class UnusableError(Exception):
    """The side index cannot be used now; the text is the reason. The log itself can be read."""


class LogChangedError(Exception):
    """A record in the log differs from its row in the side index."""


def index_path(log: Log) -> Path:
    """Return the path of the side index of a log."""
    return log.path.with_name(log.path.name + ".index.sqlite3")


def make_index_row(record: Record) -> IndexRow:
    """Return the row of a record in the side index: run, created, sort time, machine, artist, genre, passed, failed."""
    created = record["created_utc"]
    return (
        record["run_id"],
        add_seconds(created),
        add_seconds(record.get("last_updated_utc", created)),
        record["machine_id"],
        record["artist_id"],
        record["genre_id"],
        int(record["qa_gate2"] == "PASS"),
        int(any(record.get(name) == "FAIL" for name in UNIQUENESS)),
    )


def read_rows(log: Log, file: IO[bytes], end: int, *, offset: int = 0, number: int = 1) -> Iterator[IndexRow]:
    """Yield the row of each valid record of an open log between two offsets; other lines are ignored, but counted."""
    for line_number, line_offset, size, contents in scan_lines(log, file, end=end, offset=offset, number=number):
        if isinstance(contents, Line):
            entry, _ = parse_line(log, contents)
            if entry is not None:
                yield make_entry_row(entry)
            continue
        run_id, created, updated, machine, artist, genre, gate2, hook, scene, scripture, _, _, _, _ = contents
        failed = hook == "FAIL" or scene == "FAIL" or scripture == "FAIL"
        first = add_seconds(created)
        last = add_seconds(updated) if updated else first
        yield line_number, line_offset, size, run_id, first, last, machine, artist, genre, gate2 == "PASS", failed


def make_entry_row(entry: Entry) -> IndexRow:
    """Return the location and the row of a record."""
    return (entry.number, entry.offset, entry.size, *make_index_row(entry.record))


def select_entries(
    log: Log, file: IO[bytes], connection: sqlite3.Connection, clauses: str, values: Iterable[str | int] = ()
) -> Iterator[Entry]:
    """Yield the records that SQL clauses (WHERE, ORDER BY, LIMIT) select, read from the log.

    Raises:
        UnusableError: sqlite cannot read the index.
        LogChangedError: the log has no such record at the location of a row.
    """
    try:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM places {clauses}", tuple(values))  # noqa: S608 - constants
        for number, offset, size, *row in rows:
            entry = _read_line(log, file, number, offset, size)
            if entry is None or make_index_row(entry.record) != tuple(row):
                raise LogChangedError
            yield entry
    except sqlite3.Error as error:
        raise UnusableError(str(error)) from None


def _read_line(log: Log, file: IO[bytes], number: int, offset: int, size: int) -> Entry | None:
    """Return the record at a location, None if that is not exactly one line with a valid record."""
    before = min(1, offset)  # the newline of the previous line
    data = os.pread(file.fileno(), size + before, offset - before)
    line = data[before:]
    if len(line) != size or data.count(b"\n") != 1 + before or data[:before].strip() or line[-1:] != b"\n":
        return None
    return parse_record(log, line, number, offset)


def make_index_in_memory(rows: Iterable[IndexRow]) -> sqlite3.Connection:
    """Return a connection to an index of rows in memory, with the columns of the side index."""
    connection = _connect(":memory:")
    connection.executescript(_TABLES)
    connection.execute("BEGIN")
    connection.executemany(_INSERT, rows)
    connection.execute(_BY_RUN)
    connection.execute(_SET_CURRENT.format(runs=_REPEATED_RUNS))
    connection.execute("COMMIT")
    return connection


def open_index(log: Log, file: IO[bytes], *, rebuild: bool = False) -> sqlite3.Connection:
    """Return a connection to the side index of an open log, refreshed or rebuilt if it is not up to date.

    The connection has begun a read transaction: other processes cannot write into the index until it is closed.

    Raises:
        UnusableError: the index can neither be used nor written.
    """
    path = index_path(log)
    try:
        connection = None if rebuild else _open_refreshed(log, file, path)
        if connection is None:
            _build(log, file, path)
            connection = _open_refreshed(log, file, path)
    except (sqlite3.Error, OSError) as error:
        raise UnusableError(str(error)) from None
    if connection is None:
        raise UnusableError("the side index or the log changed while the index was built")
    return connection


def _open_refreshed(log: Log, file: IO[bytes], path: Path) -> sqlite3.Connection | None:
    """Return a connection to the existing index, refreshed if the log has changed; None if it must be rebuilt."""
    connection = _open_if_unchanged(path)
    if connection is None:
        return None
    with ExitStack() as stack:
        stack.callback(connection.close)
        meta = _read_meta(connection)
        if meta is None or (meta["format"], meta["reader"]) != (_FORMAT, log.validator.fingerprint):
            return None
        # In this order: the log grows, so whatever another process has indexed ends before the end that is read now.
        if (meta["state"], meta["end"]) == tuple(map(str, _read_log_state(log, file))):
            stack.pop_all()
            return connection
    return _open_if_unchanged(path) if _refresh(log, file, path) else None


def _open_if_unchanged(path: Path) -> sqlite3.Connection | None:
    """Return a connection in a read transaction, or None if the index is missing or was changed.

    Changed means that its inode, size or times differ from its state file.

    Raises:
        sqlite3.OperationalError: the index is locked or unreadable.
        UnusableError: it was replaced during every attempt.
    """
    for _ in range(_ATTEMPTS):
        if not path.is_file():
            return None
        inode = path.stat().st_ino
        with ExitStack() as stack:
            connection = stack.enter_context(closing(_connect(path)))
            try:
                # The pragma takes the read lock and runs nothing of a schema that is not yet known to be ours. A
                # process that is writing keeps its lock until it has recorded the new state.
                connection.execute("BEGIN")
                connection.execute("PRAGMA user_version").fetchone()
            except sqlite3.OperationalError:  # locked, or not readable
                raise
            except sqlite3.DatabaseError:
                return None
            # If the file was replaced meanwhile, `connection` may read the old one.
            if path.stat().st_ino == inode:
                if not is_recorded(path, inode):
                    return None
                stack.pop_all()
                return connection
    raise UnusableError("other processes keep changing the side index")


def _refresh(log: Log, file: IO[bytes], path: Path) -> bool:
    """Add the lines that were appended since to the index file; return False if it must be rebuilt."""
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
        # Another process may have been faster, so the start is read under the lock, and the end of the log after it.
        meta = _read_meta(connection)
        state, end = _read_log_state(log, file)
        if meta is None or (compared := _compare_blocks(file, connection, meta, state, end)) is None:
            return False
        start, lines = int(meta["end"]), int(meta["lines"])
        _write_blocks(connection, file, start, end)
        connection.executemany(_INSERT, read_rows(log, file, end, offset=start, number=lines + 1))
        connection.execute(_SET_CURRENT.format(runs="SELECT run_id FROM places WHERE number > ?"), (lines,))
        _write_meta(log, connection, state, end, lines + count_newlines(file, start, end), compared)
        connection.execute("COMMIT")
        record_state(path, inode)
    return True


def _build(log: Log, file: IO[bytes], path: Path) -> None:
    """Build the index from the log in a temporary file, and replace the existing one with it."""
    _remove_leftovers(path)
    state, end = _read_log_state(log, file)  # before the lines that it must describe are read
    temporary = path.with_name(f"{path.name}.building-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with closing(_connect(temporary)) as connection:
            connection.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
            )
            connection.executescript(_TABLES)
            connection.execute("BEGIN")
            _write_blocks(connection, file, 0, end)  # before the lines are parsed: a change meanwhile does not match
            connection.executemany(_INSERT, read_rows(log, file, end))
            connection.execute(_BY_RUN)
            connection.execute(_SET_CURRENT.format(runs=_REPEATED_RUNS))
            connection.execute("COMMIT")
            connection.executescript(_INDEXES)
            # The last commit syncs the whole file: a state that survives a power failure describes what is on the disk.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN")
            _write_meta(log, connection, state, end, count_newlines(file, 0, end), 0)
            connection.execute("COMMIT")
            # The connection is still open and locked, so readers wait for the state.
            inode = temporary.stat().st_ino
            for suffix in ("-journal", "-wal", "-shm"):  # sqlite would apply what an old index left to the new one
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            temporary.replace(path)
            record_state(path, inode)
    finally:
        temporary.unlink(missing_ok=True)


def _read_log_state(log: Log, file: IO[bytes]) -> tuple[str, int]:
    """Return the state of an open log, and the offset where its complete lines end."""
    return format_state(os.fstat(file.fileno())), read_tail(log, file.fileno()).finished


def _compare_blocks(
    file: IO[bytes], connection: sqlite3.Connection, meta: Mapping[str, str], state: str, end: int
) -> int | None:
    """Return the block with which the next comparison begins; None if a block of the log is not as it was indexed.

    A file that is the same (by its inode) and longer was appended to: of it the last indexed block is compared, and the
    next `_COMPARED` ones in a rotation. So the cost does not depend on the size of the log. Of any other file every
    block is compared.

    An edit that changes the length of a line moves the last indexed block, and is found at once. An edit that keeps the
    length, in place and directly before an append, is found when the rotation has reached its block. Until then a row
    of the edited line is still compared with the log when a query selects it.
    """
    indexed, first = int(meta["end"]), int(meta["compared"])
    if indexed > end:
        return None
    count = -(-indexed // _BLOCK)
    numbers: Iterable[int] = range(count)
    if end > indexed and meta["state"].partition(":")[0] == state.partition(":")[0] and count > _COMPARED:
        numbers = (count - 1, *((first + number) % count for number in range(_COMPARED)))
        first = (first + _COMPARED) % count
    for number in numbers:
        row = connection.execute("SELECT checksum FROM blocks WHERE number = ?", (number,)).fetchone()
        if row != (_checksum_block(file, number, indexed),):
            return None
    return first


def _write_blocks(connection: sqlite3.Connection, file: IO[bytes], start: int, end: int) -> None:
    """Write the checksums of the blocks of a log that contain the bytes between two offsets."""
    rows = ((number, _checksum_block(file, number, end)) for number in range(start // _BLOCK, -(-end // _BLOCK)))
    connection.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?)", rows)


def _checksum_block(file: IO[bytes], number: int, end: int) -> int:
    """Return the CRC-32 of a block of a log, up to an offset."""
    # A checksum detects edits, not forgeries, which suffices here: no proof relies on the side index.
    start = number * _BLOCK
    return zlib.crc32(os.pread(file.fileno(), min(_BLOCK, end - start), start))


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT, isolation_level=None)


def _read_meta(connection: sqlite3.Connection) -> dict[str, str] | None:
    """Return what the index describes, None if that is not complete."""
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    has_numbers = all(meta.get(key, "").isdigit() for key in ("end", "lines", "compared"))
    return meta if has_numbers and meta.keys() >= {"format", "reader", "state"} else None


def _write_meta(log: Log, connection: sqlite3.Connection, state: str, end: int, lines: int, compared: int) -> None:
    """Write which state of the log is indexed, up to which offset and line, and the next block to compare."""
    values = {"format": _FORMAT, "reader": log.validator.fingerprint, "state": state}
    numbers = {"end": str(end), "lines": str(lines), "compared": str(compared)}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", (values | numbers).items())


def _remove_leftovers(path: Path) -> None:
    # Processes that were killed left their temporary files.
    for leftover in path.parent.glob(f"{path.name}.building-*"):
        pid = leftover.name.rpartition("-")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            with suppress(OSError):
                leftover.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a process of another user
    return True


def state_path(index: Path) -> Path:
    """Return the path of the state file of a side index; the git ignore rule of the index covers it."""
    return index.with_name(index.name + ".state")


def is_recorded(index: Path, inode: int) -> bool:
    """Return whether a side index has this inode and the state that its state file records."""
    # No row of a sqlite file can prove that another row was not deleted, but a change of the file changes its state.
    try:
        stat = index.stat()
        state = format_state(stat).encode("ascii")
        return stat.st_ino == inode and read_own_file(state_path(index), _MAX_STATE) == state
    except (OSError, RefusedError):
        return False


def record_state(index: Path, inode: int) -> None:
    """Record the state of a side index that this program has written; call it while the index is still locked.

    Waits, at most `_PATIENCE` seconds, until the clock of the file system has advanced. If it does not advance, or
    another file has replaced the index, no valid state is recorded, and the index counts as changed.

    Raises:
        OSError: the state file cannot be written.
    """
    path = state_path(index)
    path.unlink(missing_ok=True)
    stat = index.stat()
    if stat.st_ino != inode:
        return  # another file has taken its name
    descriptor = os.open(path, _CREATE, 0o644)
    try:
        # A later change of the index, or of the log that was written before it, must get other times. So the state is
        # written only when the clock that stamps files has advanced.
        until = time.monotonic() + _PATIENCE
        while os.fstat(descriptor).st_ctime_ns <= stat.st_ctime_ns:
            if time.monotonic() > until:
                return
            time.sleep(_POLL)
            os.pwrite(descriptor, b"-", 0)
        os.pwrite(descriptor, format_state(stat).encode("ascii"), 0)
    finally:
        os.close(descriptor)


def format_state(stat: os.stat_result) -> str:
    """Return the inode, size, mtime and ctime of a file as one line."""
    # Without the device, whose number changes when some file systems are mounted again.
    return f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}\n"


def count_newlines(file: IO[bytes], start: int, end: int) -> int:
    """Return the number of newlines between two offsets of an open file."""
    offsets = range(start, end, _BLOCK)
    return sum(os.pread(file.fileno(), min(_BLOCK, end - offset), offset).count(b"\n") for offset in offsets)
