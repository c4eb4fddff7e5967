"""Write a whole file in one step: readers see the old bytes or the new ones, and a kill leaves one of the two.

The next content is written beside the file under a name that is derived from it (`temporary_path`), so that a killed
writer leaves at most that one file; the next writer reuses the name, and `doctor` finds and removes it. Callers hold
the lock of the file while they call `replace_file` or `create_file`.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry_pipeline.canon import sha256_hex
from registry_pipeline.errors import BusyError, DurabilityError, RefusedError
from registry_pipeline.files.durable import cannot_write, make_folders, rename_noreplace, share_with_group, sync_path

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o644
_SUFFIX: Final = ".registry-pipeline.tmp"


def temporary_path(path: Path) -> Path:
    """Return where the next content of a file is written before it takes the file's name."""
    return path.with_name(f".{path.name}{_SUFFIX}")


def is_temporary(name: str) -> bool:
    """Whether a file name is one that `temporary_path` gives."""
    return name.startswith(".") and name.endswith(_SUFFIX) and len(name) > len(_SUFFIX) + 1


def read_own_file(path: Path) -> bytes | None:
    """Return the bytes of a regular file that is no link, None if there is none.

    Raises:
        RefusedError: it is a link, no regular file, or cannot be read (exit 5).
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
        return file.read()


def refuse_changed(path: Path, expected_sha256: str | None) -> None:
    """Refuse if a file is not the one that was read; None stands for no file.

    Raises:
        BusyError: it changed since; nothing was written (exit 6).
        RefusedError: it is a link, or no regular file (exit 5).
    """
    data = read_own_file(path)
    digest = None if data is None else sha256_hex(data)
    if digest != expected_sha256:
        raise BusyError(
            f"{path.name} changed since it was read: expected {expected_sha256 or 'no file'}, "
            f"got {digest or 'no file'}; nothing was written",
            "another writer was faster: look at the file, then run the command again",
        )


def replace_file(path: Path, data: bytes, expected_sha256: str | None) -> None:
    """Replace a file if it still has the bytes that were read; permission bits and group are kept.

    `expected_sha256` is the hash of the bytes that were read. None stands for no file: then the file is created, and
    one that appeared meanwhile is never replaced.

    Raises:
        BusyError: the file is not the one that was read; it was not touched (exit 6).
        RefusedError: it is a link, or no regular file (exit 5).
        WriteError: the disk refused; the file is as it was (exit 1).
        DurabilityError: the file is replaced, but the disk did not confirm it (exit 1).
    """
    refuse_changed(path, expected_sha256)
    if expected_sha256 is None:
        create_file(path, data)
        return
    draft = temporary_path(path)
    try:
        # (1) Write the new content durably under another name.
        _write_draft(draft, data, path.stat())
        # (2) Compare again: an editor, which takes no lock, may have saved since.
        refuse_changed(path, expected_sha256)
        # (3) Give it the name.
        draft.replace(path)
    except OSError as error:
        _remove(draft)
        raise cannot_write(path, error) from None
    except BaseException:
        _remove(draft)
        raise
    _confirm(path)


def create_file(path: Path, data: bytes, mode: int = _MODE) -> None:
    """Create a file with its missing folders, complete or not at all; an existing one is never replaced.

    In a folder to which the group may write, the group gets the permissions of the owner, whatever the umask.

    Raises:
        BusyError: the name is taken; nothing changed (exit 6).
        WriteError: the disk refused; there is no such file (exit 1).
        DurabilityError: the file exists, but the disk did not confirm it (exit 1).
    """
    draft = temporary_path(path)
    try:
        make_folders(path.parent)
        _write_draft(draft, data, mode)
        rename_noreplace(str(draft), str(path))
    except FileExistsError:
        _remove(draft)
        raise BusyError(
            f"{path.name} was created by another writer meanwhile; nothing was written",
            "look at the file, then run the command again",
        ) from None
    except OSError as error:
        _remove(draft)
        raise cannot_write(path, error) from None
    except BaseException:
        _remove(draft)
        raise
    _confirm(path)


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
        raise cannot_write(path, error) from None
    return True


def write_descriptor(descriptor: int, data: bytes) -> None:
    """Write every byte, in as many writes as the disk wants.

    Raises:
        OSError: the disk refused.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _write_draft(draft: Path, data: bytes, like: os.stat_result | int) -> None:
    draft.unlink(missing_ok=True)
    mode = like if isinstance(like, int) else stat.S_IMODE(like.st_mode)
    descriptor = os.open(draft, _CREATE, mode)
    try:
        if not isinstance(like, int):
            with suppress(OSError):  # only a member of the group may give it; the permission bits matter more
                os.fchown(descriptor, -1, like.st_gid)
        os.fchmod(descriptor, mode)
        if isinstance(like, int):
            share_with_group(descriptor, draft.parent)
        write_descriptor(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink()


def _confirm(path: Path) -> None:
    try:
        sync_path(path.parent)
    except OSError as error:
        raise DurabilityError(
            f"{path.name} is written, but the disk did not confirm it: {error.strerror}",
            "check the disk, then look at the file",
        ) from None
