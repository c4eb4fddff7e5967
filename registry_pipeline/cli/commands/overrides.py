"""`overrides list`, and the group `overrides`; its other commands are in `logs`."""

from __future__ import annotations

import click

from registry_pipeline.cli.commands.logs import format_options, print_records
from registry_pipeline.cli.group import Command, CommandGroup
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.run_index.log_file import overrides_log
from registry_pipeline.registries.run_index.overrides import index_overrides
from registry_pipeline.registries.run_index.record import OVERRIDE_TYPES, OVERRIDE_UPDATE
from registry_pipeline.registries.run_index.scan import read_log


@click.command(
    "list",
    cls=Command,
    examples=[
        ("overrides list", "every override and its status"),
        ("overrides list --status voided --json", "those that were withdrawn"),
    ],
)
@click.option("--run", metavar="RUN", help="Overrides of this run.")
@click.option("--type", "kind", type=click.Choice(list(OVERRIDE_TYPES)), help="Overrides of this type.")
@click.option("--status", type=click.Choice(OVERRIDE_UPDATE.fields["status"].values), help="Overrides in this status.")
@format_options
@click.pass_obj
def list_command(reporter: Reporter, run: str | None, kind: str | None, status: str | None) -> int:
    """List the overrides.

    In the order of the log, each with the status of its last update, its time and its author; `active` if there is no
    update. A voided override allows nothing.
    """
    log = overrides_log(find_repository(reporter.settings.repo))
    content = read_log(log)
    filters = {"run_id": run, "override_type": kind, "status": status}
    records = [
        record
        for override in index_overrides(log.display_path, content.entries).by_id.values()
        if all(value in (None, (record := override.to_json())[name]) for name, value in filters.items())
    ]

    def print_text(page: Page) -> None:
        names = ("created_utc", "override_type", "status", "approved_by", "run_id", "override_id")
        titles = ("created", "type", "status", "approved by", "run")
        if records:
            rows = [[str(record[name]) for name in names] for record in records]
            page.table([*map(Column, titles), Column("override", below=True)], rows)
        page.line(f"{plural(len(records), 'override')} of {log.display_path}", style="dim")

    print_records(reporter, records, print_text, findings=content.findings)
    return 0


overrides_group = CommandGroup(
    name="overrides",
    help=(
        "Append to the overrides log, list it, check it, merge it.\n\n"
        "An override allows one run to break one policy, until an update voids it."
    ),
    members={
        "append": ("logs:overrides_append", "Append overrides, or updates of them, to the overrides log."),
        "list": ("overrides:list_command", "List the overrides."),
        "check": ("logs:overrides_check", "Check the overrides log."),
        "merge": ("logs:overrides_merge", "Merge the overrides logs of two machines."),
    },
)
