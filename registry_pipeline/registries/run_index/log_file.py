"""The two logs of a repository, and how their lines are read and parsed."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, Final

from registry_pipeline.canonical import StrictJsonError, json_line, parse_strict_json, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import create_file, read_own_file, remove_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.collector import encodable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.run_index import OVERRIDES_LOG_SPEC, RUN_INDEX_SPEC
from registry_pipeline.registries.run_index.line_pattern import LineContents
from registry_pipeline.registries.run_index.record import (
    GRAMMARS,
    OVERRIDE,
    OVERRIDE_UPDATE,
    RUN,
    Problem,
    Record,
    RecordValidator,
    Shape,
)
from registry_pipeline.values import value_type

MAX_LINE: Final = 1 << 20
"""The longest line that can be a record, in bytes without its newline."""
_SCAN_BLOCK: Final = 1 << 21
# O_NONBLOCK: opening a pipe in place of the log must not wait for a writer.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@value_type
class Log:
    """One append-only log, its name in findings, and the rules of its records."""

    path: Path
    display_path: str
    validator: RecordValidator
    # The repository that must contain it when it is appended to; None for a file that a user named.
    root: Path | None = None

    @property
    def spec(self) -> RegistrySpec:
        """The registry that captures the log."""
        return RUN_INDEX_SPEC if "RUN" in self.validator.shapes else OVERRIDES_LOG_SPEC

    @property
    def id_key(self) -> str:
        """The key of the id that the records of one run, or of one override, share."""
        return "run_id" if "RUN" in self.validator.shapes else "override_id"


@value_type
class Line:
    """One line of a log: its number from 1, its location, and its bytes without the newline."""

    number: int
    offset: int
    data: bytes  # of a line that is too long, only the first MAX_LINE + 2 bytes
    size: int  # with the newline


@value_type
class Entry:
    """A record, the number of its line from 1, and the offset and size of that line in bytes."""

    record: Record
    number: int
    offset: int
    size: int


def make_entry_finding(entry: Entry, code: str, path: str, pointer: str = "", **parts: Any) -> Finding:
    """Return a finding about a record, or about one of its fields."""
    return finding(code, path, location=f"line {entry.number} {pointer}".strip(), **parts)


def make_problem_findings(path: str, problems: Iterable[Problem], location: str = "") -> list[Finding]:
    """Return a finding for each problem of a record."""
    return [
        finding(code, path, location=f"{location} {pointer}".strip() or None, expected=expected, got=got, detail=detail)
        for code, pointer, detail, expected, got in problems
    ]


def run_index_log(repository: Repository) -> Log:
    """Return the path and the rules of a repository's run index, which need not exist."""
    return _make_log(repository, repository.config.run_index.path, (RUN,))


def overrides_log(repository: Repository) -> Log:
    """Return the path and the rules of a repository's overrides log, which need not exist."""
    return _make_log(repository, repository.config.run_index.overrides, (OVERRIDE, OVERRIDE_UPDATE))


def _make_log(repository: Repository, path: str, shapes: tuple[Shape, ...]) -> Log:
    table = repository.config.run_index
    validator = RecordValidator(shapes, GRAMMARS[table.ids], frozenset(table.extra_keys))
    return Log(repository.path(path), path, validator, repository.root)


def open_log(log: Log) -> IO[bytes]:
    """Return the file of a log, opened for reading without waiting.

    Raises:
        NotFoundError: it does not exist or cannot be read.
        RefusedError: it is not a regular file.
    """
    try:
        descriptor = os.open(log.path, _FLAGS)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no {log.display_path}", "append a first record, or name the log under [run_index] in the toml"
        ) from None
    except OSError as error:
        raise NotFoundError(f"{log.display_path} cannot be read: {error.strerror}", "fix its permissions") from None
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(
            f"{log.display_path} is not a regular file", "name the log itself under [run_index] in the toml"
        )
    return os.fdopen(descriptor, "rb")


