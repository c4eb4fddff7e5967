"""The records of one run in their order: which is the current one, and what a later one may change (SPEC 11).

The order is that of `last_updated_utc` or else `created_utc`, then machine_id, then the place in the log.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from registry_pipeline.canonical import second_of
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.log_file import Entry
from registry_pipeline.registries.run_index.record import UNIQUENESS, Record

COLLIDING: Final = ("created_by", "machine_id", "artist_id", "genre_id")
"""What two records of one run_id and created_utc cannot differ in (SPEC 11)."""
_OF_THE_WRITING: Final = frozenset({"created_utc", "last_updated_utc", "created_by", "machine_id", "corrects"})
"""Fields that tell of the writing of a record, not of the run: a later record has its own."""


def order_of(record: Record) -> tuple[str, str]:
    """Return what orders the records of a run, before their place in the log does."""
    told = record.get("last_updated_utc", record["created_utc"])
    return second_of(told) or "", record["machine_id"]


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return the records of one run, the current one last."""
    return sorted(entries, key=lambda entry: (*order_of(entry.record), entry.offset))


def changed_fields(before: Record, after: Record) -> tuple[str, ...]:
    """Return what a later record of a run takes back or states otherwise, in the order of the earlier one.

    To add is not to change: a field that was left out, an id to a list, a result to a check that was NOT_RUN.
    """
    return tuple(name for name, held in before.items() if name not in _OF_THE_WRITING and not _keeps(name, held, after))


def field_changes(before: Record, after: Record) -> tuple[tuple[str, Any, Any], ...]:
    """Return every field that differs between two records, with its two values (None: not stated)."""
    names = dict.fromkeys((*before, *after))
    return tuple((name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


def _keeps(name: str, held: Any, after: Record) -> bool:
    if name not in after:
        return False
    now = after[name]
    if isinstance(held, list) and isinstance(now, list):
        return all(each in now for each in held)
    return bool(now == held) or (name in UNIQUENESS and held == "NOT_RUN")


def check_history(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield what the records of one run do to each other; `entries` are its records in the order of the log."""
    yield from _repetitions(path, entries)
    yield from _collisions(path, entries)
    yield from _skew(path, entries)
    ordered = in_order(entries)
    last_corrected = {name: number for number, each in enumerate(ordered) for name in each.record.get("corrects", ())}
    ever_changed: set[str] = set()
    for number, (before, entry) in enumerate(itertools.pairwise(ordered), 1):
        changed = changed_fields(before.record, entry.record)
        ever_changed.update(changed)
        for name in changed:
            if last_corrected.get(name, 0) < number:
                yield _uncorrected(path, name, before.record, entry)
        for name in entry.record.get("corrects", ()):
            if name not in ever_changed:
                yield _at(entry, "RI026", path, "/corrects", detail=name)


def _uncorrected(path: str, name: str, before: Record, entry: Entry) -> Finding:
    gone = name not in entry.record
    did = f"{name} is no longer stated" if gone else f"{name} changed"
    got = None if gone else _shown(entry.record[name])
    return _at(entry, "RI025", path, f"/{name}", expected=_shown(before[name]), got=got, detail=did)


def _repetitions(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    lines: dict[str, int] = {}
    for entry in entries:
        first = lines.setdefault(json.dumps(entry.record, sort_keys=True), entry.number)
        if first != entry.number:
            yield _at(entry, "RI023", path, detail=str(first))


def _collisions(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    created: dict[str | None, Entry] = {}
    for entry in entries:
        other = created.setdefault(second_of(entry.record["created_utc"]), entry)
        for name in colliding_fields(other.record, entry.record)[:1]:
            expected, got, line = other.record[name], entry.record[name], str(other.number)
            yield _at(entry, "RI024", path, f"/{name}", expected=expected, got=got, detail=line)


def colliding_fields(one: Record, two: Record) -> tuple[str, ...]:
    """Return in which fields two records of one run_id and created_utc differ, though they cannot; else nothing."""
    if one["run_id"] != two["run_id"] or second_of(one["created_utc"]) != second_of(two["created_utc"]):
        return ()
    return tuple(name for name in COLLIDING if one[name] != two[name])


def _skew(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    newest = ("", "")
    for entry in entries:
        told = order_of(entry.record)
        if told[0] < newest[0]:
            yield _at(entry, "RI022", path, expected=f"at or after {newest[0]}", got=told[0])
        newest = max(newest, told)


def check_stamps(path: str, entry: Entry, now: str | None) -> Iterator[Finding]:
    """Yield what the clock of one record's machine cannot have shown; `now` is the instant of the check, if told."""
    created = second_of(entry.record["created_utc"]) or ""
    updated = second_of(entry.record.get("last_updated_utc", "")) or created
    if updated < created:
        expected = f"at or after {created}"
        yield _at(entry, "RI020", path, "/last_updated_utc", expected=expected, got=updated)
    newest = max(created, updated)
    if now is not None and newest > now:
        yield _at(entry, "RI021", path, expected=f"at or before {now}", got=newest)


def _at(entry: Entry, code: str, path: str, pointer: str = "", **words: Any) -> Finding:
    return finding(code, path, location=f"line {entry.number} {pointer}".strip(), **words)


def _shown(held: object) -> str:
    text = held if isinstance(held, str) else str(held)
    return text if len(text) <= 80 else f"{text[:80]}…"
