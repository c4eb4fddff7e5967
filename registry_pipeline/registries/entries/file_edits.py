"""The new content of the files of a change: entries added to, updated in and removed from their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.library import (
    NO_LIST,
    Entry,
    Library,
    build_library,
    is_content_path,
    is_split_route,
)
from registry_pipeline.registries.entries.modules import put_hook, put_in_list
from registry_pipeline.registries.entries.routes import put_route, slug
from registry_pipeline.registries.entries.schemas import APPROVAL, OVERRIDE, EntryType
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import YamlNode, same_value
from registry_pipeline.yaml.document import rewrite

PutEntry = Callable[[EntryType, list[Any], dict[str, Any]], list[Any]]
# How an entry is put into the documents of its file; the other families have a list in one document.
_PUT: Final[Mapping[str, PutEntry]] = MappingProxyType({"routes": put_route, "hooks": put_hook})


@value_type
class NewEntry:
    """An entry to write: its type, its values, and the source and position that it was read from."""

    type: EntryType
    value: Mapping[str, Any]
    origin: str
    node: YamlNode | None = None

    @property
    def key(self) -> str | None:
        """The key, or None if the values have none."""
        return self.type.key_of(self.value)

    @property
    def location(self) -> str | None:
        """The location of a finding: `line:column` in the source."""
        return None if self.node is None else self.node.location


class FileEdits:
    """The edits of one change; `touched` are the type and key of each changed entry."""

    def __init__(self, repository: Repository, library: Library) -> None:
        self._repository = repository
        self._library = library
        self._documents: dict[str, list[Any]] = {}
        self._new_bytes: dict[str, bytes | None] | None = None
        self.touched: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []

    def put(self, new: NewEntry, value: dict[str, Any], *, update: bool) -> None:
        """Add or update an entry with `value`; without `update`, a different entry of its key becomes a finding."""
        path, key = self._library.new_entry(new.type, value).path, str(new.type.key_of(value))
        if not is_content_path(self._library, new.type, path):
            detail, advice = f"the key {key!r} cannot be a file name", "choose a plainer key"
            self.findings.append(
                finding("EN002", new.origin, location=new.location, got=key, detail=detail, advice=advice)
            )
            return
        documents = self._read(path, new.type)
        if documents is None:
            return
        collision = _find_collision(new.type, documents, value)
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
        """Remove an entry; a file without documents is deleted."""
        documents = self._read(entry.path, entry.type) or []
        self.touched.add((entry.type.name, entry.key))
        list_key = entry.type.list_key
        if list_key is None:
            # Both documents of a split route are the entry.
            split = is_split_route(entry.type, documents)
            kept = [document for document in documents if not split and not _is_same(entry, document)]
            self._documents[entry.path] = kept
            return
        document = documents[0]
        items = document if isinstance(document, list) else document[list_key]
        kept = [item for item in items if not _is_same(entry, item)]
        self._documents[entry.path] = [kept if isinstance(document, list) else {**document, list_key: kept}]

    def changed_files(self) -> dict[str, tuple[bytes | None, bytes | None]]:
        """Return the bytes before and after of each changed file, by path; None stands for no file."""
        before = self._library.files
        if self._new_bytes is None:
            self._new_bytes = {
                path: rewrite(before.get(path, b""), documents, path, self._library.documents.get(path))
                if documents
                else None
                for path, documents in sorted(self._documents.items())
            }
        pairs = {path: (before.get(path), after) for path, after in self._new_bytes.items()}
        return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}

    def library_after(self) -> Library:
        """Return the registries as they would be after the change."""
        old, changed = self._library, self.changed_files()
        after = {**old.files, **{path: data for path, (_, data) in changed.items()}}
        files = {path: data for path, data in after.items() if data is not None}
        parsed = {path: nodes for path, nodes in old.documents.items() if path not in changed}
        # Files that exist are parsed again, with their findings; the others could not be read.
        findings = [f for f in old.findings if f.path not in files and f.path not in changed]
        return build_library(self._repository, files, findings, old.schemas, parsed)

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


def _is_same(entry: Entry, value: Any) -> bool:
    return isinstance(value, dict) and entry.type.is_same_entry(entry.value, value)


def _find_collision(entry_type: EntryType, documents: list[Any], value: Mapping[str, Any]) -> str:
    """Return what a new entry would replace, or "" if it is new or changes nothing."""
    if is_split_route(entry_type, documents):
        documents = [{**documents[0], **documents[1]}]
    for document in documents:
        items = [document]
        if isinstance(document, list):
            items = document
        elif isinstance(document, dict) and entry_type.list_key:
            items = document.get(entry_type.list_key) or []
        for old in items:
            if not isinstance(old, dict) or not entry_type.is_same_entry(old, value) or _is_unchanged(old, value):
                continue
            if entry_type.name == "route":
                return _find_route_collision(old, value)
            return f"there is already another {entry_type.name} {entry_type.key_of(value)}"
    return ""


def _is_unchanged(old: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Return whether two entries are equal without the records that the program writes."""
    records = (APPROVAL, OVERRIDE)
    return same_value(*({name: part for name, part in entry.items() if name not in records} for entry in (old, value)))


def _find_route_collision(old: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """Return what a route would replace: a field of its file, or a route of the same slug."""
    for name in value:
        if name not in ("routes", APPROVAL, OVERRIDE) and not same_value(old.get(name), value[name]):
            return f"its field {name} differs from the existing one"
    routes = [route for route in old.get("routes", []) if isinstance(route, dict)]
    existing = {slug(str(route.get("when_to_use", ""))): route for route in routes}
    for route in value.get("routes", []):
        name = slug(str(route.get("when_to_use", "")))
        if name in existing and not same_value(existing[name], route):
            return f"there is already another route {name}"
    return ""
