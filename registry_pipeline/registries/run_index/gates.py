"""The rules of the run index and of the overrides log (docs/reference/specification.md)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, parse_strict_json, second_of
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import Entry, make_entry_finding
from registry_pipeline.registries.run_index.record import UNIQUENESS, Record, format_quoted
from registry_pipeline.values import field, value_type


@value_type
class EffectiveOverride:
    """An override and its last update: the greatest update_utc, then the later position in the log."""

    entry: Entry
    update: Entry | None = None

    @property
    def status(self) -> str:
        """The status of the last update, `active` before the first."""
        return "active" if self.update is None else str(self.update.record["status"])

    @property
    def is_valid(self) -> bool:
        """Whether it still allows what it was made for."""
        return self.status != "voided"

    def to_json(self) -> dict[str, Any]:
        """Return the override with its status, and the time and the author of the last update (None before it)."""
        update = {} if self.update is None else self.update.record
        status_utc, status_by = update.get("update_utc"), update.get("updated_by")
        return {**self.entry.record, "status": self.status, "status_utc": status_utc, "status_by": status_by}


@value_type
class OverrideIndex:
    """Every override by its id and by its run, and the findings about contradictions in the log."""

    by_id: Mapping[str, EffectiveOverride] = field(default_factory=dict)
    by_run: Mapping[str, Sequence[EffectiveOverride]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def find(self, run_id: str, override_type: str) -> list[EffectiveOverride]:
        """Return the overrides of a type for a run, voided or not, in the order of the log."""
        overrides = self.by_run.get(run_id, ())
        return [override for override in overrides if override.entry.record["override_type"] == override_type]


def index_overrides(path: str, entries: Iterable[Entry]) -> OverrideIndex:
    """Return the overrides of a log: of one id the first counts, and an update may come before its override."""
    records = list(entries)
    findings: list[Finding] = []
    overrides: dict[str, Entry] = {}
    for entry in records:
        if entry.record["record_type"] == "OVERRIDE":
            first = overrides.setdefault(entry.record["override_id"], entry)
            if first is not entry:
                code = "RI023" if first.record == entry.record else "RI042"
                findings.append(make_entry_finding(entry, code, path, detail=str(first.number)))
    updates: dict[str, Entry] = {}
    for entry in records:
        if entry.record["record_type"] != "OVERRIDE_UPDATE":
            continue
        override_id = entry.record["override_id"]
        findings += _check_update(path, overrides.get(override_id), entry)
        previous = updates.get(override_id)
        if previous is None or _update_time(entry) >= _update_time(previous):
            updates[override_id] = entry
        else:
            expected, got = f"at or after {_update_time(previous)}", _update_time(entry)
            findings.append(make_entry_finding(entry, "RI022", path, "/update_utc", expected=expected, got=got))
    by_id: dict[str, EffectiveOverride] = {}
    by_run: dict[str, list[EffectiveOverride]] = {}
    for override_id, entry in overrides.items():
        by_id[override_id] = override = EffectiveOverride(entry, updates.get(override_id))
        by_run.setdefault(entry.record["run_id"], []).append(override)
    return OverrideIndex(by_id, by_run, tuple(findings))


def _check_update(path: str, override: Entry | None, entry: Entry) -> Iterator[Finding]:
    if override is None:
        yield make_entry_finding(entry, "RI041", path, "/override_id", got=entry.record["override_id"])
    elif _update_time(entry) < (second_of(override.record["created_utc"]) or ""):
        expected, got = f"at or after {override.record['created_utc']}", entry.record["update_utc"]
        yield make_entry_finding(entry, "RI045", path, "/update_utc", expected=expected, got=got)


def _update_time(entry: Entry) -> str:
    return second_of(entry.record["update_utc"]) or ""


def check_overrides(path: str, index: OverrideIndex, runs: Mapping[str, Record]) -> Iterator[Finding]:
    """Yield all findings of an index; `runs` are the current records, by run id, of the runs that overrides name."""
    yield from index.findings
    for override in index.by_id.values():
        # A voided override cannot be corrected any more, so it need not agree with its run.
        if override.is_valid:
            yield from _compare_with_run(path, override.entry, runs.get(override.entry.record["run_id"]))


def _compare_with_run(path: str, entry: Entry, run: Record | None) -> Iterator[Finding]:
    """Yield a finding if the run of an override is unknown (RI043) or of another artist or genre (RI044)."""
    if run is None:
        yield make_entry_finding(entry, "RI043", path, "/run_id", got=entry.record["run_id"])
        return
    for name in ("artist_id", "genre_id"):
        expected, got = run[name], entry.record[name]
        if expected != got:
            yield make_entry_finding(entry, "RI044", path, f"/{name}", expected=expected, got=got, detail=name)


_IDENTITY: Final = ("created_by", "machine_id", "artist_id", "genre_id")
# These fields describe the writing of a record, not the run: every record has its own.
_WRITING: Final = frozenset({"created_utc", "last_updated_utc", "created_by", "machine_id", "corrects"})


def version_key(record: Record) -> tuple[str, str]:
    """Return the time of the last update (else of creation) and the machine: records of a run are sorted by them."""
    return second_of(record.get("last_updated_utc", record["created_utc"])) or "", record["machine_id"]


def sort_versions(entries: Sequence[Entry]) -> list[Entry]:
    """Return the records of one run, the current one last."""
    return sorted(entries, key=lambda entry: (*version_key(entry.record), entry.number))


def find_changed_fields(previous: Record, record: Record) -> tuple[str, ...]:
    """Return the fields that a later record of a run removes or changes, in the order of the previous one.

    An addition is not a change: a new field, an id in a list, a result where NOT_RUN was.
    """
    return tuple(name for name in previous if name not in _WRITING and not _is_kept(name, previous[name], record))


def _is_kept(name: str, content: Any, record: Record) -> bool:
    """Return whether a later record keeps the content of a field, or only adds to it."""
    if name not in record:
        return False
    later = record[name]
    if isinstance(content, list) and isinstance(later, list):
        return all(item in later for item in content)
    return bool(later == content) or (name in UNIQUENESS and content == "NOT_RUN")


def find_field_changes(previous: Record, record: Record) -> list[dict[str, Any]]:
    """Return the name (`field`) and both values of each field that differs between two records; None if missing."""
    names = dict.fromkeys((*previous, *record))
    changes = [{"field": name, "before": previous.get(name), "after": record.get(name)} for name in names]
    return [change for change in changes if change["before"] != change["after"]]


def check_versions(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield the findings about how the records of one run, in the order of the log, relate (RI022 to RI026)."""
    if len(entries) < 2:
        return  # most runs have one record
    yield from _compare_with_earlier_lines(path, entries)
    ordered = sort_versions(entries)
    last_corrected = {name: number for number, entry in enumerate(ordered) for name in entry.record.get("corrects", ())}
    ever_changed: set[str] = set()
    for number, (previous, entry) in enumerate(itertools.pairwise(ordered), 1):
        changed = find_changed_fields(previous.record, entry.record)
        ever_changed.update(changed)
        for name in changed:
            # This record or a later one may name the change.
            if last_corrected.get(name, 0) < number:
                yield _make_uncorrected_finding(path, name, previous.record, entry)
        for name in entry.record.get("corrects", ()):
            if name not in ever_changed:
                yield make_entry_finding(entry, "RI026", path, "/corrects", detail=name)


