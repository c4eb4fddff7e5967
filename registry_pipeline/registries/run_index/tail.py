"""The end of a log: where what is finished ends, and what a write that was cut off has left there (SPEC 11).

A line without a newline is unfinished, and so is a batch of which not every byte is there: a batch of several records
is announced beside the log before it is written, so that a reader sees all of it or nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import StrictJsonError, json_line, read_strict_json, sha256_hex
from registry_pipeline.files.atomic_write import create_file, read_own_file, remove_file
from registry_pipeline.registries.run_index.log_file import MAX_LINE, Log, parse_record
from registry_pipeline.values import value_type

_BLOCK: Final = 1 << 16


@value_type
class Tail:
    """Where a log ends: `finished` bytes of whole lines, of `size` in all, and why not all of it is finished.

    `completes` tells that what is left is a whole record that lacks its newline only.
    """

    finished: int
    size: int
    reason: str = ""
    completes: bool = False


@value_type
class BatchIntent:
    """A batch that is about to be written, or was: where it begins, and its bytes."""

    offset: int
    data: bytes


def batch_intent_path(log: Log) -> Path:
    """Return where a batch is announced."""
    return log.path.with_name(log.path.name + ".batch")


def read_tail(log: Log, descriptor: int) -> Tail:
    """Return where an open log ends; nothing is changed."""
    size, announced = _size_and_announcement(log, descriptor)
    if announced is not None and announced.offset < size < announced.offset + len(announced.data):
        rest = _pread(descriptor, announced.offset, size)
        if announced.data.startswith(rest):  # else the log was replaced since, and the announcement is of another
            return Tail(announced.offset, size, f"{len(rest)} of {len(announced.data)} bytes of a batch")
    start = _last_line(descriptor, size)
    if start == size:
        return Tail(size, size)
    rest = os.pread(descriptor, MAX_LINE + 1, start) if size - start <= MAX_LINE else b""
    whole = bool(rest) and parse_record(log, rest) is not None
    told = "a record without its newline" if whole else f"{size - start} bytes without a newline"
    return Tail(start, size, told, completes=whole)


def write_batch_intent(log: Log, batch: BatchIntent) -> None:
    """Write durably what is about to be appended."""
    head = {"offset": batch.offset, "length": len(batch.data), "sha256": sha256_hex(batch.data)}
    clear_batch_intent(log)
    create_file(batch_intent_path(log), json_line(head) + batch.data)


def clear_batch_intent(log: Log) -> None:
    """Remove the announcement of a batch, once the log holds all of it durably or nothing."""
    batch_intent_path(log).unlink(missing_ok=True)


def move_torn_tail(log: Log, descriptor: int, tail: Tail) -> Path:
    """Move what is unfinished into a file of its own beside the log; killed anywhere, no byte is lost.

    Its name has the place and the hash of what it holds, so that a repetition finds it there already.
    """
    rest = _pread(descriptor, tail.finished, tail.size)
    place = log.path.with_name(f"{log.path.name}.torn-{tail.finished}-{sha256_hex(rest)[:12]}")
    if read_own_file(place) != rest:
        remove_file(place)
        create_file(place, rest)
    os.ftruncate(descriptor, tail.finished)
    os.fsync(descriptor)
    return place


def _size_and_announcement(log: Log, descriptor: int) -> tuple[int, BatchIntent | None]:
    """Return how long an open log is, and what batch was announced while it was so long."""
    while True:
        size = os.fstat(descriptor).st_size
        announced = _read_announcement(log)
        # A batch that was begun before the first look is announced at the second, or wholly there at the third.
        if os.fstat(descriptor).st_size == size:
            return size, announced


def _read_announcement(log: Log) -> BatchIntent | None:
    """Return what was announced; one that is not whole announced nothing, for its batch was never begun."""
    try:
        head, _, data = batch_intent_path(log).read_bytes().partition(b"\n")
        told = read_strict_json(head)
        offset, length, digest = told["offset"], told["length"], told["sha256"]
    except (OSError, StrictJsonError, KeyError, TypeError):
        return None
    sound = type(offset) is int and offset >= 0 and len(data) == length and sha256_hex(data) == digest
    return BatchIntent(offset, data) if sound else None


def _last_line(descriptor: int, size: int) -> int:
    """Return where the last line begins that has no newline; the size where every line has one."""
    place = size
    while place > 0:
        start = max(0, place - _BLOCK)
        found = os.pread(descriptor, place - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        place = start
    return 0


def _pread(descriptor: int, start: int, end: int) -> bytes:
    parts: list[bytes] = []
    while start < end:
        part = os.pread(descriptor, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
