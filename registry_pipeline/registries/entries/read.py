"""What the registries of entries are given: their YAML files under the paths that they have, all or none (SPEC 3, 10).

Which rules hold between them is judged when the snapshot is sealed, by the check `coordination`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from registry_pipeline.config import Config, Repository
from registry_pipeline.files.path_policy import collisions, path_codes
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.tracked_files import quote_pathspec
from registry_pipeline.registries.entries.types import ENTRY_TYPES, FAMILY_OF, SCHEMA_FOLDER, SCHEMA_SUFFIX, EntryType
from registry_pipeline.yaml.fast_values import read_yaml_values

_SUFFIX: Final = ".yaml"


def _read(registry_id: str, repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the content files of one family; one that is malformed refuses the whole capture."""
    taking = CaptureReader(registry_id, repository, context)
    types = [each for each in ENTRY_TYPES.values() if each.family == FAMILY_OF[registry_id]]
    paths = sorted({path for each in types for path in _paths(repository, each)})
    for path in paths:
        problem = _path_problem(repository, path)
        if problem:
            taking.refuse("CAPTURE_MALFORMED", path, detail=problem)
        else:
            taking.take(path, path)
    for path, other in collisions(paths):
        taking.refuse("CAPTURE_MALFORMED", path, detail=f"its path differs from {other} in case alone")
    if not paths:
        absent = None if taking.is_active else Severity.INFO
        taking.refuse(
            "CAPTURE_MISSING", _folder(repository, types[0]), severity=absent, detail="no entry file is in it"
        )
    return taking.gathered(None if taking.refused else sum(_entries(data) for data in taking.files.values()))


read_module_registry_inputs = partial(_read, "module_registry")
read_route_registry_inputs = partial(_read, "route_registry")
read_ability_registry_inputs = partial(_read, "ability_registry")
read_hook_registry_inputs = partial(_read, "hook_registry")


def _paths(repository: Repository, entry_type: EntryType) -> list[str]:
    """Return the content files of a type that are there; routes are looked for in folders below theirs, too."""
    folder = _folder(repository, entry_type)
    if entry_type.one_file:
        path = f"{folder}/{entry_type.content}"
        return [path] if os.path.lexists(repository.path(path)) else []
    found = []
    for place, folders, names in os.walk(repository.path(folder)):
        relative = Path(place).relative_to(repository.root).as_posix()
        found += [f"{relative}/{name}" for name in names if name.endswith(_SUFFIX)]
        if entry_type.name != "route":
            folders.clear()
    return found


def _path_problem(repository: Repository, path: str) -> str:
    """Return why a file cannot be captured under its path, "" if it can: links are refused, as the writers do."""
    codes = path_codes(path)
    if codes:
        return f"no run folder may hold its path ({', '.join(codes)})"
    place = repository.root
    for part in path.split("/"):
        place = place / part
        if place.is_symlink():
            return f"{part} is a link"
    return "" if place.is_file() else "it is not a regular file"


def _folder(repository: Repository, entry_type: EntryType) -> str:
    return str(getattr(repository.config.entries, entry_type.folder or "modules"))


def _entries(data: bytes) -> int:
    """Return how many entries a file has: those of its lists, else one a document."""
    return sum(_entries_in(document) for document in read_yaml_values(data))


def _entries_in(document: object) -> int:
    if isinstance(document, list):
        return len(document)
    if not isinstance(document, Mapping):
        return 0
    lists = [document[each.list_key] for each in ENTRY_TYPES.values() if each.list_key in document]
    return len(lists[0] or ()) if lists else 1 if {"scope", "id"} & document.keys() else 0


def entry_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the pathspecs of the content files of registry entries, and of the repository's own schemas of them."""
    specs = {f":(glob){quote_pathspec(SCHEMA_FOLDER)}/*{SCHEMA_SUFFIX}"}
    for entry_type in ENTRY_TYPES.values():
        folder = quote_pathspec(str(getattr(config.entries, entry_type.folder or "modules")))
        # Routes may be in folders below theirs, too.
        name = entry_type.content if entry_type.one_file else "**/*.yaml" if entry_type.name == "route" else "*.yaml"
        specs.add(f":(glob){folder}/{name}")
    return tuple(sorted(specs))
