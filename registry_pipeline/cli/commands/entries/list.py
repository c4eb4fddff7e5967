"""`entries list`: what the registries hold."""

from __future__ import annotations

import click

from registry_pipeline.cli.entry_output import print_repairs, settled_to_json
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
        ("entries list", "every entry, its file and its status"),
        ("entries list --type abilities --json", "those of a family, with their values"),
    ],
)
@click.option("--type", "name", metavar="TYPE", help="Of one type, or of one family.")
@click.pass_obj
def command(reporter: Reporter, name: str | None) -> int:
    """List registry entries.

    Type, key, the place in the files, status and description of each; as JSON with all of its values. What is wrong
    with them is told by `entries check`.
    """
    contents, settled = read_entries(find_repository(reporter.settings.repo))
    if name is not None and name not in FAMILIES:
        find_type(contents, name)
    order = {each: place for place, each in enumerate(contents.schemas.types)}
    entries = [each for each in contents.entries if name in (None, each.type.name, each.type.family)]
    entries.sort(key=lambda each: (order[each.type.name], each.key, each.path))
    records = [
        {
            "type": each.type.name,
            "key": each.key,
            "path": each.path,
            "location": each.location(),
            "value": dict(each.value),
        }
        for each in entries
    ]
    document = {"records": records, "count": len(records), "settled": settled_to_json(settled)}

    def tell(page: Page) -> None:
        print_repairs(page, settled)
        if not entries:
            page.line("there are no entries; `registry-pipeline entries add` writes the first")
            return
        columns = [Column("type"), Column("key"), Column("status"), Column("place"), Column("", below=True)]
        rows = (
            [
                each.type.name,
                each.key,
                str(each.value.get("status", "")),
                f"{each.path}:{each.location()}",
                str(each.value.get("description", "")),
            ]
            for each in entries
        )
        page.table(columns, rows)

    reporter.answer(document, (), tell)
    return 0
