"""`registries`: list the registry catalog."""

from __future__ import annotations

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.pipeline.registries import RegistryRow, list_registry_rows
from registry_pipeline.registries.catalog import REGISTRIES


@click.command(
    "registries",
    cls=Command,
    examples=[
        ("registries", "every registry, what it is built from, and whether it can be active"),
        ("registries --json", "the same as a document, with schemas and reasons"),
    ],
)
@click.pass_obj
def command(reporter: Reporter) -> int:
    """List the registries.

    Shows what each one is, what it depends on, and why some can never be active.
    """
    rows = list_registry_rows(REGISTRIES.values())
    reporter.print_result({"registries": [row.to_json() for row in rows]}, (), lambda page: _print_rows(page, rows))
    return 0


def _print_rows(page: Page, rows: tuple[RegistryRow, ...]) -> None:
    columns = [Column("registry"), Column("kind"), Column("pointer"), Column("artifact"), Column("", below=True)]
    page.table(columns, ([r.registry_id, r.kind, r.pointer, r.artifact, r.note] for r in rows))
