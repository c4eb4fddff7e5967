"""`roles rules`: list the rules of a role pack."""

from __future__ import annotations

import click

from registry_pipeline.cli.format import format_template
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.findings.codes import rows_of_family


@click.command("rules", cls=Command, examples=[("roles rules", "every code, its severity and its message")])
@click.pass_obj
def command(reporter: Reporter, /) -> int:
    """List the rules of the role pack.

    An error that the baseline has too is reported as a warning. `explain CODE` describes one rule in full.
    """
    rows = rows_of_family("roles")
    keys = ("code", "severity", "clause", "message", "hint")
    document = {"rules": [{key: str(getattr(row, key)) for key in keys} for row in rows], "findings": []}

    def print_rules(page: Page) -> None:
        columns = [Column("code"), Column("severity"), Column("what is wrong", below=True)]
        page.table(columns, [(row.code, row.severity.value, format_template(row.message)) for row in rows])

    reporter.print_result(document, (), print_rules)
    return 0
