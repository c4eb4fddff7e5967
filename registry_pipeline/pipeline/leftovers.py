"""Find and remove temporary files that killed writers left beside the files that the configuration names."""

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
from registry_pipeline.pointers.state import lock_path
from registry_pipeline.registries.entries.library import content_paths
from registry_pipeline.registries.entries.types import AGENTS_PATH, COORDINATION_PATH, ENTRY_TYPES, SCHEMA_FOLDER
from registry_pipeline.runs.staging import is_alive

# Older versions named the temporary files of role packs and of YAML files after the process.
_BY_PROCESS: Final = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]{1,10})\.tmp")
_INDEX_TAIL: Final = 1 << 20


def find_temporary_files(repository: Repository) -> tuple[Path, ...]:
    """Return the temporary files that no writer uses."""
    # Only folders of known files are searched: the whole tree may be large, and is not ours.
    folders = {repository.path(path).parent for path in _list_known_files(repository)}
    folders.update(_list_other_folders(repository))
    return tuple(
        path for folder in sorted(folders) for path in _list_tmp_files(folder) if _is_leftover(repository, path)
    )


def remove_temporary_files(repository: Repository) -> tuple[Path, ...]:
    """Remove the files of `find_temporary_files` that still no writer uses; return the removed ones.

    Raises:
        WriteError: a file cannot be removed (exit 1).
    """
    removed = []
    for path in find_temporary_files(repository):
        try:
            is_removed = remove_temporary(path) if is_temporary(path.name) else remove_file(path)
        except OSError as error:
            raise cannot_write(path, error) from None
        if is_removed:
            removed.append(path)
    return tuple(removed)


def _list_known_files(repository: Repository) -> Iterator[str]:
    config = repository.config
    yield from (CONFIG_NAME, config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    yield from (*config.operations_catalog, *config.coverage_matrix, AGENTS_PATH, COORDINATION_PATH)
    for entry_type in ENTRY_TYPES.values():
        yield from content_paths(repository, entry_type)


def _list_other_folders(repository: Repository) -> Iterator[Path]:
    entries = repository.config.entries
    yield from map(repository.path, (entries.modules, entries.abilities_low, entries.abilities_high, entries.hooks))
    yield from map(repository.path, (entries.routes, SCHEMA_FOLDER))
    yield from (repository.state_root / "quarantine", repository.dagster_home)
    yield from _list_run_log_folders(repository)


def _list_run_log_folders(repository: Repository) -> Iterator[Path]:
    """Yield the folders of the newest run logs inside the repository."""
    try:
        with repository.path(repository.config.run_index.path).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _INDEX_TAIL))
            lines = log.read().split(b"\n")
    except OSError:
        return  # `run-index check` reports a log that cannot be read
    # The first line may be cut. Lines that cannot be parsed are reported by `run-index check` as well.
    for line in lines:
        with suppress(StrictJsonError, KeyError, TypeError):
            folder = Path(read_strict_json(line)["run_log_filepath_abs"]).parent
            if folder.is_relative_to(repository.root):
                yield folder


def _list_tmp_files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name.endswith(".tmp") and e.is_file(follow_symlinks=False)]
    except OSError:
        return []  # the folder is missing, or the command that needs it reports why it cannot be read
    return [folder / name for name in sorted(names)]


def _is_leftover(repository: Repository, path: Path) -> bool:
    # (1) Today's name: the writer holds a lock on the temporary file itself.
    if is_temporary(path.name):
        return not is_locked(path)
    # (2) The pointer file: the writer holds the lock of the pointer file.
    pointers = repository.pointer_path
    if path == pointers.with_name(f"{pointers.name}.tmp"):
        return not is_locked(lock_path(pointers))
    # (3) The name of older versions: the writer is the process that it names.
    match = _BY_PROCESS.fullmatch(path.name)
    if match is None or is_alive(int(match["pid"])):
        return False
    role_pack = repository.path(repository.config.roles.pack)
    return match["name"].endswith(".yaml") or path.with_name(match["name"]) == role_pack
