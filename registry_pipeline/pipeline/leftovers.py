"""Find and remove the temporary files of killed writers, beside the files that the configuration names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.files.atomic_write import is_temporary, remove_file, remove_temporary
from registry_pipeline.files.durable import cannot_write
from registry_pipeline.files.lock import is_locked
from registry_pipeline.pointers.store import lock_path
from registry_pipeline.registries.entries.library import content_paths
from registry_pipeline.registries.entries.types import AGENTS_PATH, COORDINATION_PATH, ENTRY_TYPES, SCHEMA_FOLDER
from registry_pipeline.runs.staging import is_alive

_BY_PROCESS: Final = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]{1,10})\.tmp")
"""How versions before this one named the temporary files of role packs and of YAML files."""
_INDEX_TAIL: Final = 1 << 20


def find_temporary_files(repository: Repository) -> tuple[Path, ...]:
    """Return the temporary files that no writer holds; only the folders of known files are searched, never the tree."""
    folders = sorted(
        {repository.path(path).parent for path in _known_files(repository)} | set(_further_folders(repository))
    )
    return tuple(path for folder in folders for path in _files_of(folder) if _is_leftover(repository, path))


def remove_temporary_files(repository: Repository) -> tuple[Path, ...]:
    """Remove what `find_temporary_files` returns, unless a writer has taken it meanwhile; return what was removed.

    Raises:
        WriteError: one cannot be removed (exit 1).
    """
    removed = []
    for path in find_temporary_files(repository):
        try:
            gone = remove_temporary(path) if is_temporary(path.name) else remove_file(path)
        except OSError as error:
            raise cannot_write(path, error) from None
        removed += [path] if gone else []
    return tuple(removed)


def _known_files(repository: Repository) -> Iterator[str]:
    config = repository.config
    yield from (CONFIG_NAME, config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    yield from (*config.operations_catalog, *config.coverage_matrix, AGENTS_PATH, COORDINATION_PATH)
    for entry_type in ENTRY_TYPES.values():
        yield from content_paths(repository, entry_type)


def _further_folders(repository: Repository) -> Iterator[Path]:
    entries = repository.config.entries
    yield from map(repository.path, (entries.modules, entries.abilities_low, entries.abilities_high, entries.hooks))
    yield from map(repository.path, (entries.routes, SCHEMA_FOLDER))
    yield from (repository.state_root / "quarantine", repository.dagster_home)
    yield from _run_log_folders(repository)


def _run_log_folders(repository: Repository) -> Iterator[Path]:
    """Yield the folders of the newest run logs; those outside the repository belong to somebody else."""
    try:
        with repository.path(repository.config.run_index.path).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _INDEX_TAIL))
            lines = log.read().split(b"\n")
    except OSError:
        return  # `run-index check` reports a log that cannot be read
    for line in lines:
        with suppress(StrictJsonError, KeyError, TypeError):
            folder = Path(read_strict_json(line)["run_log_filepath_abs"]).parent
            if folder.is_relative_to(repository.root):
                yield folder


def _files_of(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as listing:
            names = [
                each.name for each in listing if each.name.endswith(".tmp") and each.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []  # it does not exist, or the command that needs it says why it cannot be read
    return [folder / name for name in sorted(names)]


def _is_leftover(repository: Repository, path: Path) -> bool:
    if is_temporary(path.name):
        return not is_locked(path)
    pointers = repository.pointer_path
    if path == pointers.with_name(f"{pointers.name}.tmp"):
        return not is_locked(lock_path(pointers))
    match = _BY_PROCESS.fullmatch(path.name)
    if match is None or is_alive(int(match["pid"])):
        return False
    return match["name"].endswith(".yaml") or path.with_name(match["name"]) == repository.path(
        repository.config.roles.pack
    )
