"""The locks of a build: one build of the command line at a time, and one writer of an append-only registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.files.durable import cannot_write, make_folders
from registry_pipeline.files.lock import hold_lock, is_locked
from registry_pipeline.registries.base.seal_build import refuse_linked_publish_root

WAIT_SECONDS: Final = 30.0
"""How long a build waits for another writer to end."""
_BUILD_LOCK: Final = "building.lock"


@contextmanager
def hold_build_lock(repository: Repository) -> Iterator[None]:
    """Hold the lock of a build of the command line; another one waits for it. Nobody who reads takes it.

    Raises:
        BusyError: another build held it for all of `WAIT_SECONDS`; nothing changed (exit 6).
        RefusedError: publish_root lies behind a link (exit 5). WriteError: the lock cannot be made (exit 1).
    """
    refuse_linked_publish_root(repository)
    if not repository.publish_root.is_dir():  # nothing can be sealed here, and nothing is left behind
        yield
        return
    with _held(repository, _BUILD_LOCK, "build"):
        yield


def is_build_in_progress(repository: Repository) -> bool:
    """Whether a build of the command line is in progress in this repository, on this machine.

    Raises:
        RefusedError, WriteError: as `files.lock.is_locked`.
    """
    return is_locked(_path(repository, _BUILD_LOCK))


@contextmanager
def hold_registry_lock(repository: Repository, registry_id: str) -> Iterator[None]:
    """Hold the lock of an append-only registry while its head is compared and its next run is sealed.

    The command line and Dagster both take it, and only for that long: a build lasts, and Dagster takes no build lock.

    Raises:
        BusyError, RefusedError, WriteError: as `build_under_way`.
    """
    with _held(repository, f"{registry_id}.lock", f"writer of {registry_id}"):
        yield


@contextmanager
def _held(repository: Repository, name: str, purpose: str) -> Iterator[None]:
    path = _path(repository, name)
    try:
        make_folders(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    with hold_lock(path, repository.root, purpose, wait_seconds=WAIT_SECONDS):
        yield


def _path(repository: Repository, name: str) -> Path:
    return repository.state_root / "cache" / name
