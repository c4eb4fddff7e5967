"""Whether a log still begins with what was read of it: its state as a file, else a checksum of every byte (SPEC 11)."""

from __future__ import annotations

import os
import zlib
from typing import IO, Final

_BLOCK: Final = 1 << 20


def state_of(file: IO[bytes]) -> str:
    """Return what changes whenever an open file does, or another is put in its place; take it before what is read."""
    stat = os.fstat(file.fileno())
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def checksum(file: IO[bytes], start: int, end: int, before: int = 0) -> int:
    """Return the CRC-32 of an open file up to an offset, continued from `before`, that of its first `start` bytes.

    It finds edits, not forgeries: the side index is never what a proof rests on.
    """
    while start < end:
        data = os.pread(file.fileno(), min(_BLOCK, end - start), start)
        if not data:
            break  # it was cut while it was read: what is there has another checksum
        before, start = zlib.crc32(data, before), start + len(data)
    return before
