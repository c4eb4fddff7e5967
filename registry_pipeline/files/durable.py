"""System calls that make a change durable: two that Python does not offer, with a fallback, and fsync of a path."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from registry_pipeline.errors import WriteError

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_UNSUPPORTED: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM))
_NO_SPACE: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
NO_PERMISSION: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))


@cache
def _libc(name: str) -> Any:
    """Return a function of the C library, or None where the library has no such function."""
    import ctypes  # noqa: PLC0415 - 2 ms of every command, and few of them write

    return getattr(ctypes.CDLL(None, use_errno=True), name, None)


def _read_errno() -> int:
    """Return the error number of the last call of a function of the C library."""
    import ctypes  # noqa: PLC0415 - as above

    return ctypes.get_errno()


def rename_noreplace(source: str, target: str) -> None:
    """Rename a file or a non-empty directory in one step, and never replace what has the new name.

    Raises:
        FileExistsError: the name is taken; nothing changed.
        OSError: the rename failed; nothing changed.
    """
    renameat2 = _libc("renameat2")
    if renameat2 is not None:
        done = renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
        if done == 0:
            return
        number = _read_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), target)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    if not os.path.isdir(source):  # noqa: PTH112 - the caller has text paths
        # link(2) refuses a name that exists; rename(2) would replace a file that appeared since the look above.
        os.link(source, target)
        os.unlink(source)  # noqa: PTH108 - as above
        return
    try:
        # rename(2) replaces nothing but an empty directory, and no writer of this project makes one here.
        os.rename(source, target)  # noqa: PTH104 - Path.rename would promise less
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        raise


def sync_filesystem(folder: str) -> None:
    """Write everything of the file system that contains `folder` to its disk; without syncfs, all file systems."""
    syncfs = _libc("syncfs")
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(descriptor) != 0:
            number = _read_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(descriptor)


def sync_path(path: str | Path) -> None:
    """Write one file, or the names in one directory, to its disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a linked folder is synced like any other
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make a directory with its missing parents, shared with the group, and make the name of every new one durable."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():  # another process that made the directory is as good
                raise
        else:
            share_with_group(path, path.parent)
        sync_path(path.parent)


def share_with_group(entry: str | Path | int, folder: str | Path) -> None:
    """Give the group of a new file or directory its owner's permissions, if the group may write to the folder.

    Nothing changes if entry and folder have different groups. `entry` may be a descriptor.
    """
    # A umask is one user's choice; in a folder that a group shares, the others must be able to work on.
    entry_status, folder_status = os.stat(entry), os.stat(folder)  # noqa: PTH116 - a descriptor, too
    mode = stat.S_IMODE(entry_status.st_mode)
    shared = mode | (mode & stat.S_IRWXU) >> 3
    # The groups differ if the folder lacks the setgid bit.
    same_group = entry_status.st_gid == folder_status.st_gid
    if folder_status.st_mode & stat.S_IWGRP and same_group and mode != shared:
        with suppress(OSError):  # a file system without permissions: the entry is as good as it can be there
            os.chmod(entry, shared)  # noqa: PTH101 - as above


def is_refused_write(error: OSError) -> bool:
    """Return whether the error of an unknown system call is a write, refused for lack of space or permission."""
    if error.errno in NO_PERMISSION and error.errno != errno.EROFS:
        return not os.path.exists(error.filename) or os.access(error.filename, os.R_OK)  # noqa: PTH110 - may be bytes
    return error.errno in _NO_SPACE or error.errno == errno.EROFS


def advise_on_write_error(error: OSError, folder: Path) -> str:
    """Return the advice for a user after a write into `folder` failed with this error."""
    if error.errno in _NO_SPACE:
        return "free some space on the disk, then run the command again"
    if error.errno in NO_PERMISSION:
        return f"make {folder} writable for you, then run the command again"
    return "fix the cause, then run the command again"


def make_write_error(path: Path, error: OSError) -> WriteError:
    """Return the error for a path that the disk or its permissions do not let us write, with advice on the cause."""
    message = f"{path} cannot be written: {error.strerror or error}; it is as it was"
    return WriteError(message, advise_on_write_error(error, path.parent))
