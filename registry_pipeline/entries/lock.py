"""The lock that every writer of registry entries holds (SPEC 10)."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from registry_pipeline.errors import BusyError, RefusedError, RegistryPipelineError

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def held_lock(place: Path) -> Iterator[None]:
    """Hold a lock file, made with its folder where it is missing; it ends with the block or with the process.

    Raises:
        BusyError: another process holds it; nothing waits (exit 6).
        RefusedError: it is a link, or no regular file (exit 5).
        RegistryPipelineError: it cannot be made (exit 1).
    """
    if place.parent.is_symlink():
        raise RefusedError(f"the folder {place.parent} is a link", "remove it; it is made anew")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, _FLAGS, 0o644)
    except OSError as error:
        if place.is_symlink():
            raise RefusedError(f"the lock {place} is a link", "remove it; it is made anew") from None
        raise RegistryPipelineError(
            f"the lock {place} cannot be made: {error.strerror}", "writing needs a folder that it may write to"
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RefusedError(f"the lock {place} is not a regular file", "remove it; it is made anew")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                "another writer of registry entries is at work; nothing changed", "try again when it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)
