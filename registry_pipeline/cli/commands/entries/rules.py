"""`entries rules`: print the table of rules between the registries."""

from __future__ import annotations

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.registries.entries.rules import rules
from registry_pipeline.values import asdict


@click.command(
    "rules",
    cls=Command,
    examples=[("entries rules", "when A changes, check B: by code"), ("entries rules --json", "the same as JSON")],
)
@click.pass_obj
def command(reporter: Reporter) -> int:
    """Print the rules between the registries.

    For each code: what changes, what is checked then, and whether a violation refuses the write, is a warning, or is
    only recorded. `explain CODE` explains a code. The repository's registry_coordination.md is generated from the
    same table.
    """
    rows = rules()

    def print_text(page: Page) -> None:
        columns = [Column("code"), Column("when this changes"), Column("check that"), Column("a violation is")]
        page.table(columns, ([rule.code, rule.when, rule.check, rule.violation] for rule in rows))

    reporter.print_result({"rules": [asdict(rule) for rule in rows]}, (), print_text)
    return 0
