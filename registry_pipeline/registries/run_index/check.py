"""The proof that a log was only ever appended to: an older state's lines are an ordered subset of it (SPEC 11).

Two machines' logs are merged line into line, so that an older state need not be a prefix. A byte order mark, a CRLF and
blank lines are no part of a line here; check tells them by themselves.
"""

from __future__ import annotations

import codecs
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import IO

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.gates import RuleContext, SongIndex, check_gates
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log, parse_line, parse_record, read_lines
from registry_pipeline.registries.run_index.overrides import OverrideIndex, check_against_run
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.scan import finished_end
from registry_pipeline.registries.run_index.versions import check_history, check_stamps, in_order
from registry_pipeline.values import replace, value_type


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


@value_type
class Checked:
    """What a check of a log found, over how many lines, records and runs (or overrides)."""

    findings: tuple[Finding, ...]
    lines: int
    records: int
    subjects: int


@value_type
class _Place:
    number: int
    offset: int
    size: int


def check_run_index(log: Log, around: RuleContext) -> Checked:
    """Return every finding of the run index as it lies there.

    Raises:
        NotFoundError: there is none, or it cannot be read.
    """
    with open_log(log) as file:
        end, findings = finished_end(log, file)
        checked = check_lines(log, file, end, around)
    return replace(checked, findings=(*findings, *checked.findings))


def check_lines(log: Log, file: IO[bytes], end: int, around: RuleContext) -> Checked:
    """Return every finding of a run index up to an offset.

    What is kept in memory is the place of each record and what was found, never all records.
    """
    places: dict[str, list[_Place]] = {}
    gates: dict[tuple[str, int], list[Finding]] = {}
    claimed: dict[str, set[str]] = {}
    findings: list[Finding] = []
    number = 0
    for line in read_lines(file, end=end):
        number = line.number
        record, found = parse_line(log, line)
        findings += found
        if record is None:
            continue
        entry = Entry(record, line.number, line.offset, line.size)
        places.setdefault(record["run_id"], []).append(_Place(line.number, line.offset, line.size))
        findings += check_stamps(log.shown, entry, around.now)
        told = list(check_gates(log.shown, entry, around))
        if told:
            gates[record["run_id"], line.number] = told
        if around.song_index is not None:
            claimed.setdefault(record["run_id"], set()).update(record.get("version_ids", ()))
    for run_id, held in places.items():
        current = held[0].number
        if len(held) > 1:
            entries = [entry for place in held for entry in _read_again(log, file, place)]
            findings += check_history(log.shown, entries)
            current = in_order(entries)[-1].number if entries else current
        findings += gates.get((run_id, current), ())
    if around.song_index is not None:
        findings += _unnamed(log, around.song_index, claimed)
    return Checked(tuple(findings), number, sum(map(len, places.values())), len(places))


def _read_again(log: Log, file: IO[bytes], place: _Place) -> Iterator[Entry]:
    file.seek(place.offset)
    record = parse_record(log, file.read(place.size))
    if record is not None:
        yield Entry(record, place.number, place.offset, place.size)


def _unnamed(log: Log, songs: SongIndex, claimed: dict[str, set[str]]) -> Iterator[Finding]:
    for version, run_id in sorted(songs.versions.items()):
        if run_id is not None and version not in claimed.get(run_id, ()):
            got = None if run_id in claimed else f"no record of {run_id}"
            yield finding("RI039", log.shown, expected=run_id, got=got, detail=version)


def check_runs(path: str, entries: Sequence[Entry], around: RuleContext) -> Iterator[Finding]:
    """Yield every finding of the records of some runs; `entries` are all their records, in the order of the log."""
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.record["run_id"], []).append(entry)
    for held in runs.values():
        for entry in held:
            yield from check_stamps(path, entry, around.now)
        yield from check_history(path, held)
        yield from check_gates(path, in_order(held)[-1], around)


def check_overrides(log: Log, book: OverrideIndex, runs: dict[str, Record]) -> tuple[Finding, ...]:
    """Return every finding of the overrides of a log; `runs` are the current records of the runs that they name."""
    found = list(book.findings)
    for standing in book.by_id.values():
        found += check_against_run(log.shown, standing, runs.get(standing.entry.record["run_id"]))
    return tuple(found)
