"""What killed writers left in staging: found by their process, moved to quarantine (SPEC 2.4, step 6)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from registry_pipeline.errors import NotFoundError, PublishError
from registry_pipeline.files.durable import make_folders, rename_noreplace, write_advice
from registry_pipeline.values import value_type

_STAGED: Final = re.compile(r"(?P<run_id>.+)\.(?P<pid>[0-9]{1,10})\.(?P<nonce>[0-9a-f]{8})")


@value_type
class Leftover:
    """A staging folder whose process is gone: it was never published, and nobody will publish it."""

    path: Path
    run_id: str


def stale_stagings(staging_root: Path) -> tuple[Leftover, ...]:
    """Return the staging folders whose processes are gone, by name; what `seal_folder` did not name is left alone.

    A process is looked for on this machine. A writer elsewhere that shares the disk would look gone: its folder is
    kept in quarantine, and its publishing fails without leaving anything.

    Raises:
        NotFoundError: the staging folder cannot be listed.
    """
    try:
        names = sorted(os.listdir(staging_root))  # noqa: PTH208 - names are what is wanted
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise NotFoundError(f"{staging_root} cannot be read: {error.strerror}", "check its permissions") from None
    found = [(name, match) for name in names if (match := _STAGED.fullmatch(name)) is not None]
    return tuple(
        Leftover(staging_root / name, match["run_id"]) for name, match in found if not is_alive(int(match["pid"]))
    )


def quarantine_folder(leftover: Leftover, quarantine_root: Path) -> Path:
    """Move a leftover to quarantine, under its own name or the next that is free, and return where it is.

    Raises:
        PublishError: it could not be moved; it is where it was.
    """
    name, number = leftover.path.name, 1
    try:
        make_folders(quarantine_root)
        while True:
            target = quarantine_root / (name if number == 1 else f"{name}.{number}")
            try:
                rename_noreplace(str(leftover.path), str(target))
            except FileExistsError:
                number += 1
            else:
                return target
    except OSError as error:
        message = f"{leftover.path.name} cannot be moved to quarantine: {error.strerror}"
        raise PublishError(message, write_advice(error, quarantine_root)) from None


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
