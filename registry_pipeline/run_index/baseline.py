"""The proof that a log was only ever appended to: an older state's lines are an ordered subset of it (SPEC 11).

Two machines' logs are merged line into line, so that an older state need not be a prefix. A byte order mark, a CRLF and
blank lines are no part of a line here; check tells them by themselves.
"""

from __future__ import annotations

import codecs
from collections import defaultdict, deque
from collections.abc import Iterator

from registry_pipeline.canon import sha256_hex
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding
from registry_pipeline.run_index.lines import parse_record
from registry_pipeline.run_index.logs import Log


def check_append_only(log: Log, before: bytes, now: bytes, against: str) -> tuple[Finding, ...]:
    """Return which lines of an older state a log has no more, or has in another order; `against` names that state."""
    if now.startswith(before) and (before.endswith(b"\n") or not before):
        return ()
    later = iter(_lines(now))
    if all(any(line == each for _, each in later) for _, line in _lines(before)):
        return ()
    return tuple(_lost(log, before, now, against))


def _lost(log: Log, before: bytes, now: bytes, against: str) -> Iterator[Finding]:
    places: dict[str, deque[int]] = defaultdict(deque)
    for number, line in _lines(now):
        places[sha256_hex(line)].append(number)
    last = 0
    for number, line in _lines(before):
        left = places.get(sha256_hex(line))
        place = f"line {number} of {against}"
        if not left:
            code = "RI050" if parse_record(log, line) is not None else "RI053"
            expected = line[:80].decode("utf-8", "backslashreplace")
            yield finding(code, log.shown, location=place, expected=expected, detail=against)
            continue
        found = left.popleft()
        if found < last:
            got = f"line {found}"
            yield finding("RI051", log.shown, location=place, expected=f"after line {last}", got=got, detail=against)
        last = max(last, found)


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    start, number = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0, 1
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].removesuffix(b"\r")
        if line.strip():
            yield number, line
        start, number = end + 1, number + 1
