"""Replace a file, or create one: readers see the old content or the new one, never a part. Append a line."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import BusyError, DurabilityError, NotFoundError, RefusedError
from registry_pipeline.files.durable import (
    make_folders,
    make_write_error,
    rename_noreplace,
    share_with_group,
    sync_path,
)
from registry_pipeline.files.lock import open_locked

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o644
_SUFFIX: Final = ".registry-pipeline.tmp"
_WAIT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.005


def temporary_path(path: Path) -> Path:
    """Return the path at which the next content of a file is written before it takes the file's name."""
    return path.with_name(f".{path.name}{_SUFFIX}")


def is_temporary(name: str) -> bool:
    """Return whether a file name is one that `temporary_path` returns."""
    return name.startswith(".") and name.endswith(_SUFFIX) and len(name) > len(_SUFFIX) + 1


def read_own_file(path: Path, max_bytes: int | None = None) -> bytes | None:
    """Return the bytes of a regular file that is no link, None if there is none.

    Raises:
        RefusedError: it is a link, no regular file, larger than `max_bytes`, or cannot be read (exit 5).
    """
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else error.strerror
        raise RefusedError(f"{path} cannot be read: {reason}", "it must be a regular file, not a link") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(f"{path} is not a regular file", "put the regular file itself there")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(-1 if max_bytes is None else max_bytes + 1)
    if max_bytes is not None and len(data) > max_bytes:
        raise RefusedError(f"{path} is larger than {max_bytes >> 20} MiB", "split it into several files")
    return data


def hash_own_file(path: Path, max_bytes: int | None = None) -> str | None:
    """Return the sha256 of a regular file that is no link, None if there is none; refuses as `read_own_file`."""
    data = read_own_file(path, max_bytes)
    return None if data is None else sha256_hex(data)


def refuse_changed_file(path: Path, expected_sha256: str | None, max_bytes: int | None = None) -> None:
    """Refuse if a file is not the one that was read; None stands for no file.

    Raises:
        BusyError: it changed since; nothing was written (exit 6).
        RefusedError: as `read_own_file` (exit 5).
    """
    digest = hash_own_file(path, max_bytes)
    if digest != expected_sha256:
        raise BusyError(
            f"{path.name} changed since it was read: expected {expected_sha256 or 'no file'}, "
            f"got {digest or 'no file'}; nothing was written",
            "another writer was faster: look at the file, then run the command again",
        )


def replace_file(path: Path, data: bytes, expected_sha256: str | None) -> None:
    """Replace a file if it still has the bytes that were read; permission bits are kept, and the group if allowed.

    `expected_sha256` is the hash of the bytes that were read. None means that there is no file: then it is created with
    its missing folders, and one that appeared meanwhile is never replaced.

    Raises:
        BusyError: the file is not the one that was read, or another writer was busy for 30 s; nothing changed (exit 6).
        RefusedError: it is a link, no regular file, or cannot be read (exit 5).
        WriteError: the disk refused; the file is as it was (exit 1).
        DurabilityError: the file is replaced, but the disk did not confirm it (exit 1).
    """
    refuse_changed_file(path, expected_sha256)
    if expected_sha256 is None:
        create_file(path, data)
        return
    # (1) Write the new content durably under another name.
    with _write_draft(path, data, path.stat()) as draft:
        # (2) Compare again: an editor, which takes no lock, may have saved since.
        refuse_changed_file(path, expected_sha256)
        # (3) Give it the name.
        draft.replace(path)
    _sync_new_name(path)


def create_file(path: Path, data: bytes, mode: int = _MODE) -> None:
    """Create a file and its missing folders; an existing file is never replaced.

    In a folder to which the group may write, the group gets the permissions of the owner, whatever the umask.

    Raises:
        BusyError: the name is taken, or another writer was busy for 30 s; nothing changed (exit 6).
        WriteError: the disk refused; there is no such file (exit 1).
        DurabilityError: the file exists, but the disk did not confirm it (exit 1).
    """
    with _write_draft(path, data, mode) as draft:
        try:
            rename_noreplace(str(draft), str(path))
        except FileExistsError:
            raise BusyError(
                f"{path.name} was created by another writer meanwhile; nothing was written",
                "look at the file, then run the command again",
            ) from None
    _sync_new_name(path)


