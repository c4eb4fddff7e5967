"""Telling whether a build of the command line is under way: only a set of folders that is whole may be told of."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from registry_pipeline.config import Governed

_MODE = 0o644


@contextmanager
def build_under_way(governed: Governed) -> Iterator[None]:
    """Let others see that folders are being sealed here; builds do not exclude each other.

    A lock of the operating system: it ends with the process, however that ends.
    """
    if not governed.publish_root.is_dir():  # nothing can be sealed here, and nothing is left behind
        yield
        return
    with _lock_file(governed) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


def is_build_under_way(governed: Governed) -> bool:
    """Tell whether some process on this machine is building in this repository now."""
    if not governed.publish_root.is_dir():
        return False
    with _lock_file(governed) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def _lock_file(governed: Governed) -> Iterator[int]:
    place = governed.state_root / "cache" / "building.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
