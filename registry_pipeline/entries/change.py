"""A change of the registries, planned: which files it makes say what, and what is wrong with that (SPEC 10).

The plan is judged on the state that it would leave. An error about an entry that changes refuses it, and so does an
error about any other that was not there before. Writing is `writing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.canon import utc_text
from registry_pipeline.config import Governed
from registry_pipeline.entries.abilities import place_ability
from registry_pipeline.entries.contents import Contents, Entry, contents_of, is_split_route
from registry_pipeline.entries.coordination import (
    WRITE_FAILURES,
    check_contents,
    check_entry,
    check_keys,
    check_removal,
    check_rules_of,
)
from registry_pipeline.entries.hooks import place_hook, put_hook
from registry_pipeline.entries.modules import is_approved, place_module, put_in_list
from registry_pipeline.entries.routes import place_route, put_route, slug
from registry_pipeline.entries.schemas import meant
from registry_pipeline.entries.yaml_file import rewrite
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.model.codes import finding
from registry_pipeline.model.entry_types import APPROVAL, NEEDS_APPROVAL, OVERRIDE, EntryType
from registry_pipeline.model.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.yaml_values import same_value

Place = Callable[[Contents, EntryType, Mapping[str, Any]], str]
Put = Callable[[EntryType, list[Any], dict[str, Any]], list[Any]]

_FAMILIES: Final[Mapping[str, tuple[Place, Put]]] = MappingProxyType(
    {
        "modules": (place_module, put_in_list),
        "routes": (place_route, put_route),
        "abilities": (place_ability, put_in_list),
        "hooks": (place_hook, put_hook),
        "own": (place_module, put_in_list),
    }
)
"""Where each family puts an entry, and how."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry that somebody wants written: its type, its values as they were given, and where they were given."""

    type: EntryType
    value: Mapping[str, Any]
    origin: str


@dataclass(frozen=True, slots=True)
class Asked:
    """How a change is asked for; `at` is the moment that records of overrides and approvals bear."""

    actor: str
    at: datetime
    update: bool = False
    no_check: bool = False
    approved_by: str | None = None


@dataclass(frozen=True, slots=True)
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


def plan_addition(governed: Governed, contents: Contents, new: Sequence[NewEntry], asked: Asked) -> Change:
    """Return the plan that adds or updates entries, all in one.

    Raises:
        RefusedError: a file cannot be changed in a way that can be proven (exit 5).
    """
    early = [each for one in new for each in _unfit(contents, one)]
    if early:
        return Change({}, sorted_findings(early), _counts(new, {}))
    values = [_with_approval(contents, one, asked) for one in new]
    plan = _Plan(governed, contents)
    for one, value in zip(new, values, strict=True):
        plan.put(one, value, update=asked.update)
    after = plan.after()
    findings = _judge(contents, after, plan)
    if asked.no_check:
        values = [_with_override(contents, after, one, value, asked) for one, value in zip(new, values, strict=True)]
        plan = _Plan(governed, contents)
        for one, value in zip(new, values, strict=True):
            plan.put(one, value, update=True if asked.update else None)
        after = plan.after()
        findings = _judge(contents, after, plan)
    return Change(plan.changed(), findings, _counts(new, plan.changed()))


def plan_removal(governed: Governed, contents: Contents, named: Sequence[tuple[EntryType, str]]) -> Change:
    """Return the plan that removes entries, all in one; one that others refer to refuses it (EN060).

    Raises:
        NotFoundError: there is no such entry (exit 7).
        RefusedError: a file cannot be changed in a way that can be proven (exit 5).
    """
    plan = _Plan(governed, contents)
    removed = [_named(contents, entry_type, key) for entry_type, key in named]
    for entry in removed:
        plan.remove(entry)
    after = plan.after()
    findings: Sequence[Finding] = [each for entry in removed for each in check_removal(entry, after)]
    # Who referred to it is told by EN060; only without such is there anything else to tell.
    told = sorted_findings([*plan.findings, *(findings or _new_errors(contents, after))])
    return Change(plan.changed(), told, {"entries": len(removed), "files": len(plan.changed())})


def find_type(contents: Contents, name: str) -> EntryType:
    """Return a type by its name.

    Raises:
        NotFoundError: there is none; the one that was meant is named (exit 7).
    """
    known = contents.schemas.types
    if name not in known:
        raise NotFoundError(f"there is no type {name}{meant(name, known)}", f"the types are {', '.join(known)}")
    return known[name]


def choose_type(contents: Contents, family: str, value: Any) -> EntryType:
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


