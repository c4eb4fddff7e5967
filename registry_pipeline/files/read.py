"""Read one regular file, with a limit of bytes and without waiting for a pipe or device."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from stat import S_ISREG
from typing import Final

MAX_BYTES: Final = 64 << 20


def read_regular_file(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the bytes of a regular file, links followed; a pipe or device is refused and not waited for.

    Raises:
        OSError: it is missing, unreadable, not a regular file, or has more bytes than `most`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB")
    return data
