"""Write the pointer file and its intent; a process killed anywhere leaves one of the states of the activation protocol.

Every function here is called with `lock.pointer_lock` held. `activate/__init__` says in which order.
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
    """Return where the intent of a pointer file is."""
    return pointer_path.with_name(pointer_path.name + ".intent")


def write_intent(pointer_path: Path, run_id: str, before: str, after: str) -> None:
    """Write durably which record is about to be sealed, and the hashes of the pointer file before and after it.

    Raises:
        BusyError: there is an intent; who finds the chain committed removes it first (exit 6).
        WriteError, DurabilityError: the disk refused; no intent is left (exit 1).
    """
    try:
        create_file(intent_path(pointer_path), json_document(Intent(run_id, before, after).to_json()))
    except DurabilityError:
        # The change has not begun: an intent that may vanish in a power cut must not be built on.
        intent_path(pointer_path).unlink(missing_ok=True)
        raise
    except BusyError:
        raise BusyError(
            "the intent of another change exists; nothing moved", "see `registry-pipeline status`"
        ) from None


def read_intent(pointer_path: Path) -> Intent | None:
    """Return the intent, or None if there is none.

    A torn one is None too: it was not finished, therefore its record was never sealed.
    """
    data = read_own_file(intent_path(pointer_path))
    if data is None:
        return None
    try:
        return Intent.from_json(read_strict_json(data))
    except StrictJsonError:
        return None


def remove_intent(pointer_path: Path) -> None:
    """Remove the intent, if there is one: its change is committed, or was never sealed.

    Raises:
        WriteError: the disk refused (exit 1).
    """
    remove_file(intent_path(pointer_path))


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
