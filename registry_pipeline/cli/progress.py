"""Progress on a terminal: drawn on stderr, gone when the work is done, absent in pipes (SPEC 7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.findings.display import printable


class Shown:
    """What the work calls: `step` names what is being done, `done` tells how far it is."""

    def step(self, text: str) -> None:
        """Say what is being done now."""

    def done(self, count: int, of: int | None = None) -> None:
        """Say how many are done, and of how many where that is known."""


@contextmanager
def progress(reporter: Reporter, what: str, total: int | None = None) -> Iterator[Shown]:
    """Draw progress while the block runs, where somebody is watching."""
    if not reporter.draws_progress or total == 0:
        yield Shown()
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True, color_system="auto" if reporter.settings.color else None)
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task(printable(what), total=total)

        class _Drawn(Shown):
            def step(self, text: str) -> None:
                drawn.update(task, description=printable(text), completed=0)

            def done(self, count: int, of: int | None = None) -> None:
                drawn.update(task, completed=count, total=total if of is None else of)

        yield _Drawn()
