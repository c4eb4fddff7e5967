"""The diagnostics store: each violation that a check found, once, and an event for each time it was found.

One DuckDB file beside publish_root, ignored by git. It is not evidence and no verdict depends on it.
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
from registry_pipeline.values import fields, value_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STORE_NAME: Final = "diagnostics.duckdb"
_SOURCE: Final = "validator"
_WAIT_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
_MAX_TITLE: Final = 120
# No extension is downloaded, whatever a value looks like.
_CONFIG: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
}
_TABLES: Final = {
    "diagnostics": """diagnostic_id VARCHAR PRIMARY KEY, fingerprint VARCHAR NOT NULL UNIQUE, title VARCHAR NOT NULL,
message VARCHAR NOT NULL, severity VARCHAR NOT NULL, source VARCHAR NOT NULL, surface VARCHAR NOT NULL,
tool VARCHAR NOT NULL, code VARCHAR NOT NULL, tags VARCHAR[] NOT NULL, wsid VARCHAR, job_id VARCHAR,
locations VARCHAR[] NOT NULL, link_confidence VARCHAR NOT NULL, status VARCHAR NOT NULL, count BIGINT NOT NULL,
first_seen VARCHAR NOT NULL, last_seen VARCHAR NOT NULL""",
    "flight_recorder_events": """event_id VARCHAR PRIMARY KEY, event_code VARCHAR NOT NULL, event_type VARCHAR NOT NULL,
