"""Make, damage and remove copies of repositories with sealed runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def copied_repository(source: Path, root: Path) -> Iterator[Path]:
    """Copy a repository to `root`; at the end its sealed folders may be removed again."""
    shutil.copytree(source, root, symlinks=True)
    try:
        yield root
    finally:
        make_removable(root)


def make_removable(root: Path) -> None:
    """Make the sealed folders under a place writable, so that they may be removed again."""
    for folder in [path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()]:
        folder.chmod(0o755)


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
