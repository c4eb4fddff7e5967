"""`ui`: start Dagster's webserver and daemon."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.ui import UiPlan, serve
from registry_pipeline.config import find_repository


@click.command(
    "ui",
    cls=Command,
    examples=[
        ("ui", "the asset graph of the nearest repository"),
        ("-C tides ui --port 3001", "another repository's, on another port"),
    ],
)
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="On 127.0.0.1; 0 is any.")
@click.option("--dagster-home", metavar="DIR", type=click.Path(path_type=Path), help="The folder of Dagster's state.")
@click.pass_obj
def command(reporter: Reporter, port: int, dagster_home: Path | None) -> int:
    """Start Dagster's web UI for this repository.

    Starts the webserver and the daemon, prints the address once it can be opened, and stops both on Ctrl-C. They
    listen on 127.0.0.1 only. The daemon runs the activation sensor: a complete set of builds that passed their checks
    is activated automatically. State is kept in `dagster` beside the publish root; none of it is evidence.
    """
    repository = find_repository(reporter.settings.repo)
    plan = UiPlan(repository.root, (dagster_home or repository.dagster_home).resolve(), port)

    def print_address(url: str) -> None:
        reporter.print_result({"url": url}, (), lambda page: page.line(f"{url}  (Ctrl-C stops it)", style="bold"))

    return serve(plan, print_address, reporter.note)
