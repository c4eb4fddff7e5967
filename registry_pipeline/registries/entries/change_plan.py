"""Plan a change of the registries: the files that it changes, and the findings about the state after it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.entries.file_edits import FileEdits
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.modules import is_approved
from registry_pipeline.registries.entries.rules import (
    WRITE_FAILURES,
    check_entry,
    check_library,
    check_removal,
    check_rules,
    check_unique_keys,
)
from registry_pipeline.registries.entries.schemas import (
    APPROVAL,
    NEEDS_APPROVAL,
    OVERRIDE,
    SCHEMA_FOLDER,
    SCHEMA_SUFFIX,
    UNKNOWN_KEYS,
    EntryType,
    format_suggestion,
)
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import is_same_value

_LINES: Final = re.compile(r":\d+:\d+\b")  # a line and a column in a message


@value_type
class ChangeRequest:
    """The options of a change."""

    actor: str
    at: datetime  # recorded with overrides and approvals
    update: bool = False
    no_check: bool = False
    approved_by: str | None = None


@value_type
class Change:
    """A planned change; `files` maps each path to its bytes before and after (None: no file)."""

    files: Mapping[str, tuple[bytes | None, bytes | None]]
    findings: tuple[Finding, ...]
    entry_count: int

    @property
    def refused(self) -> bool:
        """Whether a finding prevents the change from being written."""
        return has_errors(self.findings)


def plan_addition(library: Library, new_entries: Sequence[Entry], request: ChangeRequest) -> Change:
    """Return the plan that adds all entries; with `request.update` it replaces those that exist, else they are EN002.

    With `no_check` they get an override of their other errors. Approvals and overrides in an entry are dropped.
    """
    # (1) An entry without shape or key cannot be put into a file at all.
    unusable = [f for new in new_entries for f in _check_shape(library, new)] or [*_check_contradictions(new_entries)]
    if unusable:
        return Change({}, sorted_findings(unusable), len(new_entries))
    # (2) The findings are those of the state after the change.
    changes = [(new, _with_approval(library, new, request)) for new in new_entries]
    edits = _edit_files(library, changes, update=request.update)
    if request.no_check:
        # (3) The override lists the codes that the entry violates in that state, so the files are edited again.
        after = edits.library_after
        changes = [(new, _with_override(library, after, new, value, request)) for new, value in changes]
        edits = _edit_files(library, changes, update=request.update)
    return Change(edits.changed_files, _check_change(library, edits), len(new_entries))


def plan_removal(library: Library, names: Sequence[tuple[EntryType, str]]) -> Change:
    """Return the plan that removes entries; NotFoundError if a key has no entry, RefusedError if it has several."""
    edits = FileEdits(library)
    removed = [_find_entry(library, entry_type, key) for entry_type, key in names]
    for entry in removed:
        edits.remove(entry)
    after = edits.library_after
    # EN060 names the referrers; the errors that they have after the removal would repeat it.
    referrers = [f for entry in removed for f in check_removal(entry, after)]
    findings = sorted_findings([*edits.findings, *(referrers or _find_new_errors(library, after))])
    return Change(edits.changed_files, findings, len(removed))


def find_type(library: Library, name: str) -> EntryType:
    """Return a type by its name; raise NotFoundError (exit 7) if it does not exist."""
    types = library.schemas.types
    if name not in types:
        raise NotFoundError(
            f"there is no type {name}{format_suggestion(name, types)}", f"the types are {', '.join(types)}"
        )
    return types[name]


def choose_type(library: Library, family: str, value: Mapping[str, Any]) -> EntryType:
    """Return the type of a family whose schema an entry violates least; RefusedError if several fit equally well."""
    scores = {}
    for entry_type in library.schemas.types.values():
        if entry_type.family != family:
            continue
        problems = library.schemas.validators[entry_type.name](value)
        # An unknown key weighs more than any other problem: it may be the key of another type.
        unknown = sum(problem.message.startswith(UNKNOWN_KEYS) for problem in problems)
        scores[entry_type.name] = -10 * unknown - len(problems)
    best = [name for name, score in scores.items() if score == max(scores.values())]
    if len(best) > 1:
        raise RefusedError(f"the entry may be of the types {' and '.join(best)}", f"name one of them: --type {best[0]}")
    return library.schemas.types[best[0]]


def _edit_files(library: Library, changes: Iterable[tuple[Entry, dict[str, Any]]], *, update: bool) -> FileEdits:
    edits = FileEdits(library)
    for new, value in changes:
        edits.put(new, value, update=update)
    return edits


def _check_shape(library: Library, new: Entry) -> list[Finding]:
    """Return why an entry cannot be written: violations of its schema (then also its other errors), or no key."""
    if not isinstance(new.value, dict):
        schema, got = library.schemas.paths[new.type.name], type(new.value).__name__
        return [finding("EN001", new.path, got=got, detail="an entry is a mapping", schema=schema)]
    violations = library.schemas.check(new.type, new.value, new.path, new.node)
    if violations:
        return [*violations, *(f for f in check_rules(new, library) if f.severity is Severity.ERROR)]
    if not new.key:
        return [finding("EN002", new.path, detail=f"the entry has no {new.type.key_field}", advice="add it")]
    return []


def _check_contradictions(new_entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield the entries of a change that differ from an earlier one of the same key; routes are merged instead."""
    by_key: dict[tuple[str, str], Entry] = {}
    for new in new_entries:
        first = by_key.setdefault((new.type.name, new.key), new)
        if new.type.name != "route" and not is_same_value(first.value, new.value):
            detail = f"two entries of this call have the {new.type.key_field} {new.key} and differ"
            yield new.finding("EN002", got=new.key, detail=detail, advice="keep one of them")


