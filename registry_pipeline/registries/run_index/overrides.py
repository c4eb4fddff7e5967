"""The status of every override, and the rules of the overrides log ("Overrides log" in the specification)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from registry_pipeline.canonical import second_of
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import Entry, make_entry_finding
from registry_pipeline.registries.run_index.record import Record
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
