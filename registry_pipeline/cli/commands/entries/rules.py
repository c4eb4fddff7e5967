"""`entries rules`: the table of rules between the registries."""

from __future__ import annotations

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.registries.entries.rules import rules


@click.command(
    "rules",
    cls=Command,
    examples=[
        ("entries rules", "when A changes, check B: code by code"),
        ("entries rules --json", "the same as a document"),
    ],
)
@click.pass_obj
def command(reporter: Reporter) -> int:
    """Print the rules between the registries.

    For each code: what changes, what is checked then, and whether a violation stops the write, is a warning, or is
    only recorded. `explain CODE` tells what to do about one. The repository's registry_coordination.md is made from
    the same table.
    """
    told = rules()
    records = [
        {
            "code": each.code,
            "when": each.when,
            "check": each.check,
            "violation": each.violation,
            "severity": each.severity.value,
        }
        for each in told
    ]

    def tell(page: Page) -> None:
        columns = [Column("code"), Column("when this changes"), Column("check that"), Column("a violation is")]
        page.table(columns, ([each.code, each.when, each.check, each.violation] for each in told))

    reporter.answer({"rules": records}, (), tell)
    return 0
