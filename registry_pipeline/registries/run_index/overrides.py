"""What the overrides log allows, as it stands now: an override that was voided allows nothing any more (SPEC 11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.canonical import second_of
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import Entry
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.values import field, value_type

ALLOWS: Final = MappingProxyType(
    {
        "uniqueness_hook": "HOOK_REUSE",
        "uniqueness_scene": "SCENE_COLLISION",
        "uniqueness_scripture": "SCRIPTURE_REUSE",
    }
)
"""Which type of override allows a FAIL of which uniqueness check."""


@value_type
class EffectiveOverride:
    """An override, and its last update: the greatest update_utc, then the later place in the log."""

    entry: Entry
    update: Entry | None = None

    @property
    def status(self) -> str:
        """The status that holds: the last update's, `active` before the first."""
        return "active" if self.update is None else str(self.update.record["status"])

    @property
    def allows(self) -> bool:
        """Tell whether it allows anything; who approved it is a required field."""
        return self.status != "voided"


@value_type
class OverrideIndex:
    """Every override by its id, and by the run that it is about. `findings` tell what contradicts in the log."""

    by_id: Mapping[str, EffectiveOverride] = field(default_factory=dict)
    by_run: Mapping[str, tuple[EffectiveOverride, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def of(self, run_id: str, check: str) -> tuple[EffectiveOverride, ...]:
        """Return the overrides that are about a run's failing of a uniqueness check, in force or not."""
        return tuple(
            each for each in self.by_run.get(run_id, ()) if each.entry.record["override_type"] == ALLOWS[check]
        )


def index_overrides(path: str, entries: Iterable[Entry]) -> OverrideIndex:
    """Return how every override of a log stands; the order in which its records stand changes nothing else."""
    listed = list(entries)
    findings: list[Finding] = []
    overrides: dict[str, Entry] = {}
    for entry in listed:
        if entry.record["record_type"] == "OVERRIDE":
            first = overrides.setdefault(entry.record["override_id"], entry)
            findings += _twice(path, first, entry)
    updates: dict[str, Entry] = {}
    for entry in listed:
        if entry.record["record_type"] != "OVERRIDE_UPDATE":
            continue
        findings += _update_problems(path, overrides, entry)
        before = updates.get(entry.record["override_id"])
        if before is None or _instant(entry) >= _instant(before):
            updates[entry.record["override_id"]] = entry
        else:
            expected, got = f"at or after {_instant(before)}", _instant(entry)
            findings.append(_at(entry, "RI022", path, "/update_utc", expected=expected, got=got))
    by_id = {name: EffectiveOverride(entry, updates.get(name)) for name, entry in overrides.items()}
    by_run: dict[str, tuple[EffectiveOverride, ...]] = {}
    for each in by_id.values():
        run_id = each.entry.record["run_id"]
        by_run[run_id] = (*by_run.get(run_id, ()), each)
    return OverrideIndex(by_id, by_run, tuple(findings))


def _twice(path: str, first: Entry, entry: Entry) -> Iterator[Finding]:
    if first is not entry:
        code = "RI023" if first.record == entry.record else "RI042"
        yield _at(entry, code, path, detail=str(first.number))


def _update_problems(path: str, overrides: Mapping[str, Entry], entry: Entry) -> Iterator[Finding]:
    named = overrides.get(entry.record["override_id"])
    if named is None:
        yield _at(entry, "RI041", path, "/override_id", got=entry.record["override_id"])
    elif _instant(entry) < (second_of(named.record["created_utc"]) or ""):
        expected = f"at or after {named.record['created_utc']}"
        yield _at(entry, "RI045", path, "/update_utc", expected=expected, got=entry.record["update_utc"])


def check_against_run(path: str, standing: EffectiveOverride, run: Record | None) -> Iterator[Finding]:
    """Yield what an override says that its run does not bear out; `run` is the current record, None if there is none.

    An override that was voided is not held against anybody.
    """
    entry = standing.entry
    if not standing.allows:
        return
    if run is None:
        yield _at(entry, "RI043", path, "/run_id", got=entry.record["run_id"])
        return
    for name in ("artist_id", "genre_id"):
        if entry.record[name] != run[name]:
            yield _at(entry, "RI044", path, f"/{name}", expected=run[name], got=entry.record[name], detail=name)


def _instant(entry: Entry) -> str:
    return second_of(entry.record["update_utc"]) or ""


def _at(entry: Entry, code: str, path: str, pointer: str = "", **words: Any) -> Finding:
    return finding(code, path, location=f"line {entry.number} {pointer}".strip(), **words)
