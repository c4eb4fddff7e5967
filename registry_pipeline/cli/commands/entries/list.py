"""`entries list`: list the entries of the registries."""

from __future__ import annotations

import click

from registry_pipeline.cli.entry_output import print_recovery, recovery_to_json
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.entries.change_plan import find_type
from registry_pipeline.registries.entries.service import read_entries
from registry_pipeline.registries.entries.types import FAMILIES


@click.command(
    "list",
    cls=Command,
    examples=[
        ("entries list", "list every entry with its file and status"),
        ("entries list --type abilities --json", "the entries of a family, with their values"),
    ],
)
@click.option("--type", "name", metavar="TYPE", help="Only entries of a type or a family.")
@click.pass_obj
def command(reporter: Reporter, name: str | None) -> int:
    """List registry entries.

    Shows the type, key, status, location and description of each entry; as JSON with all values. `entries check`
    reports problems.
    """
    library, recovery = read_entries(find_repository(reporter.settings.repo))
    if name is not None and name not in FAMILIES:
        find_type(library, name)
    order = {type_name: number for number, type_name in enumerate(library.schemas.types)}
    entries = [entry for entry in library.entries if name in (None, entry.type.name, entry.type.family)]
    entries.sort(key=lambda entry: (order[entry.type.name], entry.key, entry.path))
    records = [
        {
            "type": entry.type.name,
            "key": entry.key,
            "path": entry.path,
            "location": entry.location(),
            "value": dict(entry.value),
        }
        for entry in entries
    ]

    def print_text(page: Page) -> None:
        print_recovery(page, recovery)
        if not entries:
            page.line("there are no entries; `registry-pipeline entries add` writes the first")
            return
        columns = [Column("type"), Column("key"), Column("status"), Column("location"), Column("", below=True)]
        rows = (
            [
                entry.type.name,
                entry.key,
                str(entry.value.get("status", "")),
                f"{entry.path}:{entry.location()}",
                str(entry.value.get("description", "")),
            ]
            for entry in entries
        )
        page.table(columns, rows)

    document = {"records": records, "count": len(records), "settled": recovery_to_json(recovery)}
    reporter.print_result(document, (), print_text)
    return 0