def read_lines(file: IO[bytes], *, end: int, offset: int = 0, number: int = 1) -> Iterator[Line]:
    """Yield the lines of an open log from `offset`, the start of line `number`, up to `end`, which may cut the last."""
    file.seek(offset)
    while offset < end:
        data = file.readline(min(MAX_LINE + 2, end - offset))
        if not data:
            return  # the log was truncated while it was read
        size, ended = len(data), data.endswith(b"\n")
        # The rest of a line that is too long is skipped in blocks, so that memory stays bounded.
        while not ended and offset + size < end:
            block = file.readline(min(MAX_LINE, end - offset - size))
            if not block:
                break
            size, ended = size + len(block), block.endswith(b"\n")
        yield Line(number, offset, data.removesuffix(b"\n"), size)
        offset, number = offset + size, number + 1


def scan_lines(
    log: Log, file: IO[bytes], *, end: int, offset: int = 0, number: int = 1
) -> Iterator[tuple[int, int, int, LineContents | Line]]:
    """Yield number, offset, size and contents of each line as `read_lines` does; a Line if it must be parsed.

    Lines that a pattern matches are valid records, and `parse_line` has no finding about them.
    """
    patterns = log.validator.line_patterns
    while offset < end:
        file.seek(offset)
        # One character per byte, so that positions in the block are those in the log.
        block, start = file.read(min(_SCAN_BLOCK, end - offset)).decode("latin-1"), 0
        while start < len(block):
            for stop, contents in patterns.match_lines(block, start):
                if stop - start - 1 > MAX_LINE:
                    break
                yield number, offset + start, stop - start, contents
                start, number = stop, number + 1
            # A line that the end of the block cuts is read again at the beginning of the next one.
            if start == len(block) or (start > 0 and block.find("\n", start) < 0):
                break
            line = next(read_lines(file, end=end, offset=offset + start, number=number), None)
            if line is None:
                return
            yield number, line.offset, line.size, line
            start, number = start + line.size, number + 1
        if not block:
            return  # the log was truncated while it was read
        offset += start


def parse_line(log: Log, line: Line) -> tuple[Entry | None, list[Finding]]:
    """Return the record of a line, or None if it is not a valid record, and the findings of the line (RI005: CRLF)."""
    location, data = f"line {line.number}", line.data
    findings: list[Finding] = []
    if len(data) > MAX_LINE:
        limit, size = f"at most {MAX_LINE} bytes", f"{line.size} bytes"
        return None, [finding("RI006", log.display_path, location=location, expected=limit, got=size)]
    if data.endswith(b"\r"):
        findings.append(finding("RI005", log.display_path, location=location))
        data = data[:-1]
    if not data.strip():
        return None, [*findings, finding("RI004", log.display_path, location=location)]
    if data.startswith(codecs.BOM_UTF8):
        return None, [*findings, finding("RI002", log.display_path, location=location)]
    text = data.decode("latin-1")
    end, _ = next(log.validator.line_patterns.match_lines(text + "\n"), (0, ()))
    if end == len(text) + 1:
        return Entry(json.loads(text), line.number, line.offset, line.size), findings
    try:
        value = _parse_json(data)
    except StrictJsonError as error:
        code = "RI003" if error.kind == "duplicate_key" else "RI001"
        detail = encodable(str(error))[:200]
        return None, [*findings, finding(code, log.display_path, location=location, detail=detail)]
    problems = log.validator.find_problems(value)
    if problems:
        return None, [*findings, *make_problem_findings(log.display_path, problems, location)]
    log.validator.line_patterns.learn(value, text)
    return Entry(value, line.number, line.offset, line.size), findings


def parse_record(log: Log, data: bytes, number: int = 0, offset: int = 0) -> Entry | None:
    """Return the record of a line, with or without its newline, or None if it is not a valid record; no findings."""
    return parse_line(log, Line(number, offset, data.removesuffix(b"\n"), len(data)))[0]


