"""The diagnostics store: what validators found, once each, with the events that told it (SPEC 9; seed 002).

Holds one DuckDB file with two tables. Keeps out rules (what is a violation is decided elsewhere) and the clock. May
import `errors` and below; duckdb is imported when the store is opened.

The store is a memory and no evidence: it lies beside publish_root, git ignores it, and no verdict rests on it. One
process writes at a time, which DuckDB's own lock sees to; whoever comes second waits for it, and not for ever.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.files.durable import make_folders
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.values import value_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STORE_NAME: Final = "diagnostics.duckdb"
EVENT_CODE: Final = "FR-EVT-003"
EVENT_TYPE: Final = "diagnostic"
SOURCE: Final = "validator"
_WAIT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
_TITLE: Final = 120
# Nothing is fetched over the network, whatever a value looks like.
_CONFIG: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
}
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS diagnostics (
    diagnostic_id VARCHAR PRIMARY KEY, fingerprint VARCHAR NOT NULL UNIQUE, title VARCHAR NOT NULL,
    message VARCHAR NOT NULL, severity VARCHAR NOT NULL, source VARCHAR NOT NULL, surface VARCHAR NOT NULL,
    tool VARCHAR NOT NULL, code VARCHAR NOT NULL, tags VARCHAR[] NOT NULL, wsid VARCHAR, job_id VARCHAR,
    locations VARCHAR[] NOT NULL, link_confidence VARCHAR NOT NULL, status VARCHAR NOT NULL, count BIGINT NOT NULL,
    first_seen VARCHAR NOT NULL, last_seen VARCHAR NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS flight_recorder_events (
    event_id VARCHAR PRIMARY KEY, event_code VARCHAR NOT NULL, event_type VARCHAR NOT NULL,
    recorded_utc VARCHAR NOT NULL, job_id VARCHAR, payload VARCHAR NOT NULL)""",
)
_COLUMNS: Final = (
    "diagnostic_id, fingerprint, title, message, severity, source, surface, tool, code, tags, wsid, job_id, "
    "locations, link_confidence, status, count, first_seen, last_seen"
)
# A later sighting tells the newest words; when it was first seen, and as what, stays.
_RECORD: Final = f"""INSERT INTO diagnostics ({_COLUMNS})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
ON CONFLICT (fingerprint) DO UPDATE SET title = excluded.title, message = excluded.message,
    severity = excluded.severity, tags = excluded.tags, wsid = excluded.wsid, job_id = excluded.job_id,
    locations = excluded.locations, link_confidence = excluded.link_confidence, status = excluded.status,
    count = count + 1, last_seen = greatest(last_seen, excluded.last_seen)"""  # noqa: S608 - the columns above
_EVENT: Final = "INSERT INTO flight_recorder_events VALUES (?, ?, ?, ?, ?, ?)"
_EVENT_COLUMNS: Final = ("event_id", "event_code", "event_type", "recorded_utc", "job_id", "payload")


@value_type
class Diagnostic:
    """One thing that a validator found.

    `fingerprint` (64 hex digits) is the same for the same thing, wherever its line has moved. `surface` is what was
    judged, `tool` who judged. `locations` are `path:line:column` texts. `link_confidence` is `direct` where a run is
    named by `job_id`, else `none`. `status` is `open` or `waived`.
    """

    fingerprint: str
    message: str
    severity: str
    surface: str
    tool: str
    code: str
    tags: tuple[str, ...] = ()
    wsid: str | None = None
    job_id: str | None = None
    locations: tuple[str, ...] = ()
    status: str = "open"

    @property
    def diagnostic_id(self) -> str:
        """The id: it follows from the fingerprint, so that every store gives the same one."""
        return f"diag_{self.fingerprint[:24]}"

    @property
    def title(self) -> str:
        """The code and the beginning of the message, on one line."""
        told = f"{self.code}: {self.message}"
        return told if len(told) <= _TITLE else f"{told[: _TITLE - 1]}…"

    @property
    def link_confidence(self) -> str:
        """How sure it is which run found this."""
        return "none" if self.job_id is None else "direct"

    def payload(self) -> dict[str, str]:
        """Return what an event says of it: whoever wants the rest looks it up by its id."""
        stated = {"diagnostic_id": self.diagnostic_id, "wsid": self.wsid, "severity": self.severity, "source": SOURCE}
        return {key: value for key, value in stated.items() if value is not None}


