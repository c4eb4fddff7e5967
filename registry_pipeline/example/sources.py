"""What the example copies from its folder `data`: its tables, the files of its commits, and its thirty operations."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from registry_pipeline.values import value_type

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


CODEX: Final = ".codex/RUNS"
REPORTS: Final = "reports/runs"


@value_type
class ExampleOption:
    """A group of operations, and how many days ago the team took it up."""

    title: str
    since_days: int


@value_type
class ExampleOperation:
    """One operation of the team.

    Attributes:
        level: its coverage level, None if the coverage matrix has no row.
        every_days: the time between two runs.
        last_hours: the age of the latest run, None if no run names the operation.
        last_dirty: whether the latest run had a dirty working tree.
        earlier_root: the run root that it used more than sixty days ago, if another one.
    """

    operation_id: str
    name: str
    job: str
    purpose: str
    every_days: int
    level: str | None = None
    last_hours: int | None = None
    last_dirty: bool = False
    earlier_root: str | None = None

    @property
    def option(self) -> str:
        """The option by which the catalog groups it."""
        return self.operation_id.removeprefix("OP-").rstrip("0123456789")

    @property
    def executable(self) -> str:
        """The bound executable."""
        return f"jobs/{self.job}.py"

    @property
    def run_root(self) -> str:
        """The run root that it uses today."""
        return REPORTS if self.option in ("D", "QA") else CODEX


_TABLE: Final = read_table("operations.toml")
OPTIONS: Final = {name: ExampleOption(**row) for name, row in _TABLE["options"].items()}
OPERATIONS: Final = tuple(ExampleOperation(**row) for row in _TABLE["operations"])