def _with_approval(library: Library, new: Entry, request: ChangeRequest) -> dict[str, Any]:
    """Return the value to write: with the existing approval of its lifecycle, or else that of the request."""
    # An approval or override that the given entry states itself does not count.
    value = {name: part for name, part in new.value.items() if name not in (APPROVAL, OVERRIDE)}
    lifecycle, approved_by = value.get("lifecycle"), (request.approved_by or "").strip()
    if new.type.name != "module_interface" or lifecycle not in NEEDS_APPROVAL:
        return value
    old = library.find_existing(new.type, new.value)
    if old is not None and is_approved(old.value) and old.value[APPROVAL]["lifecycle"] == lifecycle:
        return {**value, APPROVAL: old.value[APPROVAL]}
    if not approved_by:
        return value
    return {**value, APPROVAL: {"lifecycle": lifecycle, "by": approved_by, "utc": utc_text(request.at)}}


def _with_override(
    library: Library, after: Library, new: Entry, value: dict[str, Any], request: ChangeRequest
) -> dict[str, Any]:
    """Return the value to write, with an override of the errors that the entry has in `after`, if any."""
    failures = {
        f.code
        for entry in after.of(new.type.name).get(new.key, ())
        for f in check_rules(entry, after)
        if f.severity is Severity.ERROR
    }
    codes = sorted(failures - WRITE_FAILURES)
    if not codes:
        return value
    old = library.find_existing(new.type, new.value)
    record = None if old is None else old.value.get(OVERRIDE)
    if not isinstance(record, dict) or record.get("codes") != codes:
        record = {"codes": codes, "by": request.actor, "utc": utc_text(request.at)}
    return {**value, OVERRIDE: record}


def _find_entry(library: Library, entry_type: EntryType, key: str) -> Entry:
    """Return the entry of a key; raise NotFoundError if there is none, RefusedError if there are several."""
    entries = library.of(entry_type.name)
    if key not in entries:
        raise NotFoundError(
            f"there is no {entry_type.name} {key}{format_suggestion(key, entries)}",
            f"`registry-pipeline entries list --type {entry_type.name}` lists the entries",
        )
    if len(entries[key]) > 1:
        paths = ", ".join(entry.path for entry in entries[key])
        raise RefusedError(f"{entry_type.name} {key} is duplicated: {paths}", "remove one by hand")
    return entries[key][0]


def _check_change(before: Library, edits: FileEdits) -> tuple[Finding, ...]:
    """Return all findings about the changed entries, and the new errors of other entries, sorted."""
    # An error elsewhere refuses the change only if it did not exist before.
    after = edits.library_after
    schemas = {f"{SCHEMA_FOLDER}/{name}{SCHEMA_SUFFIX}" for name, _ in edits.touched}
    findings = [*edits.findings, *(f for f in after.schemas.findings if f.path in schemas)]
    for name, key in edits.touched:
        findings += [f for entry in after.of(name).get(key, ()) for f in check_entry(entry, after)]
    keys = {key for _, key in edits.touched}
    findings += [f for f in check_unique_keys(after) if f.got in keys]
    known = {_make_identity(f) for f in findings}
    findings += [f for f in _find_new_errors(before, after) if _make_identity(f) not in known]
    return sorted_findings(findings)


def _find_new_errors(before: Library, after: Library) -> list[Finding]:
    # The entries that do not change keep their shape, and schemas take most of the time.
    known = {_make_identity(f) for f in check_library(before, shapes=False)}
    errors = (f for f in check_library(after, shapes=False) if f.severity is Severity.ERROR)
    return [f for f in errors if _make_identity(f) not in known]


def _make_identity(f: Finding) -> tuple[str, str, str, str | None]:
    # Lines that are added above a finding do not make it another one.
    return (f.code, f.path, _LINES.sub("", f.message), f.got)
