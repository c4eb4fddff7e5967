"""What a command does with the two logs of a repository: append to one, check one, merge two of a kind (SPEC 11).

Everything here is composed of the other files of this room; git and sealed snapshots are handed in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from registry_pipeline.canon import utc_text
from registry_pipeline.config import Governed
from registry_pipeline.model.finding import Finding
from registry_pipeline.run_index.append import Appended, append_records
from registry_pipeline.run_index.check import check_overrides, check_runs, find_current
from registry_pipeline.run_index.gates import Surroundings
from registry_pipeline.run_index.lines import Entry
from registry_pipeline.run_index.logs import overrides_log, run_index_log
from registry_pipeline.run_index.overrides import OverrideBook, read_book
from registry_pipeline.run_index.record import Record
from registry_pipeline.run_index.scan import find_entries, read_whole
from registry_pipeline.run_index.songs import read_song_index


def read_surroundings(
    governed: Governed, *, machine_id: str | None, now: datetime | None
) -> tuple[Surroundings, tuple[Finding, ...]]:
    """Return what the run index of a repository is held against, and what of that could not be read."""
    config = governed.config.run_index
    songs, findings = None, ()
    if config.song_index is not None:
        songs, findings = read_song_index(governed.path(config.song_index), config.song_index)
    around = Surroundings(
        overrides=read_overrides(governed),
        song_index=songs,
        machine_id=machine_id,
        now=None if now is None else utc_text(now),
        is_file=os.path.isfile,  # noqa: PTH113 - of a text that need not be a path of this system
    )
    return around, findings


def read_overrides(governed: Governed) -> OverrideBook:
    """Return the overrides of a repository as they stand; none where there is no log of them."""
    log = overrides_log(governed)
    return read_book(log.shown, read_whole(log, missing_ok=True).entries)


def append_runs(governed: Governed, records: Sequence[Record], around: Surroundings) -> Appended:
    """Append records to the run index; raises as `append_records` does."""
    log = run_index_log(governed)
    wanted = {record["run_id"] for record in records}

    def find(file: IO[bytes], end: int) -> tuple[list[Entry], int]:
        return find_entries(log, file, end, "run_id", wanted)

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        return check_runs(log.shown, entries, around)

    return append_records(log, records, find, check)


def append_overrides(governed: Governed, records: Sequence[Record]) -> Appended:
    """Append records to the overrides log; raises as `append_records` does."""
    log, runs = overrides_log(governed), run_index_log(governed)
    wanted = {record["override_id"] for record in records}
    current = find_current(runs, {record["run_id"] for record in records if "run_id" in record})

    def find(file: IO[bytes], end: int) -> tuple[list[Entry], int]:
        return find_entries(log, file, end, "override_id", wanted)

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        return check_overrides(log, read_book(log.shown, entries), current)

    return append_records(log, records, find, check)


def as_told(standing: Any) -> dict[str, Any]:
    """Return an override with the status that holds, and who told it when (None: nobody since it was made)."""
    update = None if standing.update is None else standing.update.record
    told = {"status": standing.status, "status_utc": None, "status_by": None}
    if update is not None:
        told |= {"status_utc": update["update_utc"], "status_by": update["updated_by"]}
    return dict(standing.entry.record) | told


def replace_file(path: Path, data: bytes) -> None:
    """Put a merged log in its place, whole or not at all."""
    from registry_pipeline.run_index.tail import write_new  # noqa: PLC0415

    path.unlink(missing_ok=True)
    write_new(path, data)
