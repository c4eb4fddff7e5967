"""The `explain` command: print rows of the table of finding codes."""

from __future__ import annotations

import difflib
from typing import Final

import click

from registry_pipeline.cli.format import template_words
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import CodeRow

SPECIFICATION: Final = "docs/reference/specification.md"


@click.command(
    "explain",
    cls=Command,
    examples=[
        ("explain HASH_MISMATCH", "what is wrong, and what to do"),
        ("explain --json", "the table of all codes"),
    ],
)
@click.argument("code", required=False)
@click.pass_obj
def command(reporter: Reporter, code: str | None) -> int:
    """Explain the CODE of a finding, or list every code.

    Prints the severity, the message, the heading of the specification that describes the rule, and what to do.
    """
    rows = list(CODES.values()) if code is None else [_row(code)]
    reporter.answer({"codes": [_to_json(row) for row in rows]}, (), lambda page: _print_text(page, rows, code))
    return 0


def _row(code: str) -> CodeRow:
    row = CODES.get(code.upper())
    if row is None:
        near = difflib.get_close_matches(code.upper(), CODES, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise NotFoundError(f"there is no code {code}", f"{meant}`registry-pipeline explain` lists all codes")
    return row


def _to_json(row: CodeRow) -> dict[str, str]:
    return {
        "code": row.code,
        "severity": row.severity.value,
        "clause": row.clause,
        "message": row.message,
        "hint": row.hint,
        "prefix": row.prefix,
    }


def _print_text(page: Page, rows: list[CodeRow], code: str | None) -> None:
    if code is None:
        columns = [Column("code"), Column("severity"), Column("clause"), Column("message", below=True)]
        page.table(columns, ([row.code, row.severity.value, row.clause, template_words(row.message)] for row in rows))
        return
    row = rows[0]
    page.line(f"{row.code} ({row.severity.value})", style="bold")
    page.line(f"  message    {template_words(row.message)}")
    page.line(f"  hint       {template_words(row.hint)}")
    page.line(f"  reference  {SPECIFICATION}, heading {row.clause}")
    page.line(f"  shown as   {row.prefix}: {row.code} …")
