"""What the registries hold: their files read, their entries found, and each entry's place (SPEC 10)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import Entries, Repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.schemas import EntrySchemas, read_schemas
from registry_pipeline.registries.entries.types import EntryType
from registry_pipeline.values import field, value_type
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, read_yaml
from registry_pipeline.yaml.document import read_yaml_file

NO_ONE_LIST: Final = "the file is not one list"
"""How findings begin that say that a file is not laid out for its type, so that nothing can be put into it."""
_ADVICE: Final = "mend the file; `registry-pipeline entries check` tells what is left"


@value_type
class Entry:
    """One entry: its type, its key, its values, the file that holds it, and its place there."""

    type: EntryType
    key: str
    value: Mapping[str, Any]
    path: str
    node: YamlNode | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.type.name} {self.key}"

    def location(self, *steps: str | int) -> str | None:
        """Return line and column of what a path leads to."""
        return None if self.node is None else self.node.at(steps).location


@value_type
class Library:
    """All registries of a repository at one moment.

    `files` are the bytes of the content files by path, `documents` what they parse to; `findings` what is wrong with
    files that could not be read whole. `root` is where related documents are looked for. `route_texts` is all that the
    routes of a module say, by the module's id.
    """

    root: Path
    config: Entries
    schemas: EntrySchemas
    files: Mapping[str, bytes]
    documents: Mapping[str, tuple[YamlNode, ...]]
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    route_texts: Mapping[str, str] = field(default_factory=dict)
    _by_key: Mapping[str, Mapping[str, tuple[Entry, ...]]] = field(default_factory=dict)

    def of(self, type_name: str) -> Mapping[str, tuple[Entry, ...]]:
        """Return the entries of a type by key; more than one is a duplicate."""
        return self._by_key.get(type_name, {})

    def abilities(self) -> dict[str, tuple[Entry, ...]]:
        """Return the abilities of both levels by id."""
        both = dict(self.of("ability_low"))
        for key, entries in self.of("ability_high").items():
            both[key] = both.get(key, ()) + entries
        return both


def read_library(repository: Repository) -> Library:
    """Return the registries of a repository as its files state them."""
    return contents_of(repository, *read_entry_files(repository))


def read_entry_files(
    repository: Repository, schemas: EntrySchemas | None = None, but: str | None = None
) -> tuple[dict[str, bytes], list[Finding]]:
    """Return the bytes of every content file by path, and what could not be read; `but` leaves out one family."""
    known = read_schemas(repository) if schemas is None else schemas
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    wanted = [each for each in known.types.values() if each.family != but]
    for path in sorted({path for each in wanted for path in content_paths(repository, each)}):
        try:
            _refuse_links(repository.root, path)
            files[path] = read_yaml_file(repository.path(path))
        except RegistryPipelineError as error:
            findings.append(finding("EN002", path, detail=error.message, advice=error.advice))
    return files, findings


def _refuse_links(root: Path, path: str) -> None:
    """Refuse a content file that is reached through a link."""
    place = root
    for part in path.split("/")[:-1]:
        place = place / part
        if place.is_symlink():
            raise RegistryPipelineError(f"{path} lies behind a link, {place.name}", "put the folder itself there")


def folder_of(config: Entries, entry_type: EntryType) -> str:
    """Return the folder of a type's content, relative to the repository."""
    return "" if entry_type.folder is None else str(getattr(config, entry_type.folder))


def fixed_path(config: Entries, entry_type: EntryType) -> str:
    """Return the content file of a type that has one."""
    return f"{folder_of(config, entry_type)}/{entry_type.content}" if entry_type.folder else entry_type.content


def content_paths(repository: Repository, entry_type: EntryType) -> list[str]:
    """Return the content files of a type that exist; routes are looked for in folders below theirs, too."""
    if entry_type.one_file:
        path = fixed_path(repository.config.entries, entry_type)
        return [path] if os.path.lexists(repository.path(path)) else []
    folder = folder_of(repository.config.entries, entry_type)
    found = []
    for place, folders, names in os.walk(repository.path(folder)):
        relative = Path(place).relative_to(repository.root).as_posix()
        found += [f"{relative}/{name}" for name in names if name.endswith(".yaml")]
        if entry_type.name != "route":
            folders.clear()
    return sorted(found)


