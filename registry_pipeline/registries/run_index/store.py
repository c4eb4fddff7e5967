"""What a command does with the two logs of a repository: append to one, check one, merge two of a kind (SPEC 11).

Everything here is composed of the other files of this room; git and sealed snapshots are handed in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import refuse_missing_folder, replace_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.run_index.append import Appended, append_records, locked
from registry_pipeline.registries.run_index.check import check_append_only, check_overrides, check_runs
from registry_pipeline.registries.run_index.gates import RuleContext, SongIndex, read_song_index
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log, overrides_log, run_index_log
from registry_pipeline.registries.run_index.lookup import RunIndexReader, find_current
from registry_pipeline.registries.run_index.merge import Merged, merge_logs
from registry_pipeline.registries.run_index.overrides import OverrideIndex, index_overrides
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.scan import find_entries, read_whole
from registry_pipeline.registries.run_index.tail import batch_intent_path, read_tail
from registry_pipeline.values import value_type


def read_rule_context(
    repository: Repository, *, machine_id: str | None, now: datetime | None
) -> tuple[RuleContext, tuple[Finding, ...]]:
    """Return what the run index of a repository is held against, and what of that could not be read."""
    config = repository.config.run_index
    songs: SongIndex | None = None
    findings: tuple[Finding, ...] = ()
    if config.song_index is not None:
        songs, findings = read_song_index(repository.path(config.song_index), config.song_index)
    around = RuleContext(
        overrides=read_overrides(repository),
        song_index=songs,
        machine_id=machine_id,
        now=None if now is None else utc_text(now),
        is_file=os.path.isfile,
    )
    return around, findings


def read_overrides(repository: Repository) -> OverrideIndex:
    """Return the overrides of a repository as they stand; none where there is no log of them."""
    log = overrides_log(repository)
    return index_overrides(log.shown, read_whole(log, missing_ok=True).entries)


def append_runs(repository: Repository, records: Sequence[Record], around: RuleContext) -> Appended:
    """Append records to the run index; raises as `append_records` does."""
    log = run_index_log(repository)

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        return check_runs(log.shown, entries, around)

    with closing(RunIndexReader(log, {record["run_id"] for record in records})) as known:
        return append_records(log, records, known.find, check, known.grew)


def append_overrides(repository: Repository, records: Sequence[Record]) -> Appended:
    """Append records to the overrides log; raises as `append_records` does."""
    log, runs = overrides_log(repository), run_index_log(repository)
    wanted = {record["override_id"] for record in records}

    def find(file: IO[bytes], end: int) -> tuple[list[Entry], int]:
        return find_entries(log, file, end, "override_id", wanted)

    current: dict[frozenset[str], dict[str, Record]] = {}

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        book = index_overrides(log.shown, entries)
        named = frozenset(each.entry.record["run_id"] for each in book.by_id.values())
        if named not in current:
            current[named] = find_current(runs, named, use_index=True)
        return check_overrides(log, book, current[named])

    return append_records(log, records, find, check)


def as_told(standing: Any) -> dict[str, Any]:
    """Return an override with the status that holds, and who told it when (None: nobody since it was made)."""
    update = None if standing.update is None else standing.update.record
    told = {"status": standing.status, "status_utc": None, "status_by": None}
    if update is not None:
        told |= {"status_utc": update["update_utc"], "status_by": update["updated_by"]}
    return dict(standing.entry.record) | told


@value_type
class MergeOutcome:
    """What a merge made of two logs, and whether the target changed; `refused`: it would have lost lines."""

    merged: Merged
    findings: tuple[Finding, ...]
    changed: bool = False
    refused: bool = False


def merge_files(log: Log, one: Path, two: Path, target: Path) -> MergeOutcome:
    """Merge two files of a kind into a third, which may be one of them; `log` tells how their records read.

    A target that is there is replaced only if all of its lines are in the merge, in their order.

    Raises:
        NotFoundError: a file is missing or cannot be read (exit 7).
        BusyError: the target is being appended to, or another writer created or edited it meanwhile (exit 6).
        RefusedError: the target is a link, or no regular file (exit 5). WriteError: the disk refused (exit 1).
    """
    told = Log(target, str(target), log.reader)
    refuse_missing_folder(target)
    with ExitStack() as stack:
        exists = target.exists()
        if exists:
            stack.enter_context(locked(told))
        cut = [each for path in (one, two) for each in _unfinished_batch(Log(path, str(path), log.reader))]
        if cut:
            return MergeOutcome(Merged(None, tuple(cut)), tuple(cut), refused=True)
        merged = merge_logs(told, (str(one), _read(one)), (str(two), _read(two)))
        if merged.data is None:
            return MergeOutcome(merged, merged.findings, refused=True)
        # A target that appeared meanwhile was not locked: it is not compared with but refused, below.
        before = _read(target) if exists else None
        if before == merged.data:
            return MergeOutcome(merged, merged.findings)
        lost = () if before is None else check_append_only(told, before, merged.data, str(target))
        if has_errors(lost):
            return MergeOutcome(merged, sorted_findings([*merged.findings, *lost]), refused=True)
        replace_file(target, merged.data, None if before is None else sha256_hex(before))
    return MergeOutcome(merged, merged.findings, changed=True)


def _unfinished_batch(log: Log) -> list[Finding]:
    """Return an error if a log ends in a part of a batch, whose lines look whole; other torn ends do not parse."""
    if not batch_intent_path(log).exists() or not log.path.exists():
        return []
    with open_log(log) as file:
        tail = read_tail(log, file.fileno())
        file.seek(tail.finished)
        whole_lines = b"\n" in file.read(tail.size - tail.finished)
    return [finding("RI007", log.shown, severity=Severity.ERROR, detail=tail.reason)] if whole_lines else []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "name two logs that are there") from None
