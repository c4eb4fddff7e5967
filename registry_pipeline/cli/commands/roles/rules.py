"""`roles rules`: what a role pack is judged by."""

from __future__ import annotations

import click

from registry_pipeline.cli.format import template_words
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.findings.codes import rows_of_family


@click.command("rules", cls=Command, examples=[("roles rules", "every code, what it weighs and what to do")])
@click.pass_obj
def command(reporter: Reporter, /) -> int:
    """Tell every rule of the role pack.

    A rule that the baseline breaks already weighs less: what the change leaves alone is a warning. `explain CODE`
    tells one of them whole.
    """
    rows = rows_of_family("roles")
    keys = ("code", "severity", "clause", "message", "hint")
    document = {"rules": [{key: str(getattr(row, key)) for key in keys} for row in rows], "findings": []}

    def tell(page: Page) -> None:
        columns = [Column("code"), Column("severity"), Column("what is wrong", below=True)]
        page.table(columns, [(row.code, row.severity.value, template_words(row.message)) for row in rows])

    reporter.answer(document, (), tell)
    return 0
