"""A change of the registries, planned: which files it makes say what, and what is wrong with that (SPEC 10).

The plan is judged on the state that it would leave. An error about an entry that changes refuses it, and so does an
error about any other that was not there before. Writing is `writing`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.entries.file_edits import NewEntry, Plan
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.modules import is_approved
from registry_pipeline.registries.entries.rules import (
    WRITE_FAILURES,
    check_contents,
    check_entry,
    check_keys,
    check_removal,
    check_rules_of,
)
from registry_pipeline.registries.entries.schemas import did_you_mean
from registry_pipeline.registries.entries.types import (
    APPROVAL,
    NEEDS_APPROVAL,
    OVERRIDE,
    SCHEMA_FOLDER,
    SCHEMA_SUFFIX,
    EntryType,
)
from registry_pipeline.values import field, value_type
from registry_pipeline.yaml.compose import same_value

_LINES: Final = re.compile(r":\d+:\d+\b")
"""How messages name a line and a column."""


@value_type
class ChangeRequest:
    """How a change is asked for; `at` is the moment that records of overrides and approvals bear."""

    actor: str
    at: datetime
    update: bool = False
    no_check: bool = False
    approved_by: str | None = None


@value_type
class Change:
    """A plan: the files that change, with their bytes before and after (None: no file), and its findings.

    A plan that is `refused` may not be written.
    """

    files: Mapping[str, tuple[bytes | None, bytes | None]]
    findings: tuple[Finding, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether a finding forbids it."""
        return has_errors(self.findings)


def plan_addition(repository: Repository, contents: Library, new: Sequence[NewEntry], asked: ChangeRequest) -> Change:
    """Return the plan that adds or updates entries, all in one.

    Raises:
        RefusedError: a file cannot be changed in a way that can be proven (exit 5).
    """
    early = [each for one in new for each in _unfit(contents, one)] or [*_contradictions(new)]
    if early:
        return Change({}, sorted_findings(early), _counts(new, {}))
    values = [_with_approval(contents, one, asked) for one in new]
    plan = Plan(repository, contents)
    for one, value in zip(new, values, strict=True):
        plan.put(one, value, update=asked.update)
    after = plan.after()
    findings = _judge(contents, after, plan)
    if asked.no_check:
        values = [_with_override(contents, after, one, value, asked) for one, value in zip(new, values, strict=True)]
        plan = Plan(repository, contents)
        for one, value in zip(new, values, strict=True):
            plan.put(one, value, update=asked.update)
        after = plan.after()
        findings = _judge(contents, after, plan)
    return Change(plan.changed(), findings, _counts(new, plan.changed()))


def plan_removal(repository: Repository, contents: Library, named: Sequence[tuple[EntryType, str]]) -> Change:
    """Return the plan that removes entries, all in one; one that others refer to refuses it (EN060).

    Raises:
        NotFoundError: there is no such entry (exit 7).
        RefusedError: a file cannot be changed in a way that can be proven (exit 5).
    """
    plan = Plan(repository, contents)
    removed = [_named(contents, entry_type, key) for entry_type, key in named]
    for entry in removed:
        plan.remove(entry)
    after = plan.after()
    findings: Sequence[Finding] = [each for entry in removed for each in check_removal(entry, after)]
    # Who referred to it is told by EN060; only without such is there anything else to tell.
    told = sorted_findings([*plan.findings, *(findings or _new_errors(contents, after))])
    return Change(plan.changed(), told, {"entries": len(removed), "files": len(plan.changed())})


def find_type(contents: Library, name: str) -> EntryType:
    """Return a type by its name.

    Raises:
        NotFoundError: there is none; the one that was meant is named (exit 7).
    """
    known = contents.schemas.types
    if name not in known:
        raise NotFoundError(f"there is no type {name}{did_you_mean(name, known)}", f"the types are {', '.join(known)}")
    return known[name]


def choose_type(contents: Library, family: str, value: Any) -> EntryType:
    """Return which type of a family an entry is of: the one by whose schema it is valid, else the nearest by its keys.

    Raises:
        RefusedError: it is not clear (exit 5).
    """
    types = [each for each in contents.schemas.types.values() if each.family == family]
    if not isinstance(value, Mapping):
        return types[0]
    valid = [each for each in types if not contents.schemas.judges[each.name](dict(value))]
    near = {each.name: _likeness(contents, each, value) for each in valid or types}
    best = max(near.values())
    chosen = [name for name, likeness in near.items() if likeness == best]
    if len(chosen) > 1:
        raise RefusedError(
            f"the entry may be of the types {' and '.join(chosen)}", f"name one of them: --type {chosen[0]}"
        )
    return contents.schemas.types[chosen[0]]


def _likeness(contents: Library, entry_type: EntryType, value: Mapping[str, Any]) -> int:
    """Return how much an entry's keys are those of a type; a problem of its shape weighs less than a key of its own."""
    problems = contents.schemas.judges[entry_type.name](dict(value))
    unknown = sum("dditional" in each.message or "do not match" in each.message for each in problems)
    return -10 * unknown - len(problems)


