"""Which two logs a governed repository has, where they lie and how their records read (SPEC 1, 11)."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.ids import GRAMMARS
from registry_pipeline.registries.run_index.record import OVERRIDE, OVERRIDE_UPDATE, RUN, Reader, Record
from registry_pipeline.values import value_type


@value_type
class Log:
    """One append-only log: its path, how it is named in findings, and the reader of its records.

    `root` is the repository that must contain it when it is appended to; None for a file that a user named.
    """

    path: Path
    shown: str
    reader: Reader
    root: Path | None = None


def run_index_log(repository: Repository) -> Log:
    """Return the run index of a repository."""
    table = repository.config.run_index
    reader = Reader((RUN,), GRAMMARS[table.ids], frozenset(table.extra_keys))
    return Log(repository.path(table.path), table.path, reader, repository.root)


def overrides_log(repository: Repository) -> Log:
    """Return the overrides log of a repository."""
    table = repository.config.run_index
    reader = Reader((OVERRIDE, OVERRIDE_UPDATE), GRAMMARS[table.ids], frozenset(table.extra_keys))
    return Log(repository.path(table.overrides), table.overrides, reader, repository.root)


MAX_LINE: Final = 1 << 20
"""The longest line that can be a record, in bytes without its newline; a longer one is told and read over."""
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SKIP: Final = 1 << 20


@value_type
class Line:
    """One line: its number from 1, its offset, its bytes without the newline, and its size with it.

    `ended` is false for a last line without a newline; `too_long` where `data` is only the beginning.
    """

    number: int
    offset: int
    data: bytes
    size: int
    ended: bool = True
    too_long: bool = False


@value_type
class Entry:
    """A record and where it stands: the number of its line from 1, and the offset and size of the line in bytes."""

    record: Record
    number: int
    offset: int
    size: int


def open_log(log: Log) -> IO[bytes]:
    """Return a log opened for reading; a pipe or a device is refused and not waited for.

    Raises:
        NotFoundError: there is none, or it cannot be read. RefusedError: it is no regular file.
    """
    try:
        descriptor = os.open(log.path, _FLAGS)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no {log.shown}", "append a first record, or name the log under [run_index] in the toml"
        ) from None
    except OSError as error:
        raise NotFoundError(f"{log.shown} cannot be read: {error.strerror}", "mend its permissions") from None
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(f"{log.shown} is not a regular file", "name the log itself under [run_index] in the toml")
    return os.fdopen(descriptor, "rb")


def read_lines(file: IO[bytes], *, end: int, offset: int = 0, number: int = 1) -> Iterator[Line]:
    """Yield the lines of a log from an offset, where a line begins, up to `end` and not beyond."""
    file.seek(offset)
    while offset < end:
        data = file.readline(min(MAX_LINE + 2, end - offset))
        if not data:
            return  # it was cut while it was read
        size, ended = len(data), data.endswith(b"\n")
        too_long = len(data) - ended > MAX_LINE
        while not ended and offset + size < end:
            more = file.readline(min(_SKIP, end - offset - size))
            size, ended, too_long = size + len(more), more.endswith(b"\n"), True
            if not more:
                break
        yield Line(number, offset, data[:MAX_LINE] if too_long else data.removesuffix(b"\n"), size, ended, too_long)
        offset, number = offset + size, number + 1


def parse_line(log: Log, line: Line) -> tuple[Record | None, list[Finding]]:
    """Return the record of a line, None if it has none, and everything that is wrong with it."""
    place, data = f"line {line.number}", line.data
    findings: list[Finding] = []
    if line.too_long:
        most = f"at most {MAX_LINE} bytes"
        return None, [finding("RI006", log.shown, location=place, expected=most, got=f"{line.size} bytes")]
    if data.endswith(b"\r"):
        findings.append(finding("RI005", log.shown, location=place))
        data = data[:-1]
    if not data.strip():
        return None, [*findings, finding("RI004", log.shown, location=place)]
    if data.startswith(codecs.BOM_UTF8):
        return None, [*findings, finding("RI002", log.shown, location=place)]
    try:
        value = _parsed(data)
    except StrictJsonError as error:
        kind = "RI003" if error.kind == "duplicate_key" else "RI001"
        told = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
        return None, [*findings, finding(kind, log.shown, location=place, detail=told[:200])]
    problems = log.reader.problems(value)
    for code, pointer, detail, expected, got in problems:
        where = f"{place} {pointer}".strip()
        findings.append(finding(code, log.shown, location=where, expected=expected, got=got, detail=detail))
    return (None if problems else value), findings


def parse_record(log: Log, data: bytes) -> Record | None:
    """Return the record of a line's bytes, None if it has none: `parse_line` without its findings, and faster."""
    data = data.removesuffix(b"\n")
    if not data.strip() or len(data) > MAX_LINE:
        return None
    try:
        value = _parsed(data.removesuffix(b"\r"))
    except StrictJsonError:
        return None
    return None if log.reader.problems(value) else value


def _parsed(data: bytes) -> Any:
    value = read_strict_json(data)
    if b"\\u" in data:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise StrictJsonError("invalid", "half of a surrogate pair, which is no character") from None
    return value