def _parse_json(data: bytes) -> Any:
    """Return strict JSON; raise StrictJsonError if it is not, or if a text in it cannot be encoded as UTF-8."""
    value = parse_strict_json(data)
    # Only an escape can give half of a surrogate pair, and no other program could read the value again.
    if b"\\u" in data:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise StrictJsonError("invalid", "an escape is half of a surrogate pair, not a character") from None
    return value


_BLOCK: Final = 1 << 16


@value_type
class Tail:
    """The end of a log: the size of its complete lines and of the whole log, and why these differ."""

    finished: int
    size: int
    reason: str = ""
    # What follows the complete lines is a whole record that lacks only its newline.
    completes: bool = False


@value_type
class BatchIntent:
    """A batch that is about to be written or was interrupted: its offset in the log, and its bytes."""

    offset: int
    data: bytes


def batch_intent_path(log: Log) -> Path:
    """Return the path of the file that announces a batch, beside the log."""
    return log.path.with_name(log.path.name + ".batch")


def read_tail(log: Log, descriptor: int) -> Tail:
    """Return the end of an open log; a batch that was not written completely is not part of its complete lines."""
    size, batch = _read_size_and_batch(log, descriptor)
    if batch is not None and batch.offset < size < batch.offset + len(batch.data):
        rest = _read_range(descriptor, batch.offset, size)
        # Other bytes mean that the log was replaced since: then the batch file belongs to another log.
        if batch.data.startswith(rest):
            return Tail(batch.offset, size, f"{len(rest)} of {len(batch.data)} bytes of a batch")
    start = _find_end_of_lines(descriptor, size)
    if start == size:
        return Tail(size, size)
    rest = os.pread(descriptor, MAX_LINE + 1, start) if size - start <= MAX_LINE else b""
    completes = bool(rest) and parse_record(log, rest) is not None
    reason = "a record without its newline" if completes else f"{size - start} bytes without a newline"
    return Tail(start, size, reason, completes=completes)


def write_batch_intent(log: Log, batch: BatchIntent) -> None:
    """Write durably which batch is about to be appended; an earlier batch file is removed first."""
    head = {"offset": batch.offset, "length": len(batch.data), "sha256": sha256_hex(batch.data)}
    remove_batch_intent(log)
    create_file(batch_intent_path(log), json_line(head) + batch.data)


def remove_batch_intent(log: Log) -> None:
    """Remove the batch file, if any; call it when the log durably contains all of the batch or nothing of it."""
    batch_intent_path(log).unlink(missing_ok=True)


def move_torn_tail(log: Log, descriptor: int, tail: Tail) -> Path:
    """Move the incomplete end of a log to a file beside it and return its path; an interruption loses no byte."""
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
    """Return the size of a log and the announced batch, both of one moment."""
    while True:
        size = os.fstat(descriptor).st_size
        batch = _read_batch_intent(log)
        # An equal size means that no batch was begun between the first look and the reading of the batch file.
        if os.fstat(descriptor).st_size == size:
            return size, batch


def _read_batch_intent(log: Log) -> BatchIntent | None:
    """Return the announced batch, or None if there is no batch file or it is unreadable or incomplete."""
    # An incomplete batch file announces nothing: its batch was never begun.
    try:
        first_line, _, data = batch_intent_path(log).read_bytes().partition(b"\n")
        head = parse_strict_json(first_line)
        offset, length, digest = head["offset"], head["length"], head["sha256"]
    except (OSError, StrictJsonError, KeyError, TypeError):
        return None
    valid = type(offset) is int and offset >= 0 and len(data) == length and sha256_hex(data) == digest
    return BatchIntent(offset, data) if valid else None


def _find_end_of_lines(descriptor: int, size: int) -> int:
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
    """Return the bytes between two offsets; fewer if the file ends before."""
    parts: list[bytes] = []
    while start < end:
        part = os.pread(descriptor, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
