"""Progress bars: drawn on stderr if it is a terminal, removed when the work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.findings.display import printable


class Progress:
    """Progress that is not drawn."""

    def step(self, text: str) -> None:
        """Start a step named `text`."""

    def done(self, count: int, of: int | None = None) -> None:
        """Set how many items of the step are done, and the total if it is known."""


@contextmanager
def progress(reporter: Reporter, what: str, total: int | None = None) -> Iterator[Progress]:
    """Draw progress while the block runs, if stderr is a terminal."""
    if not reporter.shows_progress or total == 0:
        yield Progress()
        return
    from rich import progress as rich_progress  # noqa: PLC0415 - only for a terminal
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich_progress.SpinnerColumn(),
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
    )
    console = Console(stderr=True, color_system="auto" if reporter.settings.color else None)
    with rich_progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(what), total=total)

        class _DrawnProgress(Progress):
            def step(self, text: str) -> None:
                bar.update(task, description=printable(text), completed=0)

            def done(self, count: int, of: int | None = None) -> None:
                bar.update(task, completed=count, total=total if of is None else of)

        yield _DrawnProgress()
