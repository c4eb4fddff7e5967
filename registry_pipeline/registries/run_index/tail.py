"""The end of a log: where its complete records end, and what an interrupted write left after them.

A last line without a newline is incomplete. A batch of several records is first written to `<log>.batch`, so that
readers can ignore a batch that is only partly in the log.
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
    """The end of a log.

    Attributes:
        finished: the size of the complete lines in bytes.
        size: the size of the log.
        reason: why it is not complete; empty if it is.
        completes: what follows the complete lines is a whole record that lacks only its newline.
    """

    finished: int
    size: int
    reason: str = ""
    completes: bool = False


@value_type
class BatchIntent:
    """A batch that is about to be written or was interrupted: its offset in the log, and its bytes."""

    offset: int
    data: bytes


def batch_intent_path(log: Log) -> Path:
    """Return the path of the file that announces a batch."""
    return log.path.with_name(log.path.name + ".batch")


def read_tail(log: Log, descriptor: int) -> Tail:
    """Return the end of an open log without changing anything."""
    size, batch = _read_size_and_batch(log, descriptor)
    if batch is not None and batch.offset < size < batch.offset + len(batch.data):
        rest = _read_range(descriptor, batch.offset, size)
        # Other bytes mean that the log was replaced since: then the batch file belongs to another log.
        if batch.data.startswith(rest):
            return Tail(batch.offset, size, f"{len(rest)} of {len(batch.data)} bytes of a batch")
    start = _last_newline(descriptor, size)
    if start == size:
        return Tail(size, size)
    rest = os.pread(descriptor, MAX_LINE + 1, start) if size - start <= MAX_LINE else b""
    completes = bool(rest) and parse_record(log, rest) is not None
    reason = "a record without its newline" if completes else f"{size - start} bytes without a newline"
    return Tail(start, size, reason, completes=completes)


def write_batch_intent(log: Log, batch: BatchIntent) -> None:
    """Write durably which batch is about to be appended."""
    head = {"offset": batch.offset, "length": len(batch.data), "sha256": sha256_hex(batch.data)}
    clear_batch_intent(log)
    create_file(batch_intent_path(log), json_line(head) + batch.data)


def clear_batch_intent(log: Log) -> None:
    """Remove the batch file; call it when the log durably contains all of the batch or nothing of it."""
    batch_intent_path(log).unlink(missing_ok=True)


def move_torn_tail(log: Log, descriptor: int, tail: Tail) -> Path:
    """Move the incomplete bytes to a file beside the log and return its path. No byte is lost if it is interrupted."""
    rest = _read_range(descriptor, tail.finished, tail.size)
    # The name contains offset and hash, so that a repetition after a crash finds the same file.
    path = log.path.with_name(f"{log.path.name}.torn-{tail.finished}-{sha256_hex(rest)[:12]}")
    if read_own_file(path) != rest:
        remove_file(path)
        create_file(path, rest)
    os.ftruncate(descriptor, tail.finished)
    os.fsync(descriptor)
    return path


def _read_size_and_batch(log: Log, descriptor: int) -> tuple[int, BatchIntent | None]:
    while True:
        size = os.fstat(descriptor).st_size
        batch = _read_batch_intent(log)
        # An equal size means that no batch was begun between the first look and the reading of the batch file.
        if os.fstat(descriptor).st_size == size:
            return size, batch


def _read_batch_intent(log: Log) -> BatchIntent | None:
    # An incomplete batch file announces nothing: its batch was never begun.
    try:
        first_line, _, data = batch_intent_path(log).read_bytes().partition(b"\n")
        head = read_strict_json(first_line)
        offset, length, digest = head["offset"], head["length"], head["sha256"]
    except (OSError, StrictJsonError, KeyError, TypeError):
        return None
    valid = type(offset) is int and offset >= 0 and len(data) == length and sha256_hex(data) == digest
    return BatchIntent(offset, data) if valid else None


def _last_newline(descriptor: int, size: int) -> int:
    """Return the offset after the last newline, 0 if there is none."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        position = os.pread(descriptor, end - start, start).rfind(b"\n")
        if position >= 0:
            return start + position + 1
        end = start
    return 0


def _read_range(descriptor: int, start: int, end: int) -> bytes:
    parts: list[bytes] = []
    while start < end:
        part = os.pread(descriptor, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