def _make_uncorrected_finding(path: str, name: str, previous: Record, entry: Entry) -> Finding:
    expected, got, verb = format_quoted(previous[name]), None, "is missing"
    if name in entry.record:
        got, verb = format_quoted(entry.record[name]), "changed"
    return make_entry_finding(entry, "RI025", path, f"/{name}", expected=expected, got=got, detail=f"{name} {verb}")


def _compare_with_earlier_lines(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield the findings of duplicates, of two runs with one id, and of records that are older than an earlier line."""
    first_lines: dict[str, int] = {}
    first_created: dict[str | None, Entry] = {}
    newest = ""
    for entry in entries:
        first_line = first_lines.setdefault(json.dumps(entry.record, sort_keys=True), entry.number)
        if first_line != entry.number:
            yield make_entry_finding(entry, "RI023", path, detail=str(first_line))
        first = first_created.setdefault(second_of(entry.record["created_utc"]), entry)
        yield from check_identity(path, first, entry)
        updated, _ = version_key(entry.record)
        if updated < newest:
            yield make_entry_finding(entry, "RI022", path, expected=f"at or after {newest}", got=updated)
        newest = max(newest, updated)


def check_identity(path: str, first: Entry, entry: Entry) -> Iterator[Finding]:
    """Yield RI024 for the first identity field in which two records of one run_id and created_utc differ."""
    for name in _IDENTITY:
        expected, got = first.record[name], entry.record[name]
        if expected != got:
            line = str(first.number)
            yield make_entry_finding(entry, "RI024", path, f"/{name}", expected=expected, got=got, detail=line)
            return


def check_timestamps(path: str, entry: Entry, now: str | None) -> Iterator[Finding]:
    """Yield the findings about the timestamps of a record (RI020, RI021); without `now`, none about the future."""
    created = second_of(entry.record["created_utc"]) or ""
    updated = second_of(entry.record.get("last_updated_utc", "")) or created
    if updated < created:
        expected = f"at or after {created}"
        yield make_entry_finding(entry, "RI020", path, "/last_updated_utc", expected=expected, got=updated)
    newest = max(created, updated)
    if now is not None and newest > now:
        yield make_entry_finding(entry, "RI021", path, expected=f"at or before {now}", got=newest)


# The fields that a run has after its Final Save.
_FINAL_SAVE: Final = ("scripture_packet_id", "work_id", "version_ids", "run_log_filepath_abs")


@value_type
class SongIndex:
    """The works of the song index, and the run that each version names (None: it names none)."""

    works: frozenset[str] = frozenset()
    versions: Mapping[str, str | None] = field(default_factory=dict)


@value_type
class RuleContext:
    """What records are compared with; what is None is not compared."""

    overrides: OverrideIndex = field(default_factory=OverrideIndex)
    song_index: SongIndex | None = None
    # Only the machine of a run has its run log file.
    machine_id: str | None = None
    # UTC to the second, to find timestamps in the future.
    now: str | None = None
    is_file: Callable[[str], bool] = lambda _path: True


def check_current_record(path: str, entry: Entry, context: RuleContext) -> Iterator[Finding]:
    """Yield the findings about the current record of a run (RI017, RI030 to RI037); `entry` must be the current one."""
    record = entry.record
    missing = [name for name in _FINAL_SAVE if not record.get(name)]
    outputs = record.get("work_id") or record.get("version_ids")
    is_unlinked = bool(outputs) and "scripture_packet_id" not in record
    if record["qa_gate2"] == "PASS":
        missing_outputs = [name for name in missing if name in ("work_id", "version_ids")]
        if missing_outputs:
            yield make_entry_finding(entry, "RI030", path, detail=" and ".join(missing_outputs))
        yield from _check_uniqueness(path, entry, context.overrides)
        for name in missing:
            # A missing packet of a run with outputs is RI035, an error, and not also this warning.
            if name not in missing_outputs and not (name == "scripture_packet_id" and is_unlinked):
                yield make_entry_finding(entry, "RI032", path, detail=name)
    if is_unlinked:
        name = "work_id" if record.get("work_id") else "version_ids"
        first = record[name] if name == "work_id" else record[name][0]
        yield make_entry_finding(entry, "RI035", path, detail=f"{name} {first}")
    yield from _check_run_log(path, entry, context)
    if context.song_index is not None:
        yield from _check_song_links(path, entry, context.song_index)


def _check_uniqueness(path: str, entry: Entry, index: OverrideIndex) -> Iterator[Finding]:
    """Yield a finding for each uniqueness FAIL that no override allows, or only voided ones (RI031)."""
    for check, override_type in UNIQUENESS.items():
        if entry.record.get(check) != "FAIL":
            continue
        overrides = index.find(entry.record["run_id"], override_type)
        if any(override.is_valid for override in overrides):
            continue
        voided = overrides[-1].to_json() if overrides else None
        got = None if voided is None else f"{voided['override_id']} is voided since {voided['status_utc']}"
        expected = f"an override of type {override_type}"
        yield make_entry_finding(entry, "RI031", path, f"/{check}", expected=expected, got=got, detail=check)


def _check_run_log(path: str, entry: Entry, context: RuleContext) -> Iterator[Finding]:
    run_log = entry.record.get("run_log_filepath_abs")
    if run_log is None:
        return
    is_posix = PurePosixPath(run_log).is_absolute()
    if not is_posix and not PureWindowsPath(run_log).is_absolute():
        yield make_entry_finding(entry, "RI017", path, "/run_log_filepath_abs", got=run_log)
    # A path of another machine, or of Windows, cannot be looked up here.
    elif is_posix and context.machine_id == entry.record["machine_id"] and not context.is_file(run_log):
        yield make_entry_finding(entry, "RI034", path, "/run_log_filepath_abs", got=run_log)


def _check_song_links(path: str, entry: Entry, songs: SongIndex) -> Iterator[Finding]:
    work = entry.record.get("work_id")
    if work is not None and work not in songs.works:
        yield make_entry_finding(entry, "RI036", path, "/work_id", got=work, detail=f"the work {work}")
    run_id = entry.record["run_id"]
    for number, version in enumerate(entry.record.get("version_ids", ())):
        pointer = f"/version_ids/{number}"
        if version not in songs.versions:
            yield make_entry_finding(entry, "RI036", path, pointer, got=version, detail=f"the version {version}")
        elif songs.versions[version] != run_id:
            got = songs.versions[version]
            yield make_entry_finding(entry, "RI037", path, pointer, expected=run_id, got=got, detail=version)


def read_song_index(path: Path, display_path: str) -> tuple[SongIndex | None, tuple[Finding, ...]]:
    """Return the song index, or None if it cannot be read, and a finding (RI038) for that or each unreadable line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, (finding("RI038", display_path, detail=error.strerror or "no reason given"),)
    works: set[str] = set()
    versions: dict[str, str | None] = {}
    findings: list[Finding] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = parse_strict_json(line)
        except StrictJsonError as error:
            findings.append(finding("RI038", display_path, location=f"line {number}", detail=str(error)[:200]))
            continue
        if not isinstance(record, dict):
            continue
        work, version, run = (record.get(key) for key in ("work_id", "version_id", "run_id"))
        if isinstance(work, str):
            works.add(work)
        if record.get("record_type") == "VERSION" and isinstance(version, str):
            versions[version] = run if isinstance(run, str) else None
    return SongIndex(frozenset(works), versions), tuple(findings)
