"""Append to a log: lock, validate, one write of whole lines, fsync (SPEC 11; seed 004, 3.1).

Killed anywhere, the log holds every record that was acknowledged and no part of another: what a cut-off write left is
set aside by the next append, never glued to its record and never dropped. The lock is held on the log itself, which no
command ever replaces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Final

from registry_pipeline.canonical import json_line
from registry_pipeline.files.atomic_write import write_descriptor
from registry_pipeline.files.durable import cannot_write, make_folders, sync_path
from registry_pipeline.files.lock import open_locked, refuse_outside
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.registries.run_index.log_file import MAX_LINE, Entry, Line, Log, parse_line, parse_record
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.tail import (
    BatchIntent,
    Tail,
    clear_batch_intent,
    move_torn_tail,
    read_tail,
    write_batch_intent,
)
from registry_pipeline.values import replace, value_type

WAIT: Final = 30.0
"""How long an append waits for others, in seconds."""
_BEYOND: Final = 1 << 62
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT
Find = Callable[[IO[bytes], int], "tuple[list[Entry], int]"]
"""Returns what an open log, up to an offset, holds of the same runs or overrides, and how many lines it has."""
Grew = Callable[[IO[bytes]], None]
"""Is told, under the lock, that an open log holds more than it did when it was found in."""
Check = Callable[[Sequence[Entry]], Iterable[Finding]]
"""Judges all records of some runs or overrides, as they stand in the log or will."""


@value_type
class Appended:
    """What an append did: the records that are new, those that stood there already, and everything that it told.

    `refused` tells that nothing was changed, since a finding is an error.
    """

    added: tuple[Record, ...] = ()
    repeated: tuple[Record, ...] = ()
    findings: tuple[Finding, ...] = ()
    changed_files: tuple[str, ...] = ()
    refused: bool = False


def parse_batch(log: Log, data: bytes, shown: str) -> tuple[tuple[Record, ...], tuple[Finding, ...]]:
    """Return the records that a text of JSON lines gives, and what is wrong with it; `shown` names it in findings.

    A last line without a newline counts here, and so does a CRLF: it is an argument, not a log.
    """
    told = Log(log.path, shown, log.reader)
    records: list[Record] = []
    findings: list[Finding] = []
    for number, part in enumerate(data.split(b"\n"), 1):
        if part.strip():
            line = Line(number, 0, part.removesuffix(b"\r"), len(part), too_long=len(part) > MAX_LINE)
            record, found = parse_line(told, line)
            if record is not None and len(json_line(record)) > MAX_LINE:  # escapes make it longer
                record, found = None, [finding("RI006", shown, location=f"line {number}")]
            findings += found
            records += [] if record is None else [record]
    if not records and not findings:
        findings.append(finding("RI010", shown, detail="there is no record in it"))
    return tuple(records), sorted_findings(findings)


def append_records(
    log: Log, records: Sequence[Record], find: Find, check: Check, grew: Grew = lambda _file: None
) -> Appended:
    """Append records of a log, all of them or none; what is an error with them, and was none without, refuses all.

    A record that stands there already is not written again, so that whoever does not know whether an append came
    through may repeat it.

    Raises:
        BusyError: others held the log for too long (exit 6).
        RefusedError: it is no regular file, or outside the repository through a linked folder (exit 5).
        WriteError: the disk refused; the log is as it was (exit 1).
    """
    if not log.path.exists():
        found = tuple(check(_placed(_apart(records, ())[0], 0)))
        if has_errors(found):
            return Appended(findings=sorted_findings(found), refused=True)
    unreadable = sorted_findings(_unreadable(log, records))
    if unreadable:
        return Appended(findings=unreadable, refused=True)
    with locked(log) as file:
        tail = read_tail(log, file.fileno())
        known, lines = find(file, tail.size if tail.completes else tail.finished)
        new, repeated = _apart(records, known)
        entries = _placed(new, lines)
        before = set(check(known)) if new else set()
        caused = [each for each in check([*known, *entries]) if each not in before] if new else []
        if has_errors(caused):
            return Appended((), repeated, sorted_findings(caused), refused=True)
        changed: list[str] = []
        if new:
            told, changed = _settle(log, file.fileno(), tail)
            _write(log, file.fileno(), new)
            grew(file)
            caused += told
            changed.insert(0, log.shown)
        return Appended(new, repeated, sorted_findings(caused), tuple(changed))


def _unreadable(log: Log, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield why a record would not be one once it is a line: it is too long, or its text is half a character."""
    for number, record in enumerate(records, 1):
        data = json_line(record).removesuffix(b"\n")
        if parse_record(log, data) is None:
            line = Line(number, 0, data, len(data), too_long=len(data) > MAX_LINE)
            told = Log(log.path, f"record {number} for {log.shown}", log.reader)
            yield from (replace(each, location=None) for each in parse_line(told, line)[1])


def _apart(records: Sequence[Record], known: Sequence[Entry]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return which records are new and which stand in the log, or before in the batch, already."""
    there = {json_line(entry.record) for entry in known}
    new: list[Record] = []
    repeated: list[Record] = []
    for record in records:
        line = json_line(record)
        (repeated if line in there else new).append(record)
        there.add(line)
    return tuple(new), tuple(repeated)


def _placed(records: Sequence[Record], lines: int) -> list[Entry]:
    """Return records as they will stand behind so many lines; offsets beyond any that is there."""
    return [Entry(record, lines + number, _BEYOND + number, 0) for number, record in enumerate(records, 1)]


def _settle(log: Log, descriptor: int, tail: Tail) -> tuple[list[Finding], list[str]]:
    """Make the log end in a whole line; return what is told of that, and the files that changed beside the log."""
    found: list[Finding] = []
    changed: list[str] = []
    if tail.completes:
        _write_or_cut(log, descriptor, b"\n")
        found.append(finding("RI009", log.shown))
    elif tail.finished < tail.size:
        place = move_torn_tail(log, descriptor, tail)
        beside = (PurePosixPath(log.shown).parent / place.name).as_posix()
        found.append(finding("RI008", log.shown, detail=f"{tail.reason} are in {beside}"))
        changed.append(beside)
    clear_batch_intent(log)
    return found, changed


def _write(log: Log, descriptor: int, records: Sequence[Record]) -> None:
    data = b"".join(map(json_line, records))
    if len(records) > 1:
        write_batch_intent(log, BatchIntent(os.fstat(descriptor).st_size, data))
    _write_or_cut(log, descriptor, data)
    if len(records) > 1:
        clear_batch_intent(log)


def _write_or_cut(log: Log, descriptor: int, data: bytes) -> None:
    """Write and sync, or leave the log as long as it was."""
    size = os.fstat(descriptor).st_size
    try:
        write_descriptor(descriptor, data)
        os.fsync(descriptor)
    except OSError as error:
        os.ftruncate(descriptor, size)
        clear_batch_intent(log)
        raise cannot_write(log.path, error) from None


@contextmanager
def locked(log: Log) -> Iterator[IO[bytes]]:
    """Hold the lock of a log, which is made if it is missing; the lock ends with the block or the process.

    Raises:
        BusyError, RefusedError, WriteError: as `append_records`.
    """
    if log.root is not None:
        refuse_outside(log.path, log.root)
    try:
        make_folders(log.path.parent)
        descriptor = open_locked(log.path, _FLAGS, f"append to {log.shown}", wait_seconds=WAIT)
    except OSError as error:
        raise cannot_write(log.path, error) from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size == 0:  # it may be new: its name must last as long as its records
            sync_path(log.path.parent)
        yield file
