"""The files of a change in the making: what each of them shall say (SPEC 10).

Each family says where an entry lies and how it is put there; what a file shall say becomes bytes by `yaml_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.abilities import place_ability
from registry_pipeline.registries.entries.hooks import place_hook, put_hook
from registry_pipeline.registries.entries.library import (
    NO_ONE_LIST,
    Entry,
    Library,
    contents_of,
    is_content_path,
    is_split_route,
)
from registry_pipeline.registries.entries.modules import place_module, put_in_list
from registry_pipeline.registries.entries.routes import place_route, put_route, slug
from registry_pipeline.registries.entries.types import APPROVAL, OVERRIDE, EntryType
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import YamlNode, same_value
from registry_pipeline.yaml.document import rewrite

Place = Callable[[Library, EntryType, Mapping[str, Any]], str]
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


@value_type
class NewEntry:
    """An entry that somebody wants written: its type, its values as they were given, where, and their places there."""

    type: EntryType
    value: Mapping[str, Any]
    origin: str
    node: YamlNode | None = None


class Plan:
    """The files of a change in the making: what each shall say."""

    def __init__(self, repository: Repository, contents: Library) -> None:
        self._governed = repository
        self._contents = contents
        self._documents: dict[str, list[Any]] = {}
        self._bytes: dict[str, bytes | None] | None = None
        self.touched: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []

    def put(self, one: NewEntry, value: dict[str, Any], *, update: bool) -> None:
        """Add or update an entry; without `update` a different one of that key is told and stays."""
        place, put = _FAMILIES[one.type.family]
        path = place(self._contents, one.type, value)
        key = str(one.type.key_of(value))
        if not is_content_path(self._contents, one.type, path):
            detail = f"no file may have the name that {key!r} makes"
            where = None if one.node is None else one.node.location
            advice = "choose a plainer key"
            self.findings.append(finding("EN002", one.origin, location=where, got=key, detail=detail, advice=advice))
            return
        before = self._read(path, one.type)
        if before is None:
            return
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

    def after(self) -> Library:
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
        wrong = [each for each in broken if each.code == "EN002" and each.message.startswith(NO_ONE_LIST)]
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