def record_diagnostics(
    store: Path, diagnostics: Sequence[Diagnostic], now: datetime, *, wait_seconds: float = _WAIT_SECONDS
) -> int:
    """Record what was found, all of it or nothing, each with its event; return how many of them are new.

    Raises:
        BusyError: another process held the store all the time.
        NotFoundError: the store cannot be opened or written; nothing of it was changed.
        RefusedError, WriteError: its lock is a link, leads outside, or cannot be made.
    """
    if not diagnostics:
        return 0
    unique = {each.fingerprint: each for each in diagnostics}
    with _opened(store, wait_seconds, write=True) as connection:
        connection.execute("BEGIN")
        for statement in _TABLES:
            connection.execute(statement)
        before = _count(connection, "diagnostics")
        number = _count(connection, "flight_recorder_events")
        for place, each in enumerate(unique.values(), number):
            connection.execute(_RECORD, _row(each, utc_text(now)))
            connection.execute(_EVENT, _event(each, utc_text(now), place))
        new = _count(connection, "diagnostics") - before
        connection.execute("COMMIT")
    return new


def read_diagnostics(store: Path, *, wait_seconds: float = _WAIT_SECONDS) -> list[dict[str, Any]]:
    """Return every diagnostic as an object with the columns of SPEC 9, the one seen last first; none without a store.

    Raises:
        BusyError: another process held the store all the time. NotFoundError: it cannot be read.
    """
    wanted = f"SELECT {_COLUMNS} FROM diagnostics"  # noqa: S608 - the columns above
    return _read(store, f"{wanted} ORDER BY last_seen DESC, code, fingerprint", wait_seconds)


def read_events(store: Path, *, wait_seconds: float = _WAIT_SECONDS) -> list[dict[str, Any]]:
    """Return every event, the newest first; `payload` is parsed.

    Raises:
        BusyError: another process held the store all the time. NotFoundError: it cannot be read.
    """
    wanted = f"SELECT {', '.join(_EVENT_COLUMNS)} FROM flight_recorder_events"  # noqa: S608 - the columns above
    rows = _read(store, f"{wanted} ORDER BY recorded_utc DESC, event_id", wait_seconds)
    return [row | {"payload": json.loads(row["payload"])} for row in rows]


def _read(store: Path, query: str, wait_seconds: float) -> list[dict[str, Any]]:
    if not store.exists():
        return []
    with _opened(store, wait_seconds, write=False) as connection:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _row(each: Diagnostic, seen: str) -> list[Any]:
    told = [each.diagnostic_id, each.fingerprint, each.title, each.message, each.severity, SOURCE, each.surface]
    told += [each.tool, each.code]
    rest = [list(each.tags), each.wsid, each.job_id, list(each.locations), each.link_confidence, each.status]
    return [*told, *rest, seen, seen]


def _event(each: Diagnostic, seen: str, number: int) -> list[Any]:
    """Return an event; its id is that of its place in the store, in which none is ever removed."""
    payload = json.dumps(each.payload(), separators=(",", ":"))
    event_id = f"evt_{number + 1:08d}_{sha256_hex(f'{number}{seen}{payload}'.encode())[:12]}"
    return [event_id, EVENT_CODE, EVENT_TYPE, seen, each.job_id, payload]


def _count(connection: DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - one of two names above
    return 0 if row is None else int(row[0])


@contextmanager
def _opened(store: Path, wait_seconds: float, *, write: bool) -> Iterator[DuckDBPyConnection]:
    """Open the store, waiting for whoever has it; every failure of DuckDB becomes an error of ours.

    Raises:
        BusyError, NotFoundError: as `record_diagnostics`.
    """
    import duckdb  # noqa: PLC0415 - half the start of the command line, and only who has something to tell pays

    # DuckDB locks a file that exists; two processes that create it at once would each find half of the other's.
    lock = store.parent / "cache" / "diagnostics.lock"
    try:
        _prepare(store, write=write)
        with (
            hold_lock(lock, store.parent, "write to the diagnostics", wait_seconds=wait_seconds, make_folder=True)
            if write
            else nullcontext(),
            closing(_connected(store, wait_seconds, write=write)) as connection,
        ):
            yield connection
    except (duckdb.Error, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise NotFoundError(
            f"the diagnostics store {store} cannot be {'written' if write else 'read'}: {reason}",
            "it is no evidence: move it away, and the next check begins a new one",
        ) from None


def _prepare(store: Path, *, write: bool) -> None:
    if store.is_symlink():
        raise OSError("it is a link, which could lead anywhere")
    if write:
        make_folders(store.parent)


def _connected(store: Path, wait_seconds: float, *, write: bool) -> DuckDBPyConnection:
    import duckdb  # noqa: PLC0415 - as above

    pause, ends = _PAUSE_SECONDS, time.monotonic() + wait_seconds
    while True:
        try:
            return duckdb.connect(str(store), read_only=not write, config=_CONFIG)
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            if time.monotonic() >= ends:
                message = f"another process has held the diagnostics store {store} for {wait_seconds:g} s"
                raise BusyError(message, "run the command again once it is done") from None
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
