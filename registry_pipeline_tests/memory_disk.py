"""Use a file system in memory for temporary folders, where the machine has one.

Half of the suite's time on a disk is spent in fsync, which takes no time in memory.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

MEMORY_DISK: Final = Path("/dev/shm")  # noqa: S108 - pytest makes a folder in it that only this user can read
ENOUGH_BYTES: Final = 2 * 2**30


def use_memory_disk() -> None:
    """Set the folder for temporary files to `MEMORY_DISK`, unless `TMPDIR` is set or there is too little space.

    Child processes inherit the setting.
    """
    if "TMPDIR" in os.environ or not _is_usable(MEMORY_DISK):
        return
    os.environ["TMPDIR"] = str(MEMORY_DISK)
    tempfile.tempdir = None  # tempfile reads the variable again


def _is_usable(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    executable = not disk.f_flag & os.ST_NOEXEC  # some tests execute scripts that they write
    return executable and os.access(folder, os.W_OK | os.X_OK) and disk.f_bavail * disk.f_frsize >= ENOUGH_BYTES
