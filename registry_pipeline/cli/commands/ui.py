"""`ui`: Dagster's webserver and daemon on loopback."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.cli.ui import UiPlan, serve
from registry_pipeline.config import find_repository


@click.command(
    "ui",
    cls=Command,
    examples=[
        ("ui", "the graph of the nearest governed repository"),
        ("-C tides ui --port 3001", "another one's, on another port"),
    ],
)
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="On 127.0.0.1; 0 is any.")
@click.option(
    "--dagster-home", metavar="DIR", type=click.Path(path_type=Path), help="Where Dagster keeps its own state."
)
@click.pass_obj
def command(reporter: Reporter, port: int, dagster_home: Path | None) -> int:
    """Start the pages of Dagster for this repository.

    Its webserver and daemon are started, the address is printed once it answers, and Ctrl-C stops both. They listen
    on 127.0.0.1 only. The daemon runs the activation sensor: a complete set of checked builds is put in force by
    itself. State is kept in `dagster` beside the publish root; none of it is evidence.
    """
    repository = find_repository(reporter.settings.repo)
    plan = UiPlan(repository.root, (dagster_home or repository.dagster_home).resolve(), port)

    def answers(url: str) -> None:
        def tell(page: Page) -> None:
            page.line(f"{url}  (Ctrl-C stops it)", style="bold")

        reporter.answer({"url": url}, (), tell)

    return serve(plan, answers, reporter.note)
