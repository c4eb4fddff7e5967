"""Find staging folders that killed writers left behind, and move them to quarantine."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path
from typing import Final

from registry_pipeline.errors import NotFoundError, PublishError
from registry_pipeline.files.durable import make_folders, rename_noreplace, write_advice
from registry_pipeline.values import value_type

_STAGED: Final = re.compile(r"(?P<run_id>.+)\.(?P<pid>[0-9]{1,10})\.(?P<nonce>[0-9a-f]{8})")


@value_type
class Leftover:
    """A staging folder whose process has ended; it was never published."""

    path: Path
    run_id: str


def find_leftovers(staging_root: Path) -> tuple[Leftover, ...]:
    """Return the staging folders whose processes have ended, by name; folders with other names are ignored.

    Raises:
        NotFoundError: the staging folder cannot be listed.
    """
    try:
        names = sorted(os.listdir(staging_root))  # noqa: PTH208 - only names are needed
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise NotFoundError(f"{staging_root} cannot be read: {error.strerror}", "check its permissions") from None
    matches = [match for name in names if (match := _STAGED.fullmatch(name)) is not None]
    # Processes are looked up on this machine only. A writer on another machine that shares the disk looks dead: its
    # folder is kept in quarantine, and its publishing fails without leaving anything behind.
    return tuple(
        Leftover(staging_root / match[0], match["run_id"]) for match in matches if not is_alive(int(match["pid"]))
    )


def quarantine_folder(leftover: Leftover, quarantine_root: Path) -> Path:
    """Move a leftover to quarantine, with a number appended if its name is taken, and return the new path.

    Raises:
        PublishError: it could not be moved.
    """
    name = leftover.path.name
    try:
        make_folders(quarantine_root)
        for number in count(1):
            target = quarantine_root / (name if number == 1 else f"{name}.{number}")
            try:
                rename_noreplace(str(leftover.path), str(target))
            except FileExistsError:
                continue
            break
    except OSError as error:
        message = f"{name} cannot be moved to quarantine: {error.strerror}"
        raise PublishError(message, write_advice(error, quarantine_root)) from None
    return target


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
