"""What the current record of a run has to say, given its gates (seed 004, 2.1 and 5; SPEC 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import Entry
from registry_pipeline.registries.run_index.overrides import ALLOWS, OverrideIndex
from registry_pipeline.registries.run_index.record import UNIQUENESS, Record
from registry_pipeline.values import field, value_type

FINAL_SAVE: Final = ("scripture_packet_id", "work_id", "version_ids", "run_log_filepath_abs")
"""The fields recommended as required at Final Save (seed 004, 2.1)."""


@value_type
class SongIndex:
    """What the song index lists: works, versions, and the run that each version names (None: it names none)."""

    works: frozenset[str] = frozenset()
    versions: Mapping[str, str | None] = field(default_factory=dict)


@value_type
class RuleContext:
    """What a record is held against.

    `machine_id` is the machine on which the check runs, None where nobody told: then no absent file is told. `now` is
    the instant of the check to the second, None where stamps are not held against it. `is_file` looks at a path.
    """

    overrides: OverrideIndex = field(default_factory=OverrideIndex)
    song_index: SongIndex | None = None
    machine_id: str | None = None
    now: str | None = None
    is_file: Callable[[str], bool] = lambda _path: True


def check_gates(path: str, entry: Entry, around: RuleContext) -> Iterator[Finding]:
    """Yield how the current record of a run breaks the rules of SPEC 11."""
    record = entry.record
    passed = record["qa_gate2"] == "PASS"
    outputs = [name for name in ("work_id", "version_ids") if not record.get(name)]
    if passed and outputs:
        yield _at(entry, "RI030", path, detail=" and ".join(outputs))
    if passed:
        yield from _uniqueness(path, entry, around.overrides)
        missing = [name for name in FINAL_SAVE if not record.get(name) and name not in outputs]
        yield from (_at(entry, "RI032", path, detail=name) for name in missing if not _is_unlinked(name, record))
    if _is_unlinked("scripture_packet_id", record):
        named = "work_id" if record.get("work_id") else "version_ids"
        yield _at(entry, "RI035", path, detail=f"{named} {_first(record[named])}")
    yield from _run_log(path, entry, around)
    if around.song_index is not None:
        yield from _songs(path, entry, around.song_index)


def _is_unlinked(name: str, record: Record) -> bool:
    """Tell whether a missing packet leaves outputs without a link; that is told as RI035, and not as RI032 too."""
    outputs = record.get("work_id") or record.get("version_ids")
    return name == "scripture_packet_id" and bool(outputs) and "scripture_packet_id" not in record


def _uniqueness(path: str, entry: Entry, book: OverrideIndex) -> Iterator[Finding]:
    record = entry.record
    for check in UNIQUENESS:
        if record.get(check) != "FAIL":
            continue
        found = book.of(record["run_id"], check)
        if any(each.allows for each in found):
            continue
        wanted = f"an override of type {ALLOWS[check]}"
        got = None
        if found:
            voided = found[-1].update
            got = f"{found[-1].entry.record['override_id']} is voided"
            got += "" if voided is None else f" since {voided.record['update_utc']}"
        yield _at(entry, "RI031", path, f"/{check}", expected=wanted, got=got, detail=check)


def is_absolute(text: str) -> bool:
    """Tell whether a path is absolute on one of the two systems, Windows (a drive, a share) or the others (a slash)."""
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _run_log(path: str, entry: Entry, around: RuleContext) -> Iterator[Finding]:
    place = entry.record.get("run_log_filepath_abs")
    if place is None:
        return
    if not is_absolute(place):
        yield _at(entry, "RI017", path, "/run_log_filepath_abs", got=place)
        return
    # A path of the other system says nothing about this machine.
    is_here = around.machine_id == entry.record["machine_id"] and PurePosixPath(place).is_absolute()
    if is_here and not around.is_file(place):
        yield _at(entry, "RI034", path, "/run_log_filepath_abs", got=place)


def _songs(path: str, entry: Entry, songs: SongIndex) -> Iterator[Finding]:
    work = entry.record.get("work_id")
    if work is not None and work not in songs.works:
        yield _at(entry, "RI036", path, "/work_id", got=work, detail=f"the work {work}")
    for number, version in enumerate(entry.record.get("version_ids", ())):
        where = f"/version_ids/{number}"
        if version not in songs.versions:
            yield _at(entry, "RI036", path, where, got=version, detail=f"the version {version}")
        elif songs.versions[version] != entry.record["run_id"]:
            expected, got = entry.record["run_id"], songs.versions[version]
            yield _at(entry, "RI037", path, where, expected=expected, got=got, detail=version)


def _first(held: str | list[str]) -> str:
    return held if isinstance(held, str) else held[0]


def _at(entry: Entry, code: str, path: str, pointer: str = "", **words: Any) -> Finding:
    return finding(code, path, location=f"line {entry.number} {pointer}".strip(), **words)


def read_song_index(path: Path, shown: str) -> tuple[SongIndex | None, tuple[Finding, ...]]:
    """Return what a song index lists, None where it cannot be read; a line that cannot be read is told."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, (finding("RI038", shown, detail=error.strerror or "no reason given"),)
    works: set[str] = set()
    versions: dict[str, str | None] = {}
    findings: list[Finding] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = read_strict_json(line)
        except StrictJsonError as error:
            findings.append(finding("RI038", shown, location=f"line {number}", detail=str(error)[:200]))
            continue
        told = record if isinstance(record, dict) else {}
        work, version, run = (told.get(key) for key in ("work_id", "version_id", "run_id"))
        if isinstance(work, str):
            works.add(work)
        if told.get("record_type") == "VERSION" and isinstance(version, str):
            versions[version] = run if isinstance(run, str) else None
    return SongIndex(frozenset(works), versions), tuple(findings)
