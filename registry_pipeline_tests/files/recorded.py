"""Which files and folders were synced to the disk, in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def recorded_syncs(root: Path) -> Iterator[list[str]]:
    """Yield the paths below `root` for which os.fsync is called in the block, by the names that they have then."""
    real, synced = os.fsync, []
    top = root.resolve()

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(top):
            synced.append(path.relative_to(top).as_posix())
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield synced
