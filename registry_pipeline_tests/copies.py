"""Make, damage and remove copies of repositories with sealed runs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with modes, times and links, in half the time of `shutil.copytree` alone."""
    shutil.copytree(source, target, symlinks=True, copy_function=_copy_file)


def _copy_file(source: os.DirEntry[str] | str, target: str) -> None:
    # The tests copy some 300 files three thousand times. `shutil.copy2` also copies flags and extended attributes.
    read = os.open(source, os.O_RDONLY)
    state = os.fstat(read)
    write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        remaining = state.st_size
        while remaining:
            remaining -= os.sendfile(write, read, None, remaining)
        os.fchmod(write, stat.S_IMODE(state.st_mode))
        os.utime(write, ns=(state.st_atime_ns, state.st_mtime_ns))
    finally:
        os.close(write)
        os.close(read)


@contextmanager
def copied_repository(source: Path, root: Path) -> Iterator[Path]:
    """Copy a repository to `root`; at the end its sealed folders may be removed again."""
    copy_tree(source, root)
    try:
        yield root
    finally:
        make_removable(root)


def make_removable(root: Path) -> None:
    """Make the sealed folders under a place writable, so that they may be removed again."""
    for folder, names, _ in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o755)


def flip_byte(path: Path) -> None:
    """Flip one byte in the middle of a sealed file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def add_run_folder(folder: Path) -> None:
    """Make the run folder of some other tool, so that the next build has something to seal."""
    folder.mkdir()
    (folder / "run.json").write_text('{"operation_id": "OP-Z99"}\n', encoding="utf-8")
