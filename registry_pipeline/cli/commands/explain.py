"""`explain` and `roles rules`: the table of codes."""

from __future__ import annotations

from typing import Final

import click

from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter, format_template
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import CODES, rows_of_family
from registry_pipeline.findings.finding import CodeRow, did_you_mean

_SPECIFICATION: Final = "docs/reference/specification.md"
_MEMBERS: Final = ("code", "severity", "clause", "message", "hint", "prefix")


@command(
    "explain",
    ("explain HASH_MISMATCH", "what is wrong, and what to do"),
    ("explain --json", "the table of all codes"),
)
@click.argument("code", required=False)
def explain_command(reporter: Reporter, code: str | None) -> int:
    """Explain the CODE of a finding, or list every code.

    Prints the severity, the message, the heading of the specification that describes the rule, and what to do.
    """
    rows = list(CODES.values()) if code is None else [_find_row(code)]
    document = {"codes": [{name: getattr(row, name) for name in _MEMBERS} for row in rows]}
    reporter.print_result(document, (), _print_table if code is None else lambda page: _print_row(page, rows[0]))
    return 0


def _find_row(code: str) -> CodeRow:
    """Return the row of a code in upper or lower case; raise NotFoundError with a similar code if it is unknown."""
    row = CODES.get(code.upper())
    if row is None:
        suggestion = did_you_mean(code.upper(), CODES)
        question = f"did you mean {suggestion}? " if suggestion else ""
        raise NotFoundError(f"there is no code {code}", f"{question}`registry-pipeline explain` lists all codes")
    return row


def _print_table(page: Page) -> None:
    columns = [Column("code"), Column("severity"), Column("clause"), Column("message", below=True)]
    rows = CODES.values()
    page.table(columns, ([row.code, row.severity.value, row.clause, format_template(row.message)] for row in rows))


def _print_row(page: Page, row: CodeRow) -> None:
    page.line(f"{row.code} ({row.severity.value})", style="bold")
    page.line(f"  message    {format_template(row.message)}")
    page.line(f"  hint       {format_template(row.hint)}")
    page.line(f"  reference  {_SPECIFICATION}, heading {row.clause}")
    page.line(f"  shown as   {row.prefix}: {row.code} …")


@command("rules", ("roles rules", "every code, its severity and its message"))
def roles_rules_command(reporter: Reporter, /) -> int:
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
