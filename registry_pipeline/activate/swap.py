"""Write the pointer file and its intent, so that a process killed anywhere leaves a state with a name (SPEC 5).

Every function here is called with `lock.pointer_lock` held. The order of calls is told in `activate/__init__`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from registry_pipeline.canon import StrictJsonError, json_document, read_strict_json, sha256_hex
from registry_pipeline.errors import BusyError, DurabilityError, RefusedError, RegistryPipelineError
from registry_pipeline.model.activation import Intent

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o644


def intent_path(pointer_path: Path) -> Path:
    """Return where the intent of a pointer file lies."""
    return pointer_path.with_name(pointer_path.name + ".intent")


def temporary_path(pointer_path: Path) -> Path:
    """Return where the next pointer file is written before it takes its name; what a killed process left is reused."""
    return pointer_path.with_name(pointer_path.name + ".tmp")


def compare_pointer_file(pointer_path: Path, expected_sha256: str | None) -> None:
    """Refuse if the pointer file is not the one that was read; None stands for no file.

    Raises:
        BusyError: it changed since; nothing was written (exit 6).
        RefusedError: it is a link, or no regular file (exit 5).
    """
    found = _read(pointer_path)
    digest = None if found is None else sha256_hex(found)
    if digest != expected_sha256:
        raise BusyError(
            f"{pointer_path.name} changed since it was read: expected {expected_sha256 or 'no file'}, "
            f"got {digest or 'no file'}; nothing moved",
            "somebody else was faster; look at `registry-pipeline status` and try again",
        )


def write_intent(pointer_path: Path, run_id: str, before: str, after: str) -> None:
    """Write durably which record is about to be sealed, and the hashes of the pointer file before and after it.

    Raises:
        BusyError: an intent is there; whoever found the chain committed removes it first (exit 6).
        RegistryPipelineError: the disk refused; no intent is left (exit 1).
    """
    place = intent_path(pointer_path)
    try:
        _create(place, json_document(Intent(run_id, before, after).to_json()), _MODE)
    except FileExistsError:
        raise BusyError(
            "the intent of another change is there; nothing moved", "run `registry-pipeline status`"
        ) from None
    except OSError as error:
        raise _refused(place, error) from None
    try:
        _sync_folder(place.parent)
    except OSError as error:
        place.unlink(missing_ok=True)
        raise _refused(place, error) from None


def read_intent(pointer_path: Path) -> Intent | None:
    """Return the intent that stands, or None.

    A torn one is None too: it was not finished, so that its record was never sealed.
    """
    data = _read(intent_path(pointer_path))
    if data is None:
        return None
    try:
        return Intent.from_json(read_strict_json(data))
    except StrictJsonError:
        return None


def remove_intent(pointer_path: Path) -> None:
    """Remove the intent, if there is one: its change is in force, or was never sealed.

    Raises:
        RegistryPipelineError: the disk refused (exit 1).
    """
    place = intent_path(pointer_path)
    try:
        place.unlink()
        _sync_folder(place.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(place, error) from None


def swap_pointer_file(pointer_path: Path, after_bytes: bytes, expected_before_sha256: str | None) -> None:
    """Replace the pointer file in one step; readers see the old bytes or the new ones, never a part.

    `expected_before_sha256` is that of the bytes that the plan was made from, None where there was no file. The
    file's permission bits are kept; a new one is 0644.

    Raises:
        BusyError: the file on disk is another; it was not touched (exit 6).
        RefusedError: the pointer file is a link, or no regular file (exit 5).
        RegistryPipelineError: the disk refused; the file is as it was (exit 1).
        DurabilityError: the file is replaced, but the disk did not confirm it.
    """
    compare_pointer_file(pointer_path, expected_before_sha256)
    place = temporary_path(pointer_path)
    try:
        mode = _MODE if expected_before_sha256 is None else stat.S_IMODE(pointer_path.stat().st_mode)
        place.unlink(missing_ok=True)
        _create(place, after_bytes, mode)
        place.replace(pointer_path)
    except OSError as error:
        raise _refused(pointer_path, error) from None
    try:
        _sync_folder(pointer_path.parent)
    except OSError as error:
        raise DurabilityError(
            f"{pointer_path.name} is replaced, but the disk did not confirm it: {error.strerror}",
            "look at `registry-pipeline status` after the disk is mended",
        ) from None


def _read(place: Path) -> bytes | None:
    """Return the bytes of a regular file, or None where there is none; a link, a pipe or a device is refused."""
    try:
        descriptor = os.open(place, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RefusedError(
            f"{place} cannot be read: {error.strerror}", "it must be a regular file, not a link"
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RefusedError(f"{place} is not a regular file", "put the file itself there")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _create(place: Path, data: bytes, mode: int) -> None:
    """Make a new file with these bytes on the disk; on failure there is none."""
    descriptor = os.open(place, _CREATE, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        place.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(place: Path, error: OSError) -> RegistryPipelineError:
    return RegistryPipelineError(
        f"{place.name} cannot be written: {error.strerror}; no pointer moved",
        "activation needs space, and a folder that it may write to",
    )
