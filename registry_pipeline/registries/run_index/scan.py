"""Read a whole log, or the records of some runs in it, line by line: what every quicker way must agree with."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import IO, Final

from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import (
    MAX_LINE,
    Entry,
    Log,
    open_log,
    parse_line,
    parse_record,
    read_lines,
)
from registry_pipeline.registries.run_index.tail import read_tail
from registry_pipeline.values import value_type

_KEYS: Final = {
    # The id is the group; there is none where a backslash stands in it.
    key: re.compile(rf'"{key}"[ \t\r]*:[ \t\r]*"(?:([^"\\\n]*)"|[^"\n]*\\)'.encode("ascii"))
    for key in ("run_id", "override_id")
}
# Of the letters of the keys, one that a line writes as an escape: the key may be anything then.
_ESCAPED: Final = re.compile(rb"\\u00(?:5f|6[0-9a-f]|7[0-9a-f])", re.IGNORECASE)
_CHUNK: Final = 1 << 22


@value_type
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

    Only lines that name one of the ids, or write a key or an id with escapes, are parsed: an append asks this of a log
    of any length.
    """
    ids = {each.encode() for each in wanted}
    found: list[Entry] = []
    number = 0
    for chunk, base in _chunks(file, end):
        counted, line_start = 0, -1  # lines up to `counted`, and the line that was looked at last
        for place in _suspected(chunk, key, ids):
            start = chunk.rfind(b"\n", 0, place) + 1
            if start == line_start:
                continue
            number, counted, line_start = number + chunk.count(b"\n", counted, start), start, start
            stop = chunk.find(b"\n", place) + 1 or len(chunk)
            record = parse_record(log, chunk[start:stop])
            if record is not None and record.get(key) in wanted:
                found.append(Entry(record, number + 1, base + start, stop - start))
        number += chunk.count(b"\n", counted) + (not chunk.endswith(b"\n"))
    return found, number


def _suspected(chunk: bytes, key: str, ids: Collection[bytes]) -> list[int]:
    """Return places in the lines that may state one of the ids under a key, in their order."""
    named = [each.start() for each in _KEYS[key].finditer(chunk) if each[1] is None or each[1] in ids]
    if b"\\u00" not in chunk:
        return named
    return sorted([*named, *(each.start() for each in _ESCAPED.finditer(chunk))])


def _chunks(file: IO[bytes], end: int) -> Iterator[tuple[bytes, int]]:
    """Yield the whole lines of a log up to an offset, many at once, each time with their offset.

    Of a line that is too long to be a record only the newline comes: it counts, and that is all.
    """
    file.seek(0)
    place, held, skipping = 0, b"", False
    while place < end:
        data = file.read(min(_CHUNK, end - place))
        if not data:
            break  # it was cut while it was read
        place += len(data)
        if skipping:
            cut = data.find(b"\n")
            data, skipping = data[cut:] if cut >= 0 else b"", cut < 0
        held += data
        cut = held.rfind(b"\n") + 1
        if cut:
            yield held[:cut], place - len(held)
            held = held[cut:]
        if len(held) > MAX_LINE:
            held, skipping = b"", True
    if held or skipping:
        yield held or b" ", place - len(held)
