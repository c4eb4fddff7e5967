"""Plan a change of the registries: the files that it changes, their new content, and the findings after it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.entries.library import (
    NO_LIST,
    Entry,
    Library,
    is_content_file,
    is_single_ability,
    is_split_route,
    make_library,
)
from registry_pipeline.registries.entries.modules import is_approved, put_hook, put_in_list
from registry_pipeline.registries.entries.routes import make_slug, put_route
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
from registry_pipeline.yaml.document import edit_yaml

_LINES: Final = re.compile(r":\d+:\d+\b")  # a line and a column in a message


@value_type
class ChangeRequest:
    """The options of a change."""

    actor: str
    at: datetime  # recorded with overrides and approvals
    update: bool = False
    no_check: bool = False
    approved_by: str | None = None
    existing_only: bool = False  # with `update`: an entry that does not exist yet is an error


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

    Raises:
        NotFoundError: with `request.existing_only`, an entry does not exist.
    """
    # (1) An entry without shape or key cannot be put into a file at all.
    unusable = [f for new in new_entries for f in _check_shape(library, new)] or [*_check_contradictions(new_entries)]
    if unusable:
        return Change({}, sorted_findings(unusable), len(new_entries))
    for new in new_entries if request.existing_only else ():
        if library.find_existing(new.type, new.value) is None:
            raise _make_missing_error(library, new.type, new.key)
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
        raise _make_missing_error(library, entry_type, key)
    if len(entries[key]) > 1:
        paths = ", ".join(entry.path for entry in entries[key])
        raise RefusedError(f"{entry_type.name} {key} is duplicated: {paths}", "remove one by hand")
    return entries[key][0]


def _make_missing_error(library: Library, entry_type: EntryType, key: str) -> NotFoundError:
    entries = library.of(entry_type.name)
    # Only routes can have the key and be another entry, that of another owner.
    difference = f" with this module_id; {entries[key][0].path} has another" if key in entries else ""
    return NotFoundError(
        f"there is no {entry_type.name} {key}{difference or format_suggestion(key, entries)}",
        f"`registry-pipeline entries list --type {entry_type.name}` lists the entries",
    )


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


# How an entry is put into the documents of its file; the other families have a list in one document.
_PUT = {"routes": put_route, "hooks": put_hook}


