"""Every rule of SPEC 11 over the two logs, as they stand (seed 004, sections 2 to 5).

Gates ask the current record of each run, since a log is corrected by later records; the rest asks every record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding
from registry_pipeline.run_index.gates import SongIndex, Surroundings, check_gates
from registry_pipeline.run_index.history import check_history, check_stamps, in_order
from registry_pipeline.run_index.lines import Entry, open_log, parse_line, parse_record, read_lines
from registry_pipeline.run_index.logs import Log
from registry_pipeline.run_index.overrides import OverrideBook, check_against_run
from registry_pipeline.run_index.record import Record
from registry_pipeline.run_index.scan import finished_end
from registry_pipeline.values import replace, value_type


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


def check_run_index(log: Log, around: Surroundings) -> Checked:
    """Return every finding of the run index as it lies there.

    Raises:
        NotFoundError: there is none, or it cannot be read.
    """
    with open_log(log) as file:
        end, findings = finished_end(log, file)
        checked = check_lines(log, file, end, around)
    return replace(checked, findings=(*findings, *checked.findings))


def check_lines(log: Log, file: IO[bytes], end: int, around: Surroundings) -> Checked:
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


def check_runs(path: str, entries: Sequence[Entry], around: Surroundings) -> Iterator[Finding]:
    """Yield every finding of the records of some runs; `entries` are all their records, in the order of the log."""
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.record["run_id"], []).append(entry)
    for held in runs.values():
        for entry in held:
            yield from check_stamps(path, entry, around.now)
        yield from check_history(path, held)
        yield from check_gates(path, in_order(held)[-1], around)


def check_overrides(log: Log, book: OverrideBook, runs: dict[str, Record]) -> tuple[Finding, ...]:
    """Return every finding of the overrides of a log; `runs` are the current records of the runs that they name."""
    found = list(book.findings)
    for standing in book.by_id.values():
        found += check_against_run(log.shown, standing, runs.get(standing.entry.record["run_id"]))
    return tuple(found)
