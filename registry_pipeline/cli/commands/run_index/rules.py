"""`run-index rules`: what the records of the two logs may state, and what is held against them."""

from __future__ import annotations

from typing import Any

import click

from registry_pipeline.cli.format import template_words
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import rows_of_family
from registry_pipeline.registries.run_index.ids import GRAMMARS
from registry_pipeline.registries.run_index.record import OVERRIDE, OVERRIDE_UPDATE, RUN, Field, Shape


@click.command(
    "rules",
    cls=Command,
    examples=[
        ("run-index rules", "every rule with its code and weight, and every field"),
        ("run-index rules --json", "the same for a program"),
    ],
)
@click.pass_obj
def command(reporter: Reporter) -> int:
    """Print the rules of the run index and the overrides log.

    Every code with its weight and what it says, then the fields of the three types of record, with the form of the ids
    that the repository's `ids` chooses; outside a repository the `dash` ids are shown.
    """
    try:
        grammar = find_repository(reporter.settings.repo).config.run_index.ids
    except NotFoundError:
        grammar = "dash"
    keys = ("code", "severity", "clause", "message", "hint")
    rules = [{key: str(getattr(row, key)) for key in keys} for row in rows_of_family("run-index")]
    shapes = [_shape(shape, grammar) for shape in (RUN, OVERRIDE, OVERRIDE_UPDATE)]
    document = {"rules": rules, "ids": grammar, "record_types": shapes, "count": len(rules)}
    reporter.answer(document, (), lambda page: _tell(page, rules, shapes))
    return 0


def _shape(shape: Shape, grammar: str) -> dict[str, Any]:
    fields = [
        {"field": name, "required": each.required, "takes": _takes(each, grammar)}
        for name, each in shape.fields.items()
    ]
    return {"record_type": shape.record_type, "fields": fields}


def _takes(field: Field, grammar: str) -> str:
    if field.holds == "enum":
        return " | ".join(field.values)
    if field.holds in ("id", "ids"):
        told = GRAMMARS[grammar].forms[field.kind].told
        return told if field.holds == "id" else f"a list of {told}"
    return {"utc": "UTC to the minute or second", "fields": "a list of field names"}.get(field.holds, "text")


def _tell(page: Page, rules: list[dict[str, Any]], shapes: list[dict[str, Any]]) -> None:
    page.table(
        [*map(Column, ("code", "severity")), Column("what", below=True)],
        [[rule["code"], rule["severity"], template_words(rule["message"])] for rule in rules],
    )
    for shape in shapes:
        page.line()
        page.line(shape["record_type"], style="bold")
        rows = [[each["field"], "required" if each["required"] else "-", each["takes"]] for each in shape["fields"]]
        page.table([*map(Column, ("field", "required")), Column("takes", below=True)], rows)
