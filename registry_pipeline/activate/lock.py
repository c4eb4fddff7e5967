"""The lock that every change of the pointer file holds from its first read to its last write (SPEC 5)."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from registry_pipeline.errors import BusyError, NotFoundError, RefusedError, RegistryPipelineError

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def lock_path(pointer_path: Path) -> Path:
    """Return where the lock file of a pointer file lies; it is never removed, since a lock is held on its inode."""
    return pointer_path.with_name(pointer_path.name + ".lock")


@contextmanager
def pointer_lock(pointer_path: Path) -> Iterator[None]:
    """Hold the lock of a pointer file; it ends with the block or with the process, however that ends.

    Raises:
        BusyError: another process holds it; nothing waits (exit 6).
        RefusedError: the lock file is a link or no regular file (exit 5).
        NotFoundError: the pointer file's folder does not exist (exit 7).
        RegistryPipelineError: the lock file cannot be made, in a read-only tree for example (exit 1).
    """
    place = lock_path(pointer_path)
    descriptor = _open(place)
    try:
        _take(descriptor, place)
        yield
    finally:
        os.close(descriptor)


def _open(place: Path) -> int:
    try:
        return os.open(place, _FLAGS, 0o644)
    except FileNotFoundError:
        raise NotFoundError(f"there is no folder {place.parent}", "run `registry-pipeline init`") from None
    except OSError as error:
        if place.is_symlink():
            raise RefusedError(f"the lock {place} is a link", "remove it; the lock is made anew") from None
        raise RegistryPipelineError(
            f"the lock {place} cannot be made: {error.strerror}",
            "no pointer moved; activation needs a folder that it may write to",
        ) from None


def _take(descriptor: int, place: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise RefusedError(f"the lock {place} is not a regular file", "remove it; the lock is made anew")
    busy = BusyError("another activation is in progress; nothing changed", "try again when it has ended")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        named = place.lstat()
    except (BlockingIOError, FileNotFoundError):
        raise busy from None
    if not os.path.samestat(os.fstat(descriptor), named):  # removed and made anew since it was opened
        raise busy
