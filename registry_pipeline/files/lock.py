"""The one lock: flock(2) on a file, held until the block or the process ends.

A lock file is never removed, because the lock belongs to its inode.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from registry_pipeline.errors import BusyError, NotFoundError, RefusedError
from registry_pipeline.files.durable import NO_PERMISSION, make_folders, make_write_error, share_with_group

_SAFE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MODE: Final = 0o644
_POLL_SECONDS: Final = 0.005


@contextmanager
def hold_lock(
    path: Path,
    root: Path,
    purpose: str,
    *,
    wait_seconds: float = 0.0,
    shared: bool = False,
    make_folder: bool = False,
) -> Iterator[None]:
    """Hold the lock file at `path`, whose folder must be inside `root`.

    An exclusive lock makes the file, and with `make_folder` its folder; a shared one needs a file that exists. Where
    the file may only be read, as for another user of the group, reading it suffices. `purpose` is for the message.

    Raises:
        BusyError: another process held it for all of `wait_seconds`; nothing changed (exit 6).
        RefusedError: it is a link, no regular file, or outside `root` through a linked folder (exit 5).
        NotFoundError: its folder does not exist, or for a shared lock the file (exit 7).
        WriteError: it cannot be made (exit 1).
    """
    refuse_outside(path, root)
    if make_folder:
        try:
            make_folders(path.parent)
        except OSError as error:
            raise make_write_error(path, error) from None
    flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
    descriptor = open_locked(path, flags, purpose, wait_seconds=wait_seconds, shared=shared, read_only_suffices=True)
    try:
        yield
    finally:
        os.close(descriptor)


def open_locked(
    path: Path,
    flags: int,
    purpose: str,
    *,
    wait_seconds: float,
    shared: bool = False,
    read_only_suffices: bool = False,
) -> int:
    """Open a file with `flags`, lock it within `wait_seconds`, and return its descriptor; closing that unlocks it.

    Raises:
        BusyError, RefusedError, NotFoundError, WriteError: as `hold_lock`.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        descriptor = _open_regular(path, flags, read_only_suffices=read_only_suffices)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            # A checkout or a merge may have replaced the file since it was opened: then this lock protects nothing.
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() >= deadline:
            waited = f" after {wait_seconds:.0f} s" if wait_seconds else ""
            raise BusyError(f"another {purpose} is in progress{waited}; nothing changed", "try again when it has ended")
        time.sleep(_POLL_SECONDS)


def is_locked(path: Path) -> bool:
    """Return whether some process holds the lock file at `path` exclusively; False if there is no such file.

    Raises:
        RefusedError: it is a link, or no regular file (exit 5).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _SAFE)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _make_open_error(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def refuse_outside(path: Path, root: Path) -> None:
    """Refuse a path whose folder is outside `root`, by its words or through a linked folder (RefusedError)."""
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise RefusedError(f"{path} is outside {root}: a folder of its path is a link", "replace the link by a folder")


def _open_regular(path: Path, flags: int, *, read_only_suffices: bool) -> int:
    """Return a descriptor of a regular file; read-only if `read_only_suffices` and writing is not permitted."""
    try:
        descriptor = _create_or_open(path, flags)
    except OSError as error:
        if not read_only_suffices or error.errno not in NO_PERMISSION or not path.is_file() or path.is_symlink():
            raise _make_open_error(path, error) from None
        try:
            descriptor = os.open(path, os.O_RDONLY | _SAFE)
        except OSError as second:
            raise _make_open_error(path, second) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(f"{path} is not a regular file", "remove it; a regular file is made when it is needed")
    return descriptor


def _create_or_open(path: Path, flags: int) -> int:
    """Return a descriptor of the file; one that is created here can be locked by the group that shares its folder."""
    if flags & os.O_CREAT:
        try:
            descriptor = os.open(path, flags | os.O_EXCL | _SAFE, _MODE)
        except FileExistsError:
            pass
        else:
            share_with_group(descriptor, path.parent)
            return descriptor
    return os.open(path, flags | _SAFE, _MODE)


def _make_open_error(path: Path, error: OSError) -> Exception:
    if path.is_symlink():
        return RefusedError(f"{path} is a link", "put the regular file itself there, or remove the link")
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"there is no folder {path.parent}", "run `registry-pipeline init`")
    if isinstance(error, IsADirectoryError):
        return RefusedError(f"{path} is not a regular file", "remove it; a regular file is made when it is needed")
    return make_write_error(path, error)
