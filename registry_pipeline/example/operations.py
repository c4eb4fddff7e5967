"""The thirty operations of the example team, and how often each of them ran: `data/operations.toml`."""

from __future__ import annotations

from typing import Final

from registry_pipeline.example.data_files import read_table
from registry_pipeline.values import value_type

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