def _likeness(contents: Contents, entry_type: EntryType, value: Mapping[str, Any]) -> int:
    """Return how much an entry's keys are those of a type; a problem of its shape weighs less than a key of its own."""
    problems = contents.schemas.judges[entry_type.name](dict(value))
    unknown = sum("dditional" in each.message or "do not match" in each.message for each in problems)
    return -10 * unknown - len(problems)


def _unfit(contents: Contents, one: NewEntry) -> list[Finding]:
    """Return why an entry cannot even be placed: it has no shape, or no key."""
    if not isinstance(one.value, dict):
        words = {"detail": "an entry is a mapping", "schema": contents.schemas.paths[one.type.name]}
        return [finding("EN001", one.origin, got=type(one.value).__name__, **words)]
    shape = contents.schemas.check(one.type, one.value, one.origin, None)
    if shape:
        probe = Entry(one.type, one.type.key_of(one.value) or "", one.value, one.origin)
        return [*shape, *(each for each in check_rules_of(probe, contents) if each.severity is Severity.ERROR)]
    if one.type.key_of(one.value) is None:
        words = {"detail": f"the entry has no {one.type.key_field}", "advice": "give it one"}
        return [finding("EN002", one.origin, **words)]
    return []


def _old(contents: Contents, one: NewEntry) -> Entry | None:
    """Return the entry that a new one would replace."""
    found = contents.of(one.type.name).get(one.type.key_of(one.value) or "", ())
    if one.type.name == "route":
        found = tuple(each for each in found if each.value.get("module_id") == one.value.get("module_id"))
    return found[0] if found else None


def _with_approval(contents: Contents, one: NewEntry, asked: Asked) -> dict[str, Any]:
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
    contents: Contents, after: Contents, one: NewEntry, value: dict[str, Any], asked: Asked
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


def _named(contents: Contents, entry_type: EntryType, key: str) -> Entry:
    known = contents.of(entry_type.name)
    if key not in known:
        raise NotFoundError(
            f"there is no {entry_type.name} {key}{meant(key, known)}",
            f"`registry-pipeline entries list --type {entry_type.name}` tells what there is",
        )
    if len(known[key]) > 1:
        places = ", ".join(each.path for each in known[key])
        raise RefusedError(f"{entry_type.name} {key} stands more than once: {places}", "remove one by hand")
    return known[key][0]


class _Plan:
    """The files of a change in the making: what each shall say."""

    def __init__(self, governed: Governed, contents: Contents) -> None:
        self._governed = governed
        self._contents = contents
        self._documents: dict[str, list[Any]] = {}
        self._bytes: dict[str, bytes | None] | None = None
        self.touched: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []

    def put(self, one: NewEntry, value: dict[str, Any], *, update: bool | None) -> None:
        """Add or update an entry; without `update` a different one of that key is told and stays."""
        place, put = _FAMILIES[one.type.family]
        path = place(self._contents, one.type, value)
        before = self._read(path, one.type)
        if before is None:
            return
        key = str(one.type.key_of(value))
        told = _collision(one, before, value)
        if told and not update:
            self._tell_collision(one, path, key, told)
            return
        try:
            self._documents[path] = put(one.type, before, value)
        except RefusedError as error:
            self.findings.append(finding("EN002", path, got=key, detail=error.message, advice=error.advice))
        self.touched.add((one.type.name, key))

    def remove(self, entry: Entry) -> None:
        """Take an entry out; a file that was the entry alone goes too."""
        before = self._read(entry.path, entry.type) or []
        self.touched.add((entry.type.name, entry.key))
        if entry.type.list_key is None:
            same = [is_split_route(entry.type, before) or _is(entry, document) for document in before]
            kept = [document for document, is_it in zip(before, same, strict=True) if not is_it]
            self._documents[entry.path] = kept
            return
        document = before[0]
        entries = document if isinstance(document, list) else document[entry.type.list_key]
        kept = [each for each in entries if not _is(entry, each)]
        self._documents[entry.path] = [kept if isinstance(document, list) else {**document, entry.type.list_key: kept}]

    def changed(self) -> dict[str, tuple[bytes | None, bytes | None]]:
        """Return the files that change, with their bytes before and after."""
        if self._bytes is None:
            self._bytes = {path: self._rewritten(path, after) for path, after in sorted(self._documents.items())}
        before = self._contents.files
        pairs = {path: (before.get(path), after) for path, after in self._bytes.items()}
        return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}

    def after(self) -> Contents:
        """Return the registries as they would be."""
        changed = self.changed()
        files = {**self._contents.files, **{path: after for path, (_, after) in changed.items() if after is not None}}
        files = {path: data for path, data in files.items() if changed.get(path, (b"", b""))[1] is not None}
        parsed = {path: nodes for path, nodes in self._contents.documents.items() if path not in changed}
        kept = [each for each in self._contents.findings if each.path not in files and each.path not in changed]
        return contents_of(self._governed, files, kept, self._contents.schemas, parsed)

    def _rewritten(self, path: str, after: list[Any]) -> bytes | None:
        if not after:
            return None
        nodes = self._contents.documents.get(path)
        return rewrite(self._contents.files.get(path, b""), after, path, nodes)

    def _read(self, path: str, entry_type: EntryType) -> list[Any] | None:
        """Return what a file says now, or shall say by now; None, told, where it cannot be read."""
        if path in self._documents:
            return self._documents[path]
        broken = [each for each in self._contents.findings if each.path == path and each.severity is Severity.ERROR]
        if broken and path not in self._contents.documents:
            self.findings += broken
            return None
        wrong = [each for each in broken if each.code == "EN002" and "is in it" in each.message]
        if wrong and entry_type.list_key is not None:
            self.findings += wrong
            return None
        return [node.value for node in self._contents.documents.get(path, ())]

    def _tell_collision(self, one: NewEntry, path: str, key: str, detail: str) -> None:
        old = self._contents.of(one.type.name).get(key, ())
        place = old[0].location() if old else None
        advice = "`entries add --update` replaces it; --dry-run --diff shows how"
        self.findings.append(finding("EN002", path, location=place, got=key, detail=detail, advice=advice))


