"""Write a folder of pages: each file complete, nothing that is not a page replaced, and pages that are gone removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.files.atomic_write import (
    hash_own_file,
    is_temporary,
    read_own_file,
    refuse_missing_folder,
    remove_file,
    replace_file,
)

OPERATIONS: Final = "operations"
"""The folder of the pages of operations."""
LISTING: Final = ".registry-pipeline-pages"
"""The file that marks a folder of pages, with the path of a page on each line."""


def refuse_evidence(repository: Repository, path: Path, what: str = "unsealed pages") -> None:
    """Refuse a path for unsealed files, named `what` in the message, inside a run root.

    Raises:
        RefusedError: what is there is evidence (exit 5).
    """
    for root in repository.config.run_roots:
        if path.resolve().is_relative_to(repository.path(root).resolve()):
            raise RefusedError(f"{path} is in the run root {root}: {what} are no runs", "name another place")


def refuse_other_folder(repository: Repository, folder: Path) -> None:
    """Refuse a folder that contains anything but pages.

    Raises:
        NotFoundError: its parent does not exist (exit 7).
        RefusedError: it is in a run root, no folder, or not empty and no folder of pages (exit 5).
    """
    refuse_missing_folder(folder)
    refuse_evidence(repository, folder)
    if not folder.exists():
        return
    if not folder.is_dir() or (folder / OPERATIONS).is_symlink():
        raise RefusedError(f"{folder} is no folder of pages", "name a new folder")
    names = {path.name for path in folder.iterdir() if not is_temporary(path.name)}
    if names and LISTING not in names:
        raise RefusedError(f"{folder} is not empty, and no folder of pages (no {LISTING})", "name a new folder")


def write_pages(folder: Path, pages: Mapping[str, bytes], *, keep_others: bool = False) -> None:
    """Write pages into a folder that `refuse_other_folder` accepts, in their order; unchanged ones are kept.

    Pages of operations that an earlier call wrote and this one does not are removed, unless `keep_others`.

    Raises:
        BusyError, RefusedError, WriteError, DurabilityError: as `replace_file`.
    """
    former = (read_own_file(folder / LISTING) or b"").decode("utf-8", "replace").splitlines()
    # What is listed before it exists is removed later, also if this call is killed.
    _write(folder / LISTING, _list({*former, *pages}))
    for name, data in pages.items():
        _write(folder / name, data)
    if keep_others:
        return
    # Only names that the folder has are removed: the listing may have been edited.
    for path in sorted((folder / OPERATIONS).glob("*.html")):
        name = f"{OPERATIONS}/{path.name}"
        if name in former and name not in pages:
            remove_file(path)
    _write(folder / LISTING, _list(pages))


def _list(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in sorted(names)).encode()


def _write(path: Path, data: bytes) -> None:
    if read_own_file(path) != data:
        replace_file(path, data, hash_own_file(path))
