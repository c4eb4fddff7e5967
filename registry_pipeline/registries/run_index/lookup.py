"""What a run index holds of some runs, for whoever appends: by the side index that is there, else by reading it all.

An append never builds the index. One that is there is brought up to date before it is asked, every byte of the log that
it covers is vouched for, what it finds is read in the log itself, and what was appended is taken into it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing, suppress
from typing import IO

from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.scan import find_entries, finished_end
from registry_pipeline.registries.run_index.side_index import (
    UnusableError,
    continued_index,
    extent_of,
    index_new_lines,
    read_place,
    select_places,
)
from registry_pipeline.registries.run_index.versions import in_order


class RunIndexReader:
    """Finds the records of some runs in an open log; to be closed, for it may hold the side index."""

    __slots__ = ("_connection", "_log", "_run_ids")

    def __init__(self, log: Log, run_ids: Collection[str]) -> None:
        self._log, self._run_ids = log, run_ids
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the side index, if it is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def find(self, file: IO[bytes], end: int) -> tuple[list[Entry], int]:
        """Return the records up to an offset, in the order of the log, and how many lines it has."""
        self.close()
        try:
            self._connection = continued_index(self._log, file)
            if self._connection is not None:
                return self._indexed(file, end, self._connection)
        except UnusableError:
            self.close()
        return find_entries(self._log, file, end, "run_id", self._run_ids)

    def grew(self, file: IO[bytes]) -> None:
        """Take what was appended into the side index, if it was used; whoever asks next would do so else."""
        if self._connection is not None:
            self.close()  # its read lock would keep the index from being written
            with suppress(UnusableError):
                index_new_lines(self._log, file)

    def _indexed(self, file: IO[bytes], end: int, connection: sqlite3.Connection) -> tuple[list[Entry], int]:
        indexed, lines = extent_of(connection)
        if indexed != end:
            raise UnusableError("the index ends elsewhere")
        found: list[Entry] = []
        for run_id in self._run_ids:
            for place in select_places(connection, "WHERE run_id = ?", (run_id,)):
                entry = read_place(self._log, file, place)
                if entry is None:
                    raise UnusableError("a place does not hold what the index says")
                found.append(entry)
        return sorted(found, key=lambda entry: entry.number), lines


def find_current(log: Log, run_ids: Collection[str], *, use_index: bool = False) -> dict[str, Record]:
    """Return the current record of each of the runs that a run index has; none of them where there is no log."""
    if not run_ids or not log.path.exists():
        return {}
    wanted = frozenset(run_ids)
    with open_log(log) as file, closing(RunIndexReader(log, wanted)) as lookup:
        end, _ = finished_end(log, file)
        entries, _ = lookup.find(file, end) if use_index else find_entries(log, file, end, "run_id", wanted)
    held: dict[str, list[Entry]] = {}
    for entry in entries:
        held.setdefault(entry.record["run_id"], []).append(entry)
    return {run_id: in_order(each)[-1].record for run_id, each in held.items()}