def _is(entry: Entry, value: Any) -> bool:
    if not isinstance(value, dict) or entry.type.key_of(value) != entry.key:
        return False
    return entry.type.name != "route" or value.get("module_id") == entry.value.get("module_id")


def _collision(one: NewEntry, before: list[Any], value: Mapping[str, Any]) -> str:
    """Return what a new entry would replace, "" where it is new or the same."""
    key = one.type.key_of(value)
    values = [{**before[0], **before[1]}] if is_split_route(one.type, before) else before
    for document in values:
        entries = (
            document.get(one.type.list_key, []) if isinstance(document, dict) and one.type.list_key else [document]
        )
        entries = document if isinstance(document, list) else entries
        for old in entries or []:
            if not isinstance(old, dict) or one.type.key_of(old) != key or _free(old, value):
                continue
            if one.type.name == "route":
                return _route_collision(old, value)
            return f"there is another {one.type.name} {key} already"
    return ""


def _free(old: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Tell whether an old entry says the same, the records of the writer apart."""
    own = (APPROVAL, OVERRIDE)
    return same_value(*({name: part for name, part in each.items() if name not in own} for each in (old, value)))


def _route_collision(old: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """Return what a route would replace: fields of its file, or a route of the same slug."""
    if old.get("module_id") != value.get("module_id"):
        return ""  # another entry, which EN020 judges
    for name in value:
        if name not in ("routes", APPROVAL, OVERRIDE) and not same_value(old.get(name), value[name]):
            return f"its field {name} differs from the one that is there"
    there = {slug(str(each.get("when_to_use", ""))): each for each in old.get("routes", []) if isinstance(each, dict)}
    for route in value.get("routes", []):
        mine = slug(str(route.get("when_to_use", "")))
        if mine in there and not same_value(there[mine], route):
            return f"there is another route {mine} already"
    return ""


def _judge(before: Contents, after: Contents, plan: _Plan) -> tuple[Finding, ...]:
    """Return the findings about what changes, and the errors that are new anywhere else."""
    found = list(plan.findings)
    for name, key in plan.touched:
        for entry in after.of(name).get(key, ()):
            found += check_entry(entry, after)
    found += [each for each in check_keys(after) if each.got in {key for _, key in plan.touched}]
    told = {_sameness(each) for each in found}
    found += [each for each in _new_errors(before, after) if _sameness(each) not in told]
    return sorted_findings(found)


def _new_errors(before: Contents, after: Contents) -> Iterable[Finding]:
    """Return the errors of the state after that the state before has not; line numbers do not count."""
    known = {_sameness(each) for each in check_contents(before)}
    errors = (each for each in check_contents(after) if each.severity is Severity.ERROR)
    return [each for each in errors if _sameness(each) not in known]


def _sameness(each: Finding) -> tuple[str, str, str, str | None]:
    return (each.code, each.path, each.message, each.got)


def _counts(new: Sequence[NewEntry], changed: Mapping[str, object]) -> dict[str, int]:
    return {"entries": len(new), "files": len(changed)}
