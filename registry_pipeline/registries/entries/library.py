"""The entries of all registries of a repository, read from their files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import Entries, Repository, find_repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.schemas import (
    ENTRY_TYPES,
    EntrySchemas,
    EntryType,
    content_path,
    folder_of,
    read_entry_schemas,
)
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, parse_yaml
from registry_pipeline.yaml.document import read_yaml_file

# Findings that start with this are about a file into which no entry can be inserted.
NO_LIST: Final = "the file is not one list"
_ADVICE: Final = "correct the file, then run `registry-pipeline entries check`"
# The key of the routes without module_id, which are for the whole repository. No module has it.
NO_MODULE: Final = ""


@value_type
class Entry:
    """One entry; of a new one, the path and the node are those of the source that it was read from."""

    type: EntryType
    key: str
    value: Mapping[str, Any]
    path: str
    node: YamlNode | None = None

    @property
    def name(self) -> str:
        """The name in messages."""
        return f"{self.type.name} {self.key}"

    @property
    def text(self) -> str:
        """What it is, on one line: its description, else its summary, else the first situation of a route, else ""."""
        routes = self.value.get("routes")
        route = routes[0] if isinstance(routes, list) and routes and isinstance(routes[0], dict) else {}
        texts = (self.value.get("description"), self.value.get("summary"), route.get("when_to_use"))
        return " ".join(next((text for text in texts if isinstance(text, str)), "").split())

    def location(self, *steps: str | int) -> str | None:
        """Return `line:column` of the value at a path inside the entry."""
        return None if self.node is None else self.node.find_nearest(steps).location

    def finding(self, code: str, *steps: str | int, **details: Any) -> Finding:
        """Return a finding about the value at a path inside the entry; `details` are those of `findings.finding`."""
        return finding(code, self.path, location=self.location(*steps), **details)


@value_type
class Library:
    """All registries of a repository at one moment."""

    repository: Repository
    config: Entries
    schemas: EntrySchemas
    files: Mapping[str, bytes]  # by path
    documents: Mapping[str, tuple[YamlNode, ...]]  # by path
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]  # about schemas, and about files that could not be read completely
    route_texts: Mapping[str, str]  # the text of all routes of a module, by module id or NO_MODULE
    _by_key: Mapping[str, Mapping[str, tuple[Entry, ...]]]

    def of(self, type_name: str) -> Mapping[str, tuple[Entry, ...]]:
        """Return the entries of a type (`abilities`: of both levels) by key; several, except routes, are duplicates."""
        return self._by_key.get(type_name, {})

    def find_existing(self, entry_type: EntryType, value: Mapping[str, Any]) -> Entry | None:
        """Return the entry with the key (of a route: and the owner) of a new value, which would replace it, or None."""
        entries = self.of(entry_type.name).get(entry_type.key_of(value) or "", ())
        return next((entry for entry in entries if entry_type.is_same_entry(entry.value, value)), None)

    def make_entry(self, entry_type: EntryType, value: Mapping[str, Any]) -> Entry:
        """Return a new value as an entry without a node, at the path to which it would be written; nothing is written.

        That is the one file of its type, else the file of the entry that it replaces, else a file named after its key,
        which may exist. An ability goes to the file of its domain, except if each file contains one ability. A value
        without a key has the key "".
        """
        existing, key = self.find_existing(entry_type, value), entry_type.key_of(value) or ""
        if entry_type.one_file:
            path = content_path(self.config, entry_type)
        elif existing is not None:
            path = existing.path
        else:
            name = key
            if entry_type.family == "abilities" and not self.has_single_abilities(entry_type):
                # The domain of an ability is the part of its id before the first dot or colon.
                domain, separator, _ = key.replace(":", ".").partition(".")
                name = domain if separator and domain else "general"
            path = f"{folder_of(self.config, entry_type)}/{name}.yaml"
        return Entry(entry_type, key, value, path)

    def has_single_abilities(self, entry_type: EntryType) -> bool:
        """Return whether a level has files of abilities, and each contains one ability instead of a list."""
        if entry_type.family != "abilities":
            return False
        files = (nodes for path, nodes in self.documents.items() if is_content_file(self.config, entry_type, path))
        are_single = (bool(nodes) and is_single_ability(entry_type, nodes[0].value) for nodes in files)
        return next(are_single, False) and all(are_single)


def read_library(repository: Repository) -> Library:
    """Return the entries of a repository; a schema or file that cannot be used is one of the findings in the result."""
    schemas = read_entry_schemas(repository)
    return make_library(repository, *read_entry_files(repository, schemas), schemas)


Check = Callable[[Entry, Library], Iterable[Finding]]


def check_new_entry(check: Check, type_name: str, value: Mapping[str, Any], library: Library | None) -> list[Finding]:
    """Run one check on a value as if it were an entry of the library, and return its findings.

    Without a library, the repository of the working directory is read.

    Raises:
        NotFoundError: the working directory is in no repository (exit 7).
    """
    library = read_library(find_repository()) if library is None else library
    return list(check(library.make_entry(ENTRY_TYPES[type_name], value), library))


def read_entry_files(
    repository: Repository, schemas: EntrySchemas, *, without_family: str | None = None
) -> tuple[dict[str, bytes], list[Finding]]:
    """Return the bytes of the content files by path, and a finding (EN002) for each that is linked or unreadable."""
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    types = (entry_type for entry_type in schemas.types.values() if entry_type.family != without_family)
    for path in find_content_paths(repository, types):
        # A write through a link would change a file elsewhere.
        link = find_link(repository.root, path.split("/")[:-1])
        if link is not None:
            detail, advice = f"{path} is behind a link, {link}", "replace the link by the folder itself"
            findings.append(finding("EN002", path, detail=detail, advice=advice))
            continue
        try:
            files[path] = read_yaml_file(repository.path(path))
        except RegistryPipelineError as error:
            findings.append(finding("EN002", path, detail=error.message, advice=error.advice))
    return files, findings


def find_link(root: Path, parts: Sequence[str]) -> str | None:
    """Return the name of the first folder or file of a path below `root` that is a link, or None."""
    for part in parts:
        root = root / part
        if root.is_symlink():
            return part
    return None


def find_content_paths(repository: Repository, types: Iterable[EntryType]) -> list[str]:
    """Return the paths of the existing content files (also links) of some types, sorted."""
    config, paths = repository.config.entries, set()
    for entry_type in types:
        if entry_type.one_file:
            path = content_path(config, entry_type)
            paths |= {path} if os.path.lexists(repository.path(path)) else set()
            continue
        for folder, subfolders, names in os.walk(repository.path(folder_of(config, entry_type))):
            relative = Path(folder).relative_to(repository.root).as_posix()
            paths |= {f"{relative}/{name}" for name in names if name.endswith(".yaml")}
            if entry_type.name != "route":  # only routes may be in subfolders
                subfolders.clear()  # `os.walk` does not descend then
    return sorted(paths)


def make_library(
    repository: Repository,
    files: Mapping[str, bytes],
    findings: Iterable[Finding],
    schemas: EntrySchemas,
    parsed: Mapping[str, tuple[YamlNode, ...]] | None = None,
) -> Library:
    """Return the library of content files; one that cannot be parsed is a finding. `parsed` were parsed before."""
    config = repository.config.entries
    all_findings = [*schemas.findings, *findings]
    documents: dict[str, tuple[YamlNode, ...]] = {}
    entries: list[Entry] = []
    # One file can contain entries of several types, if a repository defines a type for the same path.
    for path, data in files.items():
        for entry_type in schemas.types.values():
            if not is_content_file(config, entry_type, path):
                continue
            try:
                if path not in documents:
                    documents[path] = (parsed or {}).get(path) or parse_yaml(data)
                entries += _read_entries(entry_type, path, documents[path], schemas, all_findings)
            except StrictYamlError as error:
                code = "EN002" if error.kind == "duplicate_key" else "EN001"
                schema = schemas.paths[entry_type.name]
                details: dict[str, Any] = {"detail": str(error), "advice": _ADVICE, "schema": schema}
                all_findings.append(finding(code, path, location=error.location, **details))
    by_key: dict[str, dict[str, tuple[Entry, ...]]] = {}
    route_texts: dict[str, str] = {}
    for entry in entries:
        # An ability may be named without its level, so both levels are also kept together.
        for name in {entry.type.name, "abilities"} if entry.type.family == "abilities" else {entry.type.name}:
            same_type = by_key.setdefault(name, {})
            same_type[entry.key] = (*same_type.get(entry.key, ()), entry)
        if entry.type.name == "route":
            module_id = entry.value.get("module_id")
            owner = module_id if isinstance(module_id, str) else NO_MODULE
            route_texts[owner] = route_texts.get(owner, "") + json.dumps(entry.value, ensure_ascii=False)
    return Library(
        repository, config, schemas, files, documents, tuple(entries), tuple(all_findings), route_texts, by_key
    )


def is_content_file(config: Entries, entry_type: EntryType, path: str) -> bool:
    """Return whether a path is the file of a type or inside its folder; the ending of the name is not compared."""
    if entry_type.one_file:
        return path == content_path(config, entry_type)
    folder = f"{folder_of(config, entry_type)}/"
    return path.startswith(folder) and (entry_type.name == "route" or "/" not in path.removeprefix(folder))


def _read_entries(
    entry_type: EntryType, path: str, documents: tuple[YamlNode, ...], schemas: EntrySchemas, findings: list[Finding]
) -> Iterator[Entry]:
    """Yield the entries of a file; a value that is not an entry of the type becomes a finding."""
    nodes = [node for node in documents if node.value is not None]
    if entry_type.list_key is None:
        values = _find_entry_documents(entry_type, path, nodes, findings)
    else:
        values = _find_list_items(entry_type, path, nodes, findings)
    for node, value in values:
        key = entry_type.key_of(value) if isinstance(value, dict) else None
        if key is not None:
            yield Entry(entry_type, key, value, path, node)
            continue
        detail = f"this is not a {entry_type.name}: it has no {entry_type.key_field}"
        findings += schemas.check(entry_type, value, path, node) or [_make_file_finding(path, node, detail)]


def _find_list_items(
    entry_type: EntryType, path: str, nodes: list[YamlNode], findings: list[Finding]
) -> Iterator[tuple[YamlNode, Any]]:
    # The file is a mapping with the list, or the list itself.
    findings += [_make_file_finding(path, node, f"{NO_LIST}: a second document") for node in nodes[1:2]]
    key = str(entry_type.list_key)
    for node in nodes[:1]:
        value, list_node = node.value, node
        if is_single_ability(entry_type, value):
            yield node, value
            continue
        if isinstance(value, dict):
            if entry_type.family == "abilities" and entry_type.key_of(value) is not None:
                detail = f"{NO_LIST} of {entry_type.name} entries: it also has the fields of one"
                findings.append(_make_file_finding(path, node, detail))
            list_node = node.find_nearest([key])
            # An empty mapping and an empty value are an empty list; a mapping with other keys is another file.
            value = value.get(key) if value else []
            value = [] if value is None and key in node.value else value
        if not isinstance(value, list):
            findings.append(_make_file_finding(path, node, f"{NO_LIST} `{key}` of {entry_type.name} entries"))
        elif list_node.kind == "sequence":
            yield from ((member, member.value) for member in list_node.members)
        else:  # an alias, or a value from a merge key
            yield from ((list_node, item) for item in value)


def _find_entry_documents(
    entry_type: EntryType, path: str, nodes: list[YamlNode], findings: list[Finding]
) -> Iterator[tuple[YamlNode, Any]]:
    if is_split_route(entry_type, [node.value for node in nodes]):
        yield nodes[1], {**nodes[0].value, **nodes[1].value}
        return
    limit = 2 if entry_type.name == "route" else 1
    detail = f"a {entry_type.name} file has at most {limit} YAML document(s)"
    findings += [_make_file_finding(path, node, detail) for node in nodes[limit:]]
    yield from ((node, node.value) for node in nodes[:limit])


def is_single_ability(entry_type: EntryType, value: Any) -> bool:
    """Return whether a document is one ability, in a file of its own, instead of a list of abilities."""
    if entry_type.family != "abilities" or not isinstance(value, dict) or entry_type.list_key in value:
        return False
    return entry_type.key_of(value) is not None


def is_split_route(entry_type: EntryType, values: list[Any]) -> bool:
    """Return whether two documents are one route: a head without `routes`, and a body with other keys than the head."""
    if entry_type.name != "route" or len(values) != 2 or not all(isinstance(value, dict) for value in values):
        return False
    # Two documents with a common key are two routes.
    head, body = values
    return "routes" not in head and not set(head) & set(body)


def _make_file_finding(path: str, node: YamlNode, detail: str) -> Finding:
    return finding("EN002", path, location=node.location, detail=detail, advice=_ADVICE)
