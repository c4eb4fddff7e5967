"""The lock that every change of the pointer file holds from its first read to its last write."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from registry_pipeline.files.lock import hold_lock


def lock_path(pointer_path: Path) -> Path:
    """Return where the lock file of a pointer file is."""
    return pointer_path.with_name(pointer_path.name + ".lock")


WAIT_SECONDS: Final = 2.0
"""How long a change waits: a reader that shares the lock for a moment must not refuse it."""


def pointer_lock(
    pointer_path: Path, root: Path, *, shared: bool = False, wait_seconds: float = WAIT_SECONDS
) -> AbstractContextManager[None]:
    """Hold the lock of the pointer file of the repository at `root`; a reader that needs a final state shares it.

    Raises:
        BusyError, RefusedError, NotFoundError, WriteError: as `files.lock.hold_lock`.
    """
    return hold_lock(lock_path(pointer_path), root, "activation", shared=shared, wait_seconds=wait_seconds)