def overwrite_file(path: Path, data: bytes) -> None:
    """Write a file that a user named, whatever it contained: a link is followed, a pipe or a device is written to.

    Raises:
        NotFoundError: its folder does not exist (exit 7).
        BusyError, RefusedError, WriteError, DurabilityError: as `replace_file`.
    """
    refuse_missing_folder(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path = path.resolve()
    except OSError as error:
        raise make_write_error(path, error) from None
    replace_file(path, data, hash_own_file(path))


def append_line(path: Path, line: bytes) -> None:
    """Append a line to a file, or create it with this line; no other byte of the file is written.

    So the lines of two writers are both kept, and the file may be one that only grows.

    Raises:
        NotFoundError: its folder does not exist (exit 7).
        WriteError: it is not a regular file, or the disk refused (exit 1).
        DurabilityError: the line was written, but the disk did not confirm it (exit 1).
    """
    refuse_missing_folder(path)
    try:
        is_new = not path.exists()
        # Without O_NONBLOCK a pipe that nobody reads would be waited for.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            write_all_bytes(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise make_write_error(path, error) from None
    try:
        sync_path(path)
    except OSError as error:
        message = f"{path} was written, but the disk did not confirm it: {error.strerror}"
        raise DurabilityError(message, "check the disk, then look at the last line of the file") from None
    if is_new:
        _sync_new_name(path)


def refuse_missing_folder(path: Path) -> None:
    """Refuse a file in a folder that does not exist: a path that a user named may have a typing mistake.

    Raises:
        NotFoundError: there is no such folder (exit 7).
    """
    if not path.parent.is_dir():
        raise NotFoundError(f"{path} cannot be written: there is no folder {path.parent}", "create it, or name another")


def write_new_file(path: Path, data: bytes, like: os.stat_result | int) -> None:
    """Create a file and sync its bytes, not its name; `like` gives permission bits, and the group if it is a stat.

    Raises:
        OSError: the name is taken, or the disk refused.
    """
    descriptor = os.open(path, _CREATE, _MODE)
    try:
        _fill_file(descriptor, data, like, path.parent)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> bool:
    """Remove a file durably; return whether there was one.

    Raises:
        WriteError: the disk refused (exit 1).
    """
    try:
        path.unlink()
        sync_path(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise make_write_error(path, error) from None
    return True


def write_all_bytes(descriptor: int, data: bytes) -> None:
    """Write all of `data` to a descriptor, in as many writes as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def remove_temporary(path: Path) -> bool:
    """Remove what a killed writer left at a temporary path; return False if a writer holds it, else True."""
    if path.is_symlink():  # no writer makes one
        path.unlink()
        return True
    try:
        descriptor = open_locked(path, os.O_RDONLY, "write", wait_seconds=0.0)
    except NotFoundError:
        return True
    except BusyError:
        return False
    try:
        path.unlink()
    finally:
        os.close(descriptor)
    return True


@contextmanager
def _write_draft(path: Path, data: bytes, like: os.stat_result | int) -> Iterator[Path]:
    """Yield a temporary file with these bytes, synced; remove it if the block fails. OSError becomes WriteError."""
    draft = temporary_path(path)
    try:
        make_folders(path.parent)
        descriptor = _open_draft(draft)
        try:
            _fill_file(descriptor, data, like, path.parent)
            yield draft
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise make_write_error(path, error) from None


def _open_draft(draft: Path) -> int:
    """Create the temporary file and return its locked descriptor; BusyError if a writer holds it for 30 s."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        if remove_temporary(draft):
            with suppress(FileExistsError):  # another writer was faster
                descriptor = os.open(draft, _CREATE, _MODE)
                with suppress(BlockingIOError, FileNotFoundError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Between the two calls it looked like a leftover, and another writer may have removed it.
                    if os.path.samestat(os.fstat(descriptor), draft.lstat()):
                        return descriptor
                os.close(descriptor)
        if time.monotonic() >= deadline:
            raise BusyError(f"another writer holds {draft} after {_WAIT_SECONDS:.0f} s", "try again when it has ended")
        time.sleep(_POLL_SECONDS)


def _fill_file(descriptor: int, data: bytes, like: os.stat_result | int, folder: Path) -> None:
    """Set permission bits and group, then write and sync the bytes of a file in `folder`."""
    if isinstance(like, int):
        os.fchmod(descriptor, like)
        share_with_group(descriptor, folder)
    else:
        with suppress(OSError):  # only a member of the group may give it; the permission bits matter more
            os.fchown(descriptor, -1, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
    write_all_bytes(descriptor, data)
    os.fsync(descriptor)


def _sync_new_name(path: Path) -> None:
    """Make the new name of a file durable; DurabilityError if the disk does not confirm it."""
    try:
        sync_path(path.parent)
    except OSError as error:
        raise DurabilityError(
            f"{path.name} is written, but the disk did not confirm it: {error.strerror}",
            "check the disk, then look at the file",
        ) from None
