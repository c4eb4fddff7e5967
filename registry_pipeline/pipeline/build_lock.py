"""Locks of builds: one CLI build at a time, and one writer of an append-only registry at a time."""

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
"""How long a build waits for another writer to finish."""
_BUILD_LOCK: Final = "building"


@contextmanager
def hold_build_lock(repository: Repository) -> Iterator[None]:
    """Hold the lock of a CLI build; a second CLI build waits for it. Readers do not take it.

    Raises:
        BusyError: another build held the lock for `WAIT_SECONDS`; nothing changed (exit 6).
        RefusedError: publish_root is behind a link (exit 5).
        WriteError: the lock file cannot be created (exit 1).
    """
    refuse_linked_publish_root(repository)
    # Without publish_root the build cannot seal anything. It must not leave a lock file in such a folder either.
    if not repository.publish_root.is_dir():
        yield
        return
    with _hold(repository, _BUILD_LOCK, "build"):
        yield


def is_build_in_progress(repository: Repository) -> bool:
    """Return whether a CLI build of this repository runs on this machine.

    Raises:
        RefusedError, WriteError: as `files.lock.is_locked`.
    """
    return is_locked(_lock_path(repository, _BUILD_LOCK))


@contextmanager
def hold_registry_lock(repository: Repository, registry_id: str) -> Iterator[None]:
    """Hold the lock of an append-only registry while its head is compared and its next run is sealed.

    Raises:
        BusyError, RefusedError, WriteError: as `hold_build_lock`.
    """
    # Dagster takes no build lock, so the CLI and Dagster share this one. It is held for the sealing only, because a
    # build takes long.
    with _hold(repository, registry_id, f"writer of {registry_id}"):
        yield


@contextmanager
def _hold(repository: Repository, name: str, purpose: str) -> Iterator[None]:
    path = _lock_path(repository, name)
    try:
        make_folders(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    with hold_lock(path, repository.root, purpose, wait_seconds=WAIT_SECONDS):
        yield


def _lock_path(repository: Repository, name: str) -> Path:
    return repository.state_root / "cache" / f"{name}.lock"