recorded_utc VARCHAR NOT NULL, job_id VARCHAR, payload VARCHAR NOT NULL""",
}
# A later sighting updates the description; first_seen and the id stay.
_ON_CONFLICT: Final = """ON CONFLICT (fingerprint) DO UPDATE SET title = excluded.title, message = excluded.message,
    severity = excluded.severity, tags = excluded.tags, wsid = excluded.wsid, job_id = excluded.job_id,
    locations = excluded.locations, link_confidence = excluded.link_confidence, status = excluded.status,
    count = count + 1, last_seen = greatest(last_seen, excluded.last_seen)"""


@value_type
class Diagnostic:
    """One violation to be recorded; the fingerprint is the same each time the same violation is found."""

    fingerprint: str
    message: str
    severity: str
    # what was checked, and which check found it
    surface: str
    tool: str
    code: str
    tags: tuple[str, ...] = ()
    wsid: str | None = None
    # the Dagster run
    job_id: str | None = None
    # texts `path:line:column`
    locations: tuple[str, ...] = ()
    # `open` or `waived`
    status: str = "open"

    @property
    def diagnostic_id(self) -> str:
        """The id of the row."""
        # Made of the fingerprint, so every store has the same.
        return f"diag_{self.fingerprint[:24]}"

    def to_row(self, seen: str) -> dict[str, Any]:
        """Return the row of the table for a first sighting."""
        title = f"{self.code}: {self.message}"
        return {name: getattr(self, name) for name in fields(Diagnostic)} | {
            "diagnostic_id": self.diagnostic_id,
            "title": title if len(title) <= _MAX_TITLE else f"{title[: _MAX_TITLE - 1]}…",
            "source": _SOURCE,
            "tags": list(self.tags),
            "locations": list(self.locations),
            "link_confidence": "none" if self.job_id is None else "direct",
            "count": 1,
            "first_seen": seen,
            "last_seen": seen,
        }

    def to_event(self, seen: str, number: int) -> dict[str, Any]:
        """Return the event of one sighting, the `number`-th of the store."""
        workspace = {} if self.wsid is None else {"wsid": self.wsid}
        content = {"diagnostic_id": self.diagnostic_id, **workspace, "severity": self.severity, "source": _SOURCE}
        payload = json.dumps(content, separators=(",", ":"))
        # Events are never removed, so their number makes the id unique.
        return {
            "event_id": f"evt_{number + 1:08d}_{sha256_hex(f'{number}{seen}{payload}'.encode())[:12]}",
            "event_code": "FR-EVT-003",
            "event_type": "diagnostic",
            "recorded_utc": seen,
            "job_id": self.job_id,
            "payload": payload,
        }


def record_diagnostics(
    store: Path, diagnostics: Sequence[Diagnostic], now: datetime, *, wait_seconds: float = _WAIT_SECONDS
) -> int:
    """Record all diagnostics or none, each with its event; return how many fingerprints are new.

    Of those with the same fingerprint the last is recorded. Without diagnostics no store is created.

    Raises:
        BusyError: another process used the store for `wait_seconds`.
        NotFoundError, RefusedError, WriteError: the store or its lock cannot be used; nothing was changed.
    """
    if not diagnostics:
        return 0
    unique = {diagnostic.fingerprint: diagnostic for diagnostic in diagnostics}
    seen = utc_text(now)
    with _open_store(store, wait_seconds, write=True) as connection:
        # A failure before COMMIT closes the connection, which discards everything.
        connection.execute("BEGIN")
        for table, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        previous = _count_rows(connection, "diagnostics")
        number = _count_rows(connection, "flight_recorder_events")
        rows = [diagnostic.to_row(seen) for diagnostic in unique.values()]
        _insert(connection, "diagnostics", rows, _ON_CONFLICT)
        events = [diagnostic.to_event(seen, number + index) for index, diagnostic in enumerate(unique.values())]
        _insert(connection, "flight_recorder_events", events)
        new = _count_rows(connection, "diagnostics") - previous
        connection.execute("COMMIT")
    return new


def read_diagnostics(store: Path, *, wait_seconds: float = _WAIT_SECONDS) -> list[dict[str, Any]]:
    """Return every diagnostic, the last seen first, or [] if there is no store; raises as `record_diagnostics`."""
    return _read_table(store, "diagnostics", "last_seen DESC, code, fingerprint", wait_seconds)


def read_events(store: Path, *, wait_seconds: float = _WAIT_SECONDS) -> list[dict[str, Any]]:
    """Return every event with its parsed payload, the newest first; raises as `read_diagnostics`."""
    rows = _read_table(store, "flight_recorder_events", "recorded_utc DESC, event_id", wait_seconds)
    return [row | {"payload": json.loads(row["payload"])} for row in rows]


def _read_table(store: Path, table: str, order: str, wait_seconds: float) -> list[dict[str, Any]]:
    # No violation was found yet.
    if not store.exists():
        return []
    names = list(_parse_column_types(table))
    with _open_store(store, wait_seconds, write=False) as connection:
        cursor = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}")  # noqa: S608
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _insert(connection: DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]], suffix: str = "") -> None:
    # One statement for all rows, with a list per column: a statement per row takes a millisecond each.
    columns = _parse_column_types(table)
    values = ", ".join(f"unnest(?::{kind}[])" for kind in columns.values())
    statement = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} {suffix}"
    connection.execute(statement, [[row[name] for row in rows] for name in columns])


def _parse_column_types(table: str) -> dict[str, str]:
    return {words[0]: words[1] for words in map(str.split, _TABLES[table].split(","))}


def _count_rows(connection: DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608


@contextmanager
def _open_store(store: Path, wait_seconds: float, *, write: bool) -> Iterator[DuckDBPyConnection]:
    """Open the store, waiting for another process; any failure of DuckDB, in the block too, is a NotFoundError."""
    import duckdb  # noqa: PLC0415 - takes half of the start-up time of a command

    # DuckDB locks an existing file only: two processes that create it at once would see half of each other's.
    lock = store.parent / "cache" / "diagnostics.lock"
    try:
        if store.is_symlink():
            raise OSError("it is a link")  # noqa: TRY301
        if write:
            make_folders(store.parent)
        with (
            hold_lock(lock, store.parent, "write to the diagnostics", wait_seconds=wait_seconds, make_folder=True)
            if write
            else nullcontext(),
            closing(_connect(store, wait_seconds, write=write)) as connection,
        ):
            yield connection
    except (duckdb.Error, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise NotFoundError(
            f"the diagnostics store {store} cannot be {'written' if write else 'read'}: {reason}",
            "move it away; it is not evidence, and the next check creates a new one",
        ) from None


def _connect(store: Path, wait_seconds: float, *, write: bool) -> DuckDBPyConnection:
    import duckdb  # noqa: PLC0415 - as in _open_store

    pause, deadline = _FIRST_PAUSE, time.monotonic() + wait_seconds
    while True:
        try:
            return duckdb.connect(str(store), read_only=not write, config=_CONFIG)
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            if time.monotonic() >= deadline:
                message = f"another process has locked the diagnostics store {store} for {wait_seconds:g} s"
                raise BusyError(message, "run the command again when it has finished") from None
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
