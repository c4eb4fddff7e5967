"""Read a whole log, or the records of some runs in it, line by line: what every quicker way must agree with."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Final

from registry_pipeline.errors import NotFoundError
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding
from registry_pipeline.run_index.lines import Entry, open_log, parse_line, parse_record, read_lines
from registry_pipeline.run_index.logs import Log
from registry_pipeline.run_index.tail import read_tail

_KEYS: Final = {
    key: re.compile(rf'"{key}"[ \t]*:[ \t]*"([^"\\]*)"'.encode("ascii")) for key in ("run_id", "override_id")
}


@dataclass(frozen=True, slots=True)
class Whole:
    """All records of a log, in its order, and what is wrong with its lines; `lines` counts those that are whole."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    lines: int


def finished_end(log: Log, file: IO[bytes]) -> tuple[int, list[Finding]]:
    """Return where what is finished of an open log ends, and what is told if that is not its end."""
    tail = read_tail(log, file.fileno())
    told = [finding("RI007", log.shown, detail=tail.reason)] if tail.reason else []
    return tail.finished, told


def read_whole(log: Log, *, missing_ok: bool = False) -> Whole:
    """Return everything that a log says; for logs that fit into memory, as the overrides log does.

    Raises:
        NotFoundError: there is none, and `missing_ok` does not say that this is no matter.
    """
    try:
        file = open_log(log)
    except NotFoundError:
        if missing_ok and not log.path.exists():
            return Whole((), (), 0)
        raise
    entries: list[Entry] = []
    with file:
        end, findings = finished_end(log, file)
        number = 0
        for line in read_lines(file, end=end):
            record, found = parse_line(log, line)
            findings += found
            number = line.number
            if record is not None:
                entries.append(Entry(record, line.number, line.offset, line.size))
    return Whole(tuple(entries), tuple(findings), number)


def read_entries(log: Log, file: IO[bytes], end: int) -> Iterator[Entry]:
    """Yield every record of an open log up to an offset; a line without one is passed over."""
    for line in read_lines(file, end=end):
        record = None if line.too_long else parse_record(log, line.data)
        if record is not None:
            yield Entry(record, line.number, line.offset, line.size)


def find_entries(log: Log, file: IO[bytes], end: int, key: str, wanted: Collection[str]) -> tuple[list[Entry], int]:
    """Return the records that state one of the ids under a key, in the order of the log, and how many lines it has.

    Only lines that may be meant are parsed: those that name one of the ids, or whose text does not show it.
    """
    pattern, found, number = _KEYS[key], [], 0
    for line in read_lines(file, end=end):
        number = line.number
        match = pattern.search(line.data)
        if line.too_long or (
            match is not None and match[1].decode("utf-8", "replace") not in wanted and b"\\" not in line.data
        ):
            continue
        record = parse_record(log, line.data)
        if record is not None and record.get(key) in wanted:
            found.append(Entry(record, line.number, line.offset, line.size))
    return found, number
