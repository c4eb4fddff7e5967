"""Hash the large files of a folder with two threads, before all of its files are verified one after the other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from stat import S_ISREG
from typing import Final

FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# A thread costs 0.1 ms, and a small file is hashed faster than another thread gets its turn.
_LARGE_BYTES: Final = 4 * 2**20
_BUFFER_BYTES: Final = 2**18
_THREADS: Final = 2
FileState = tuple[int, int, int, int, int, int]
"""Device, kind and permissions, inode, size, change and modification time of a file."""


def state_of(status: os.stat_result) -> FileState:
    """Return the part of a status that differs if the file was written, replaced or changed in any other way."""
    times = status.st_ctime_ns, status.st_mtime_ns
    return status.st_dev, status.st_mode, status.st_ino, status.st_size, *times


def hash_large_files(folder: int, sizes: Mapping[str, int]) -> dict[tuple[str, FileState], str]:
    """Return the sha256 of the large files in an open folder, by name and state; none unless two are large.

    `sizes` are the sealed sizes by name. A file is left out if it has another size or holes, cannot be read, or changes
    meanwhile: the caller reads it anyway and reports that.
    """
    names = sorted((name for name, size in sizes.items() if size >= _LARGE_BYTES), key=lambda name: sizes[name])
    if len(names) < _THREADS:
        return {}
    import threading  # noqa: PLC0415 - few folders have large files

    hashes: dict[tuple[str, FileState], str] = {}
    stop = threading.Event()

    def work() -> None:
        # The largest first, so that both threads end at about the same time.
        while names and not stop.is_set():
            with suppress(IndexError, OSError):
                name = names.pop()
                hashes.update(_hash_file(folder, name, sizes[name], stop.is_set))

    # While one thread reads or hashes, the other one can run. The second may not be granted by the system.
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return {}
    try:
        work()
        thread.join()
    except BaseException:
        stop.set()
        raise
    return hashes


def _hash_file(folder: int, name: str, size: int, is_stopped: Callable[[], bool]) -> dict[tuple[str, FileState], str]:
    """Return the hash of one file by name and state; nothing if it is left out."""
    file = os.open(name, FILE_FLAGS, dir_fd=folder)
    try:
        before = os.fstat(file)
        if not S_ISREG(before.st_mode) or before.st_size != size or before.st_blocks * 512 < size:
            return {}
        digest, buffer, left = hashlib.sha256(), memoryview(bytearray(_BUFFER_BYTES)), size
        while left and not is_stopped() and (count := os.readv(file, [buffer[:left]])):
            digest.update(buffer[:count])
            left -= count
        is_same = state_of(before) == state_of(os.fstat(file))
    finally:
        os.close(file)
    return {(name, state_of(before)): digest.hexdigest()} if is_same and not left else {}