def _unfit(contents: Library, one: NewEntry) -> list[Finding]:
    """Return why an entry cannot even be placed: it has no shape, or no key."""
    if not isinstance(one.value, dict):
        schema, got = contents.schemas.paths[one.type.name], type(one.value).__name__
        return [finding("EN001", one.origin, got=got, detail="an entry is a mapping", schema=schema)]
    shape = contents.schemas.check(one.type, one.value, one.origin, one.node)
    if shape:
        probe = Entry(one.type, one.type.key_of(one.value) or "", one.value, one.origin, one.node)
        return [*shape, *(each for each in check_rules_of(probe, contents) if each.severity is Severity.ERROR)]
    if one.type.key_of(one.value) is None:
        detail = f"the entry has no {one.type.key_field}"
        return [finding("EN002", one.origin, detail=detail, advice="give it one")]
    return []


def _contradictions(new: Sequence[NewEntry]) -> Iterable[Finding]:
    """Yield the entries of one call that have the key of an earlier one and say something else; routes are joined."""
    seen: dict[tuple[str, str | None], NewEntry] = {}
    for one in new:
        key = one.type.key_of(one.value)
        first = seen.setdefault((one.type.name, key), one)
        if one.type.name != "route" and not same_value(first.value, one.value):
            detail = f"two entries of this call have the {one.type.key_field} {key} and differ"
            where = None if one.node is None else one.node.location
            yield finding("EN002", one.origin, location=where, got=key, detail=detail, advice="keep one of them")


def _old(contents: Library, one: NewEntry) -> Entry | None:
    """Return the entry that a new one would replace."""
    found = contents.of(one.type.name).get(one.type.key_of(one.value) or "", ())
    if one.type.name == "route":
        found = tuple(each for each in found if each.value.get("module_id") == one.value.get("module_id"))
    return found[0] if found else None


def _with_approval(contents: Library, one: NewEntry, asked: ChangeRequest) -> dict[str, Any]:
    """Return the entry with the approval that stands, or that is given now; what it says of itself does not count."""
    value = {name: part for name, part in one.value.items() if name not in (APPROVAL, OVERRIDE)}
    old = _old(contents, one)
    if one.type.name != "module_interface" or value.get("lifecycle") not in NEEDS_APPROVAL:
        return value
    kept = old.value.get(APPROVAL) if old is not None and is_approved(old.value) else None
    if isinstance(kept, dict) and kept.get("lifecycle") == value["lifecycle"]:
        return {**value, APPROVAL: kept}
    if asked.approved_by is None or not asked.approved_by.strip():
        return value
    by = {"lifecycle": value["lifecycle"], "by": asked.approved_by.strip(), "utc": utc_text(asked.at)}
    return {**value, APPROVAL: by}


def _with_override(
    contents: Library, after: Library, one: NewEntry, value: dict[str, Any], asked: ChangeRequest
) -> dict[str, Any]:
    """Return the entry with a record of the failures that `--no-check` lifts; without any, there is no record."""
    entries = after.of(one.type.name).get(one.type.key_of(value) or "", ())
    codes = {
        each.code
        for entry in entries
        for each in check_rules_of(entry, after)
        if each.severity is Severity.ERROR and each.code not in WRITE_FAILURES
    }
    if not codes:
        return value
    old = _old(contents, one)
    kept = None if old is None else old.value.get(OVERRIDE)
    if isinstance(kept, dict) and kept.get("codes") == sorted(codes):
        return {**value, OVERRIDE: kept}
    return {**value, OVERRIDE: {"codes": sorted(codes), "by": asked.actor, "utc": utc_text(asked.at)}}


def _named(contents: Library, entry_type: EntryType, key: str) -> Entry:
    known = contents.of(entry_type.name)
    if key not in known:
        raise NotFoundError(
            f"there is no {entry_type.name} {key}{did_you_mean(key, known)}",
            f"`registry-pipeline entries list --type {entry_type.name}` tells what there is",
        )
    if len(known[key]) > 1:
        places = ", ".join(each.path for each in known[key])
        raise RefusedError(f"{entry_type.name} {key} stands more than once: {places}", "remove one by hand")
    return known[key][0]


def _judge(before: Library, after: Library, plan: Plan) -> tuple[Finding, ...]:
    """Return the findings about what changes, and the errors that are new anywhere else."""
    touched = {f"{SCHEMA_FOLDER}/{name}{SCHEMA_SUFFIX}" for name, _ in plan.touched}
    found = [*plan.findings, *(each for each in after.schemas.findings if each.path in touched)]
    for name, key in plan.touched:
        for entry in after.of(name).get(key, ()):
            found += check_entry(entry, after)
    found += [each for each in check_keys(after) if each.got in {key for _, key in plan.touched}]
    told = {_sameness(each) for each in found}
    found += [each for each in _new_errors(before, after) if _sameness(each) not in told]
    return sorted_findings(found)


def _new_errors(before: Library, after: Library) -> Iterable[Finding]:
    """Return the errors of the state after that the state before has not; line numbers do not count."""
    known = {_sameness(each) for each in check_contents(before, shapes=False)}  # shapes of others do not change
    errors = (each for each in check_contents(after, shapes=False) if each.severity is Severity.ERROR)
    return [each for each in errors if _sameness(each) not in known]


def _sameness(each: Finding) -> tuple[str, str, str, str | None]:
    return (each.code, each.path, _LINES.sub("", each.message), each.got)


def _counts(new: Sequence[NewEntry], changed: Mapping[str, object]) -> dict[str, int]:
    return {"entries": len(new), "files": len(changed)}
