"""The data files of the example: its tables, and the files that its commits add."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

_DATA: Final = Path(__file__).resolve().parent / "data"


def read_data_file(name: str) -> str:
    """Return the text of a data file."""
    return (_DATA / name).read_text(encoding="utf-8")


def read_table(name: str) -> dict[str, Any]:
    """Return the content of a TOML data file."""
    return tomllib.loads(read_data_file(name))


def read_commit_files(commit: str) -> dict[str, str]:
    """Return the text of every file in the folder of a commit, by its path in the example; empty without a folder."""
    folder = _DATA / "commits" / commit
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}
