"""Append to a log: lock, validate, write whole lines at once, fsync.

After a crash at any point the log contains every acknowledged record. The next append moves an incomplete line away;
it neither drops it nor writes after it. See docs/reference/specification.md, "Run index".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Final

from registry_pipeline.canonical import json_line
from registry_pipeline.files.atomic_write import write_all_bytes
from registry_pipeline.files.durable import make_folders, make_write_error, sync_path
from registry_pipeline.files.lock import open_locked, refuse_outside
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.registries.run_index.log_file import (
    MAX_LINE,
    BatchIntent,
    Entry,
    Line,
    Log,
    Tail,
    move_torn_tail,
    parse_line,
    read_tail,
    remove_batch_intent,
    write_batch_intent,
)
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.scan import find_entries
from registry_pipeline.values import replace, value_type

WAIT: Final = 30.0
"""How long an append waits for the lock, in seconds."""
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT
CheckEntries = Callable[[Sequence[Entry]], Iterable[Finding]]
"""Returns the findings of all records of some runs or overrides, existing and new."""


@value_type
class AppendResult:
    """The result of an append: the records that were written, and those that the log contained already."""

    added: tuple[Record, ...] = ()
    repeated: tuple[Record, ...] = ()
    findings: tuple[Finding, ...] = ()
    changed_files: tuple[str, ...] = ()  # relative to the repository
    refused: bool = False  # a finding is an error, so nothing was changed


def parse_batch(log: Log, data: bytes, name: str) -> tuple[tuple[Record, ...], tuple[Finding, ...]]:
    """Return the valid records of a text of JSON lines, and its findings; `name` is its name in them.

    Each line is checked by itself, not against the log. Blank lines, CRLF and a missing last newline are no findings. A
    text without any record is one (RI010), and so is a record that would be too long in the log (RI006).
    """
    source = replace(log, display_path=name)
    records: list[Record] = []
    findings: list[Finding] = []
    # The text is an argument, not a log: a missing last newline and CRLF are not findings.
    for number, text in enumerate(data.split(b"\n"), 1):
        if not text.strip():
            continue
        # The limit counts the CR of a line, as in a log.
        content = text if len(text) > MAX_LINE else text.removesuffix(b"\r")
        entry, line_findings = parse_line(source, Line(number, 0, content, len(text)))
        findings += line_findings
        # The log contains escapes for characters beyond ASCII, which makes a line longer.
        if entry is not None and len(json_line(entry.record)) > MAX_LINE:
            findings.append(finding("RI006", name, location=f"line {number}"))
        elif entry is not None:
            records.append(entry.record)
    if not records and not findings:
        findings.append(finding("RI010", name, detail="the input contains no record"))
    return tuple(records), sorted_findings(findings)


def append_records(log: Log, records: Sequence[Record], check: CheckEntries) -> AppendResult:
    """Append all records, or none (`refused`) if they cause an error that the log does not have without them.

    A record that the log contains already is not written again, so an append can be repeated if its outcome is unknown.

    Raises:
        BusyError: other processes held the lock for too long (exit 6).
        RefusedError: the log is not a regular file, or is outside the repository through a linked folder (exit 5).
        WriteError: the log cannot be written; it is unchanged (exit 1).
    """
    # (1) Refuse what can be refused without the lock, so that a refused append does not create the log.
    findings = tuple(_find_unwritable(log, records))
    if not findings and not log.path.exists():
        findings = tuple(check(_make_entries(_split_known(records, ())[0], 0)))
    if has_errors(findings):
        return AppendResult(findings=sorted_findings(findings), refused=True)
    with hold_log_lock(log) as file:
        # (2) Find the records of the same runs or overrides.
        tail = read_tail(log, file.fileno())
        ids = {record[log.id_key] for record in records}
        known, lines = find_entries(log, file, tail.size if tail.completes else tail.finished, ids)
        new, repeated = _split_known(records, known)
        if not new:
            return AppendResult((), repeated)
        # (3) Check them with and without the new records: only findings that the new records cause count.
        previous = set(check(known))
        caused = [item for item in check([*known, *_make_entries(new, lines)]) if item not in previous]
        if has_errors(caused):
            return AppendResult((), repeated, sorted_findings(caused), refused=True)
        # (4) Repair the end of the log, then write.
        tail_findings, moved = _repair_tail(log, file.fileno(), tail)
        _write_records(log, file.fileno(), new)
        return AppendResult(new, repeated, sorted_findings([*caused, *tail_findings]), (log.display_path, *moved))


def _find_unwritable(log: Log, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield the findings of the lines that the records would have in the log."""
    # A record may have a line that could not be read again: it is too long, or contains half a character.
    for number, record in enumerate(records, 1):
        data = json_line(record).removesuffix(b"\n")
        source = replace(log, display_path=f"record {number} for {log.display_path}")
        for item in parse_line(source, Line(number, 0, data, len(data)))[1]:
            yield replace(item, location=None)


