"""Two system calls that Python does not offer, each with what stands in for it where it is missing."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any, Final

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_UNSUPPORTED: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM))


@cache
def _libc(name: str) -> Any:
    """Return a function of the C library, or None where the library has no such function."""
    return getattr(ctypes.CDLL(None, use_errno=True), name, None)


def rename_noreplace(source: str, target: str) -> None:
    """Rename a non-empty directory to a name that nothing bears, in one step (SPEC 2.4, step 4).

    Where the kernel, the library or the file system has no renameat2(RENAME_NOREPLACE), the name is looked at first
    and then rename(2) is asked, which refuses whatever but an empty directory. No run folder is empty and no writer
    of this project makes an empty one here, so that no run can be replaced on that road either.

    Raises:
        FileExistsError: the name is taken; nothing changed.
        OSError: the rename failed; nothing changed.
    """
    renameat2 = _libc("renameat2")
    if renameat2 is not None:
        done = renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
        if done == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), target)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    try:
        os.rename(source, target)  # noqa: PTH104 -- Path.rename would promise less
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        raise


def sync_filesystem(folder: str) -> None:
    """Write everything of the file system that holds `folder` to its disk; all file systems where syncfs is missing.

    Raises:
        OSError: the disk refused.
    """
    syncfs = _libc("syncfs")
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(descriptor)


def sync_one(path: str) -> None:
    """Write one file or directory to its disk.

    Raises:
        OSError: it is not there, or the disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