def contents_of(
    repository: Repository,
    files: Mapping[str, bytes],
    findings: Iterable[Finding] = (),
    schemas: EntrySchemas | None = None,
    parsed: Mapping[str, tuple[YamlNode, ...]] | None = None,
) -> Library:
    """Return the registries that content files make; `parsed` are documents that were read before, by path."""
    known = read_schemas(repository) if schemas is None else schemas
    told = [*known.findings, *findings]
    documents: dict[str, tuple[YamlNode, ...]] = {}
    entries: list[Entry] = []
    for path, data in files.items():
        for entry_type in _types_of(repository.config.entries, known, path):
            try:
                if path not in documents:
                    documents[path] = (parsed or {}).get(path) or read_yaml(data)
                entries += _entries(entry_type, path, documents[path], known, told)
            except StrictYamlError as error:
                code = "EN002" if error.kind == "duplicate_key" else "EN001"
                schema = known.paths[entry_type.name]
                told.append(
                    finding(code, path, location=error.location, detail=str(error), advice=_ADVICE, schema=schema)
                )
    by_key: dict[str, dict[str, tuple[Entry, ...]]] = {}
    for entry in entries:
        named = by_key.setdefault(entry.type.name, {})
        named[entry.key] = (*named.get(entry.key, ()), entry)
    routes: dict[str, str] = {}
    for entry in entries:
        if entry.type.name == "route":
            owner = str(entry.value.get("module_id"))
            routes[owner] = routes.get(owner, "") + json.dumps(entry.value, ensure_ascii=False)
    config = repository.config.entries
    return Library(repository.root, config, known, dict(files), documents, tuple(entries), tuple(told), routes, by_key)


def is_content_path(contents: Library, entry_type: EntryType, path: str) -> bool:
    """Tell whether entries of a type are read from a path, and a run folder may hold it: so it may be written."""
    return not path_codes(path) and entry_type in _types_of(contents.config, contents.schemas, path)


def _types_of(config: Entries, schemas: EntrySchemas, path: str) -> Iterator[EntryType]:
    for entry_type in schemas.types.values():
        folder = folder_of(config, entry_type)
        if entry_type.one_file:
            if path == fixed_path(config, entry_type):
                yield entry_type
        elif path.startswith(f"{folder}/") and (entry_type.name == "route" or "/" not in path[len(folder) + 1 :]):
            yield entry_type


def _entries(
    entry_type: EntryType, path: str, documents: tuple[YamlNode, ...], known: EntrySchemas, told: list[Finding]
) -> Iterator[Entry]:
    """Yield the entries of a file; what is no entry is told (EN002: the wrong file for the type)."""
    nodes = [node for node in documents if node.value is not None]
    if entry_type.list_key is None:
        values = _whole(entry_type, path, nodes, told)
    else:
        if len(nodes) > 1:
            told.append(_wrong(path, nodes[1], f"{NO_ONE_LIST}: a second document"))
        values = _listed(entry_type, path, nodes[:1], told)
    for node, value in values:
        key = entry_type.key_of(value) if isinstance(value, dict) else None
        if key is not None:
            yield Entry(entry_type, key, value, path, node)
            continue
        lacking = f"this is no {entry_type.name}: it has no {entry_type.key_field}"
        told += known.check(entry_type, value, path, node) or [_wrong(path, node, lacking)]


def _listed(
    entry_type: EntryType, path: str, nodes: list[YamlNode], told: list[Finding]
) -> Iterator[tuple[YamlNode, Any]]:
    """Yield the entries of a file's list, or of a list that is the whole file."""
    for node in nodes:
        value, found = node.value, node
        if isinstance(value, dict):
            value, found = value.get(entry_type.list_key, None if value else []), node.at([str(entry_type.list_key)])
            value = [] if value is None and entry_type.list_key in node.value else value
        if not isinstance(value, list):
            told.append(_wrong(path, node, f"{NO_ONE_LIST} `{entry_type.list_key}` of {entry_type.name} entries"))
        elif found.kind == "sequence":
            yield from ((member, member.value) for member in found.members)
        else:  # an alias, or what a merge key brings
            yield from ((found, each) for each in value)


def _whole(
    entry_type: EntryType, path: str, nodes: list[YamlNode], told: list[Finding]
) -> Iterator[tuple[YamlNode, Any]]:
    """Yield the entries of a file in which a document is one; a route's head and its routes may be two documents."""
    if is_split_route(entry_type, [node.value for node in nodes]):
        yield nodes[1], {**nodes[0].value, **nodes[1].value}
        return
    most = 2 if entry_type.name == "route" else 1
    told += [
        _wrong(path, node, f"a {entry_type.name} file has at most {most} YAML document(s)") for node in nodes[most:]
    ]
    yield from ((node, node.value) for node in nodes[:most])


def is_split_route(entry_type: EntryType, values: list[Any]) -> bool:
    """Tell whether two documents are the head of one route and its routes."""
    if entry_type.name != "route" or len(values) != 2 or not all(isinstance(value, dict) for value in values):
        return False
    head, body = values
    return "routes" not in head and not set(head) & set(body)


def _wrong(path: str, node: YamlNode, detail: str) -> Finding:
    return finding("EN002", path, location=node.location, detail=detail, advice=_ADVICE)
