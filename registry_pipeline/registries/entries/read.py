"""Capture the YAML files of one family of entries; one malformed file refuses the whole capture.

The coordination rules are checked when the snapshot is sealed (the check `coordination`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from registry_pipeline.config import Config, Repository
from registry_pipeline.files.path_policy import collisions, path_codes
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.tracked_files import quote_pathspec
from registry_pipeline.registries.entries.types import ENTRY_TYPES, FAMILY_OF, SCHEMA_FOLDER, SCHEMA_SUFFIX, folder_of
from registry_pipeline.yaml.fast_values import read_yaml_values


def _read(registry_id: str, repository: Repository, context: SourceContext) -> BuildInputs:
    # `status` imports this module for the pathspecs only.
    from registry_pipeline.registries.entries.library import content_paths  # noqa: PLC0415

    capture = CaptureReader(registry_id, repository, context)
    types = [entry_type for entry_type in ENTRY_TYPES.values() if entry_type.family == FAMILY_OF[registry_id]]
    paths = sorted({path for entry_type in types for path in content_paths(repository, entry_type)})
    for path in paths:
        problem = _path_problem(repository, path)
        if problem:
            capture.refuse("CAPTURE_MALFORMED", path, detail=problem)
        else:
            capture.take(path, path)
    for path, other in collisions(paths):
        capture.refuse("CAPTURE_MALFORMED", path, detail=f"its path differs from {other} only in case")
    if not paths:
        # A registry that never had entries is no problem, one that lost all of them is.
        severity = None if capture.is_active else Severity.INFO
        folder = folder_of(repository.config.entries, types[0])
        capture.refuse("CAPTURE_MISSING", folder, severity=severity, detail="it contains no file of entries")
    return capture.build_inputs(None if capture.refused else sum(map(_count_entries, capture.files.values())))


read_module_registry_inputs = partial(_read, "module_registry")
read_route_registry_inputs = partial(_read, "route_registry")
read_ability_registry_inputs = partial(_read, "ability_registry")
read_hook_registry_inputs = partial(_read, "hook_registry")


def _path_problem(repository: Repository, path: str) -> str:
    """Return the reason that a file cannot be captured under its path, or ""; links are refused, as in writes."""
    codes = path_codes(path)
    if codes:
        return f"a run folder cannot contain its path ({', '.join(codes)})"
    target = repository.root
    for part in path.split("/"):
        target = target / part
        if target.is_symlink():
            return f"{part} is a link"
    return "" if target.is_file() else "it is not a regular file"


def _count_entries(data: bytes) -> int:
    """Return the number of entries in a file: the items of its list, or one for each document."""
    count = 0
    list_keys = [entry_type.list_key for entry_type in ENTRY_TYPES.values()]
    for document in read_yaml_values(data):
        if isinstance(document, list):
            count += len(document)
        elif isinstance(document, Mapping):
            key = next((key for key in list_keys if key in document), None)
            count += len(document[key] or ()) if key is not None else bool({"scope", "id"} & document.keys())
    return count


def entry_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the git pathspecs of the content files of entries, and of the repository's schemas of entries."""
    specs = {f":(glob){quote_pathspec(SCHEMA_FOLDER)}/*{SCHEMA_SUFFIX}"}
    for entry_type in ENTRY_TYPES.values():
        # Routes may be in subfolders.
        name = entry_type.content if entry_type.one_file else "**/*.yaml" if entry_type.name == "route" else "*.yaml"
        specs.add(f":(glob){quote_pathspec(folder_of(config.entries, entry_type))}/{name}")
    return tuple(sorted(specs))
