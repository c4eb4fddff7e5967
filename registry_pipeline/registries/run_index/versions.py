"""The records of one run: their order, the current one, and what a later record may change.

See docs/reference/specification.md, "Run index".
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from registry_pipeline.canonical import second_of
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import Entry, entry_finding
from registry_pipeline.registries.run_index.record import UNIQUENESS, Record

_IDENTITY: Final = ("created_by", "machine_id", "artist_id", "genre_id")
# These fields describe the writing of a record, not the run: every record has its own.
_WRITING: Final = frozenset({"created_utc", "last_updated_utc", "created_by", "machine_id", "corrects"})
_MAX_QUOTED: Final = 80


def version_key(record: Record) -> tuple[str, str]:
    """Return what the records of a run are sorted by, before their position in the log."""
    return second_of(record.get("last_updated_utc", record["created_utc"])) or "", record["machine_id"]


def sort_versions(entries: Sequence[Entry]) -> list[Entry]:
    """Return the records of one run, the current one last."""
    return sorted(entries, key=lambda entry: (*version_key(entry.record), entry.number))


def changed_fields(previous: Record, record: Record) -> tuple[str, ...]:
    """Return the fields that a later record of a run removes or changes, in the order of the previous one.

    An addition is not a change: a new field, an id in a list, a result where NOT_RUN was.
    """
    return tuple(name for name in previous if name not in _WRITING and not _keeps(name, previous[name], record))


def _keeps(name: str, content: Any, record: Record) -> bool:
    if name not in record:
        return False
    later = record[name]
    if isinstance(content, list) and isinstance(later, list):
        return all(item in later for item in content)
    return bool(later == content) or (name in UNIQUENESS and content == "NOT_RUN")


def field_changes(previous: Record, record: Record) -> tuple[tuple[str, Any, Any], ...]:
    """Return the name and both values of every field that differs between two records; None for a missing field."""
    names = dict.fromkeys((*previous, *record))
    pairs = ((name, previous.get(name), record.get(name)) for name in names)
    return tuple((name, old, new) for name, old, new in pairs if old != new)


def check_versions(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield the findings about how the records of one run relate; `entries` are in the order of the log."""
    if len(entries) < 2:
        return  # most runs have one record
    yield from _find_duplicates(path, entries)
    yield from _find_collisions(path, entries)
    yield from _find_older(path, entries)
    ordered = sort_versions(entries)
    last_corrected = {name: number for number, entry in enumerate(ordered) for name in entry.record.get("corrects", ())}
    ever_changed: set[str] = set()
    for number, (previous, entry) in enumerate(itertools.pairwise(ordered), 1):
        changed = changed_fields(previous.record, entry.record)
        ever_changed.update(changed)
        for name in changed:
            # This record or a later one may name the change.
            if last_corrected.get(name, 0) < number:
                yield _uncorrected(path, name, previous.record, entry)
        for name in entry.record.get("corrects", ()):
            if name not in ever_changed:
                yield entry_finding(entry, "RI026", path, "/corrects", detail=name)


def _uncorrected(path: str, name: str, previous: Record, entry: Entry) -> Finding:
    expected = _quoted(previous[name])
    if name not in entry.record:
        return entry_finding(entry, "RI025", path, f"/{name}", expected=expected, detail=f"{name} is missing")
    got = _quoted(entry.record[name])
    return entry_finding(entry, "RI025", path, f"/{name}", expected=expected, got=got, detail=f"{name} changed")


def _find_duplicates(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    first_lines: dict[str, int] = {}
    for entry in entries:
        first = first_lines.setdefault(json.dumps(entry.record, sort_keys=True), entry.number)
        if first != entry.number:
            yield entry_finding(entry, "RI023", path, detail=str(first))


def _find_collisions(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    first_created: dict[str | None, Entry] = {}
    for entry in entries:
        first = first_created.setdefault(second_of(entry.record["created_utc"]), entry)
        yield from compare_identity(path, first, entry)


def compare_identity(path: str, first: Entry, entry: Entry) -> Iterator[Finding]:
    """Yield a finding if two records of one run_id and created_utc cannot be the same run."""
    for name in _IDENTITY:
        expected, got = first.record[name], entry.record[name]
        if expected != got:
            line = str(first.number)
            yield entry_finding(entry, "RI024", path, f"/{name}", expected=expected, got=got, detail=line)
            return


def _find_older(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    newest = ("", "")
    for entry in entries:
        key = version_key(entry.record)
        if key[0] < newest[0]:
            yield entry_finding(entry, "RI022", path, expected=f"at or after {newest[0]}", got=key[0])
        newest = max(newest, key)


def check_timestamps(path: str, entry: Entry, now: str | None) -> Iterator[Finding]:
    """Yield the findings about the timestamps of one record; without `now`, future ones are not reported."""
    created = second_of(entry.record["created_utc"]) or ""
    updated = second_of(entry.record.get("last_updated_utc", "")) or created
    if updated < created:
        expected = f"at or after {created}"
        yield entry_finding(entry, "RI020", path, "/last_updated_utc", expected=expected, got=updated)
    newest = max(created, updated)
    if now is not None and newest > now:
        yield entry_finding(entry, "RI021", path, expected=f"at or before {now}", got=newest)


def _quoted(content: object) -> str:
    text = str(content)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"