def _split_known(records: Sequence[Record], known: Sequence[Entry]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the new records, and those that the log or an earlier position of `records` contains already."""
    lines = {json_line(entry.record) for entry in known}
    new: list[Record] = []
    repeated: list[Record] = []
    for record in records:
        line = json_line(record)
        (repeated if line in lines else new).append(record)
        lines.add(line)
    return tuple(new), tuple(repeated)


def _make_entries(records: Sequence[Record], lines: int) -> list[Entry]:
    """Return records as they will be after `lines` lines."""
    return [Entry(record, lines + number, 0, 0) for number, record in enumerate(records, 1)]


def _repair_tail(log: Log, descriptor: int, tail: Tail) -> tuple[list[Finding], list[str]]:
    """Make the log end with a complete line; return the findings, and the paths of moved rests (one or none)."""
    findings: list[Finding] = []
    moved: list[str] = []
    if tail.completes:
        _write_or_truncate(log, descriptor, b"\n")
        findings.append(finding("RI009", log.display_path))
    elif tail.finished < tail.size:
        name = move_torn_tail(log, descriptor, tail).name
        moved.append((PurePosixPath(log.display_path).parent / name).as_posix())
        findings.append(finding("RI008", log.display_path, detail=f"{tail.reason} are in {moved[0]}"))
    remove_batch_intent(log)
    return findings, moved


def _write_records(log: Log, descriptor: int, records: Sequence[Record]) -> None:
    """Append records in one write; several are first announced as a batch."""
    data = b"".join(map(json_line, records))
    # A reader could take a part of a batch for complete lines; one record needs no announcement.
    if len(records) > 1:
        write_batch_intent(log, BatchIntent(os.fstat(descriptor).st_size, data))
    _write_or_truncate(log, descriptor, data)
    if len(records) > 1:
        remove_batch_intent(log)


def _write_or_truncate(log: Log, descriptor: int, data: bytes) -> None:
    """Append bytes and sync; raise WriteError after an error, with the log as long as it was."""
    size = os.fstat(descriptor).st_size
    try:
        write_all_bytes(descriptor, data)
        os.fsync(descriptor)
    except OSError as error:
        os.ftruncate(descriptor, size)
        remove_batch_intent(log)
        raise make_write_error(log.path, error) from None


@contextmanager
def hold_log_lock(log: Log) -> Iterator[IO[bytes]]:
    """Hold the lock of a log, which is created with its folders if it is missing; raises as `append_records`."""
    # The lock is on the log itself, not on a file beside it.
    if log.root is not None:
        refuse_outside(log.path, log.root)
    try:
        make_folders(log.path.parent)
        descriptor = open_locked(log.path, _FLAGS, f"append to {log.display_path}", wait_seconds=WAIT)
    except OSError as error:
        raise make_write_error(log.path, error) from None
    with os.fdopen(descriptor, "rb") as file:
        # An empty log may be new: its name must be as durable as its records.
        if os.fstat(descriptor).st_size == 0:
            sync_path(log.path.parent)
        yield file
