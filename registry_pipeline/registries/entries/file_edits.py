"""The new content of the files of a change: entries added to, updated in and removed from their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from registry_pipeline.errors import RefusedError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.library import (
    NO_LIST,
    Entry,
    Library,
    is_content_file,
    is_split_route,
    make_library,
)
from registry_pipeline.registries.entries.modules import put_hook, put_in_list
from registry_pipeline.registries.entries.routes import make_slug, put_route
from registry_pipeline.registries.entries.schemas import APPROVAL, OVERRIDE, EntryType
from registry_pipeline.yaml.compose import is_same_value
from registry_pipeline.yaml.document import edit_yaml

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
        elif isinstance(document, dict) and entry_type.list_key:
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
