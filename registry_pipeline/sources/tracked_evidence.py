"""Which tracked files are evidence, as git pathspecs."""

from __future__ import annotations

import re

from registry_pipeline.config import Config
from registry_pipeline.model.entry_types import ENTRY_TYPES, SCHEMA_FOLDER, SCHEMA_SUFFIX


def evidence_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the pathspecs of all evidence: run folders, pointer file, role pack, both logs, and registry entries."""
    files = (config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    return (*file_pathspecs(*config.run_roots, *files), *entry_pathspecs(config))


def file_pathspecs(*paths: str) -> tuple[str, ...]:
    """Return the pathspecs of files, and of all that is in folders."""
    return tuple(f":(literal){path}" for path in paths)


def entry_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the pathspecs of the content files of registry entries, and of the repository's own schemas of them."""
    specs = {f":(glob){_quoted(SCHEMA_FOLDER)}/*{SCHEMA_SUFFIX}"}
    for entry_type in ENTRY_TYPES.values():
        folder = _quoted(str(getattr(config.entries, entry_type.folder or "modules")))
        # Routes may be in folders below theirs, too.
        name = entry_type.content if entry_type.one_file else "**/*.yaml" if entry_type.name == "route" else "*.yaml"
        specs.add(f":(glob){folder}/{name}")
    return tuple(sorted(specs))


def _quoted(path: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", path)
