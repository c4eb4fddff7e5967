"""Check that the side index is the file that this program wrote last, and that the log is the one it indexed.

No row of a sqlite file can prove that another row was not deleted. So a state file beside the index records the inode,
size and times of the index after each write. If they differ, the index is rebuilt from the log.
"""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from typing import IO, Final

from registry_pipeline.errors import RefusedError
from registry_pipeline.files.atomic_write import read_own_file

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_STATE: Final = 256
_POLL: Final = 0.0005
# The longest wait for the clock of the file system, in seconds; the coarsest clocks advance every two.
_PATIENCE: Final = 3.0
_BLOCK: Final = 1 << 20


def state_path(index: Path) -> Path:
    """Return the path of the state file of a side index; the git ignore rule of the index covers it."""
    return index.with_name(index.name + ".state")


def is_recorded(index: Path, inode: int) -> bool:
    """Return whether a side index has this inode and the state that its state file records."""
    try:
        stat = index.stat()
        return stat.st_ino == inode and read_own_file(state_path(index), _MAX_STATE) == _state_of(stat)
    except (OSError, RefusedError):
        return False


def record_state(index: Path, inode: int) -> None:
    """Record the state of a side index that this program has written; call it while the index is still locked.

    Raises:
        OSError: the state file cannot be written.
    """
    path = state_path(index)
    path.unlink(missing_ok=True)
    stat = index.stat()
    if stat.st_ino != inode:
        return  # another file has taken its name
    descriptor = os.open(path, _CREATE, 0o644)
    try:
        # A later change of the index, or of the log that was written before it, must get other times. So the state is
        # written only when the clock that stamps files has advanced.
        until = time.monotonic() + _PATIENCE
        while os.fstat(descriptor).st_ctime_ns <= stat.st_ctime_ns:
            if time.monotonic() > until:
                return
            time.sleep(_POLL)
            os.pwrite(descriptor, b"-", 0)
        os.pwrite(descriptor, _state_of(stat), 0)
    finally:
        os.close(descriptor)


def _state_of(stat: os.stat_result) -> bytes:
    # Without the device, whose number changes when some file systems are mounted again.
    return f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}\n".encode()


def stat_fingerprint(file: IO[bytes]) -> str:
    """Return the device, inode, size and times of an open file; call it before reading what they must describe."""
    stat = os.fstat(file.fileno())
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def checksum(file: IO[bytes], start: int, end: int, previous: int = 0) -> int:
    """Return the CRC-32 of an open file up to `end`; `previous` is the CRC-32 of its first `start` bytes."""
    # A checksum detects edits, not forgeries, which suffices here: no proof relies on the side index.
    while start < end:
        data = os.pread(file.fileno(), min(_BLOCK, end - start), start)
        if not data:
            break  # the file was truncated while it was read, so its checksum differs
        previous, start = zlib.crc32(data, previous), start + len(data)
    return previous


def count_newlines(file: IO[bytes], end: int) -> int:
    """Return the number of newlines in the first `end` bytes of an open file."""
    return sum(os.pread(file.fileno(), min(_BLOCK, end - start), start).count(b"\n") for start in range(0, end, _BLOCK))
