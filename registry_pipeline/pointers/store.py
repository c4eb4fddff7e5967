"""The intent file and the lock of the pointer file.

Intents are written and removed with `pointer_lock` held; `transaction.commit` has the order of the steps.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import StrictJsonError, json_document, read_strict_json
from registry_pipeline.errors import BusyError, DurabilityError
from registry_pipeline.files.atomic_write import create_file, read_own_file, remove_file
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.pointers.record import Intent


def intent_path(pointer_path: Path) -> Path:
    """Return the path of the intent file of a pointer file."""
    return pointer_path.with_name(pointer_path.name + ".intent")


def write_intent(pointer_path: Path, run_id: str, before: str, after: str) -> None:
    """Write which record is about to be sealed, and the hashes of the pointer file before and after it.

    Raises:
        BusyError: an intent exists (exit 6).
        WriteError, DurabilityError: the intent could not be written durably; none is left (exit 1).
    """
    try:
        create_file(intent_path(pointer_path), json_document(Intent(run_id, before, after).to_json()))
    except DurabilityError:
        # A record must not be sealed under an intent that may vanish in a power cut.
        intent_path(pointer_path).unlink(missing_ok=True)
        raise
    except BusyError:
        raise BusyError(
            "the intent of another change exists; nothing changed", "run `registry-pipeline status`"
        ) from None


def read_intent(pointer_path: Path) -> Intent | None:
    """Return the intent, or None if there is no complete one."""
    data = read_own_file(intent_path(pointer_path))
    if data is None:
        return None
    # The record is sealed after the intent is complete, so a torn intent has no record.
    try:
        return Intent.from_json(read_strict_json(data))
    except StrictJsonError:
        return None


def remove_intent(pointer_path: Path) -> None:
    """Remove the intent if it exists; its change must be committed or never sealed.

    Raises:
        WriteError: the file cannot be removed (exit 1).
    """
    remove_file(intent_path(pointer_path))


def lock_path(pointer_path: Path) -> Path:
    """Return the path of the lock file of a pointer file."""
    return pointer_path.with_name(pointer_path.name + ".lock")


CHANGE_WAIT_SECONDS: Final = 2.0
"""How long a change waits for readers, which share the lock for a moment."""


def pointer_lock(
    pointer_path: Path, root: Path, *, shared: bool = False, wait_seconds: float = CHANGE_WAIT_SECONDS
) -> AbstractContextManager[None]:
    """Hold the lock of the pointer file of the repository at `root`; readers share it.

    Raises:
        BusyError, RefusedError, NotFoundError, WriteError: see `files.lock.hold_lock`.
    """
    return hold_lock(lock_path(pointer_path), root, "activation", shared=shared, wait_seconds=wait_seconds)
