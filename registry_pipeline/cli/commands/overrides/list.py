"""`overrides list`: every override with the status that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import counted, format_options, print_records
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.log_file import overrides_log
from registry_pipeline.registries.run_index.overrides import index_overrides
from registry_pipeline.registries.run_index.record import OVERRIDE_TYPES, OVERRIDE_UPDATE
from registry_pipeline.registries.run_index.scan import read_whole
from registry_pipeline.registries.run_index.store import as_told


@click.command(
    "list",
    cls=Command,
    examples=[
        ("overrides list", "every override and whether it still allows anything"),
        ("overrides list --status voided --json", "those that were taken back"),
    ],
)
@click.option("--run", metavar="RUN", help="Overrides of this run.")
@click.option("--type", "kind", type=click.Choice(list(OVERRIDE_TYPES)), help="Overrides of this type.")
@click.option("--status", type=click.Choice(OVERRIDE_UPDATE.fields["status"].values), help="Overrides in this status.")
@format_options
@click.pass_obj
def command(
    reporter: Reporter, run: str | None, kind: str | None, status: str | None, form: str | None, output: Path | None
) -> int:
    """List the overrides.

    In the order of the log, each with the status that its last update told, and who told it when; `active` where there
    is no update. An override that was voided allows nothing.
    """
    log = overrides_log(find_repository(reporter.settings.repo))
    whole = read_whole(log)
    told = [as_told(each) for each in index_overrides(log.shown, whole.entries).by_id.values()]
    wanted = {"run_id": run, "override_type": kind, "status": status}
    chosen = [each for each in told if all(value in (None, each[name]) for name, value in wanted.items())]
    print_records(
        reporter,
        chosen,
        form=form,
        output=output,
        findings=whole.findings,
        tell=lambda page: _tell(page, chosen, log.shown),
    )
    return 0


def _tell(page: Page, chosen: list[dict[str, Any]], shown: str) -> None:
    names = ("created_utc", "override_type", "status", "approved_by", "run_id", "override_id")
    titles = ("created", "type", "status", "approved by", "run")
    if chosen:
        rows = [[str(each[name]) for name in names] for each in chosen]
        page.table([*map(Column, titles), Column("override", below=True)], rows)
    page.line(f"{counted(len(chosen), 'override')} of {shown}", style="dim")