class FileEdits:
    """The edits of one change, in memory: all entries are put or removed first, then the results are computed once."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._documents: dict[str, list[Any]] = {}
        self.touched: set[tuple[str, str]] = set()  # the type and key of each changed entry
        self.findings: list[Finding] = []

    def put(self, new: Entry, value: dict[str, Any], *, update: bool) -> None:
        """Add or update an entry with `value`; if another one exists and not `update`, a finding is added instead."""
        path, key = self._library.make_entry(new.type, value).path, new.key
        # A run folder must be able to contain the file.
        if path_codes(path) or not is_content_file(self._library.config, new.type, path):
            detail, advice = f"the key {key!r} cannot be a file name", "choose a plainer key"
            self.findings.append(new.finding("EN002", got=key, detail=detail, advice=advice))
            return
        documents = self._read(path, new.type)
        if documents is None:
            return
        collision = _explain_collision(new.type, documents, value)
        # A route with new `when_to_use` texts only adds to the existing file and is no collision.
        if collision and not update:
            existing = self._library.of(new.type.name).get(key)
            location = existing[0].location() if existing else None
            advice = "`entries add --update` replaces it; --dry-run --diff shows how"
            self.findings.append(finding("EN002", path, location=location, got=key, detail=collision, advice=advice))
            return
        if not documents and self._library.has_single_abilities(new.type):
            documents = [value]
        try:
            self._documents[path] = _PUT.get(new.type.family, put_in_list)(new.type, documents, value)
        except RefusedError as error:
            self.findings.append(finding("EN002", path, got=key, detail=error.message, advice=error.advice))
        self.touched.add((new.type.name, key))

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is in the library; a file without documents is deleted, an empty list stays."""
        documents = self._read(entry.path, entry.type) or []
        self.touched.add((entry.type.name, entry.key))
        list_key = entry.type.list_key
        if list_key is None:
            # Both documents of a split route are the entry.
            split = is_split_route(entry.type, documents)
            self._documents[entry.path] = [d for d in documents if not split and not _is_same_entry(entry, d)]
            return
        document = documents[0]
        if is_single_ability(entry.type, document):
            self._documents[entry.path] = []
            return
        items = document if isinstance(document, list) else document[list_key]
        kept = [item for item in items if not _is_same_entry(entry, item)]
        self._documents[entry.path] = [kept if isinstance(document, list) else {**document, list_key: kept}]

    @cached_property
    def changed_files(self) -> dict[str, tuple[bytes | None, bytes | None]]:
        """The bytes before and after (None: no file) of each changed file; RefusedError if one cannot be edited."""
        changed: dict[str, tuple[bytes | None, bytes | None]] = {}
        for path, documents in sorted(self._documents.items()):
            before, after = self._library.files.get(path), None
            if documents:
                after = edit_yaml(before or b"", documents, path, self._library.documents.get(path))
            if after != before:
                changed[path] = (before, after)
        return changed

    @cached_property
    def library_after(self) -> Library:
        """The registries as they would be after the change."""
        old, changed = self._library, self.changed_files
        after = {**old.files, **{path: data for path, (_, data) in changed.items()}}
        files = {path: data for path, data in after.items() if data is not None}
        parsed = {path: nodes for path, nodes in old.documents.items() if path not in changed}
        # Files that exist are parsed again, with their findings; the others could not be read.
        findings = [f for f in old.findings if f.path not in files and f.path not in changed]
        return make_library(old.repository, files, findings, old.schemas, parsed)

    def _read(self, path: str, entry_type: EntryType) -> list[Any] | None:
        """Return the documents of a file with the edits so far, or None, with a finding, if it cannot be edited."""
        # Several entries of a change can go into one file.
        if path in self._documents:
            return self._documents[path]
        errors = [f for f in self._library.findings if f.path == path and f.severity is Severity.ERROR]
        if path in self._library.documents:
            # The file can be parsed: only a missing list prevents an edit.
            no_list = [f for f in errors if f.code == "EN002" and f.message.startswith(NO_LIST)]
            errors = no_list if entry_type.list_key is not None else []
        if errors:
            self.findings += errors
            return None
        return [node.value for node in self._library.documents.get(path, ())]


def _is_same_entry(entry: Entry, value: Any) -> bool:
    return isinstance(value, dict) and entry.type.is_same_entry(entry.value, value)


def _explain_collision(entry_type: EntryType, documents: list[Any], value: Mapping[str, Any]) -> str:
    """Return which existing value a new entry would replace, as text, or "" if it is new or changes nothing."""
    for old in _find_values(entry_type, documents):
        if isinstance(old, dict) and entry_type.is_same_entry(old, value) and not _is_unchanged(old, value):
            if entry_type.name == "route":
                return _explain_route_collision(old, value)
            return f"there is already another {entry_type.name} {entry_type.key_of(value)}"
    return ""


def _find_values(entry_type: EntryType, documents: list[Any]) -> Iterator[Any]:
    """Yield the values of the entries in the documents of a file."""
    if is_split_route(entry_type, documents):
        documents = [{**documents[0], **documents[1]}]
    for document in documents:
        if isinstance(document, list):
            yield from document
        elif isinstance(document, dict) and entry_type.list_key and not is_single_ability(entry_type, document):
            yield from document.get(entry_type.list_key) or []
        else:
            yield document


def _is_unchanged(old: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    # Only the program writes these records, so they are no difference.
    records = dict.fromkeys((APPROVAL, OVERRIDE))
    return is_same_value({**old, **records}, {**value, **records})


def _explain_route_collision(old: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """Return which field of its file, or route of the same slug, a route would replace, as text, or ""."""
    for name in value:
        if name not in ("routes", APPROVAL, OVERRIDE) and not is_same_value(old.get(name), value[name]):
            return f"its field {name} differs from the existing one"
    routes = [route for route in old.get("routes", []) if isinstance(route, dict)]
    existing = {make_slug(route): route for route in routes}
    for route in value.get("routes", []):
        name = make_slug(route)
        if name in existing and not is_same_value(existing[name], route):
            return f"there is already another route {name}"
    return ""
