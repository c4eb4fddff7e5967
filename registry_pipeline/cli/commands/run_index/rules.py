"""`run-index rules`: the fields of the records of the two logs, and the rules for them."""

from __future__ import annotations

from typing import Any

import click

from registry_pipeline.cli.format import format_template
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
        ("run-index rules", "every rule with its code and severity, and every field"),
        ("run-index rules --json", "the same for a program"),
    ],
)
@click.pass_obj
def command(reporter: Reporter) -> int:
    """Print the rules of the run index and the overrides log.

    Every code with its severity and its message, then the fields of the three types of record, with the form of the ids
    that `ids` of the repository chooses; outside a repository, that of the `dash` ids.
    """
    try:
        grammar = find_repository(reporter.settings.repo).config.run_index.ids
    except NotFoundError:
        grammar = "dash"
    keys = ("code", "severity", "clause", "message", "hint")
    rules = [{key: str(getattr(row, key)) for key in keys} for row in rows_of_family("run-index")]
    shapes = [_describe_shape(shape, grammar) for shape in (RUN, OVERRIDE, OVERRIDE_UPDATE)]
    document = {"rules": rules, "ids": grammar, "record_types": shapes, "count": len(rules)}
    reporter.print_result(document, (), lambda page: _print_rules(page, rules, shapes))
    return 0


def _describe_shape(shape: Shape, grammar: str) -> dict[str, Any]:
    fields = [
        {"field": name, "required": field.required, "takes": _describe_values(field, grammar)}
        for name, field in shape.fields.items()
    ]
    return {"record_type": shape.record_type, "fields": fields}


def _describe_values(field: Field, grammar: str) -> str:
    if field.form == "enum":
        return " | ".join(field.values)
    if field.form in ("id", "ids"):
        description = GRAMMARS[grammar].forms[field.kind].description
        return description if field.form == "id" else f"a list of {description}"
    return {"utc": "UTC to the minute or second", "fields": "a list of field names"}.get(field.form, "text")


def _print_rules(page: Page, rules: list[dict[str, Any]], shapes: list[dict[str, Any]]) -> None:
    page.table(
        [*map(Column, ("code", "severity")), Column("what", below=True)],
        [[rule["code"], rule["severity"], format_template(rule["message"])] for rule in rules],
    )
    for shape in shapes:
        page.line()
        page.line(shape["record_type"], style="bold")
        rows = [[row["field"], "required" if row["required"] else "-", row["takes"]] for row in shape["fields"]]
        page.table([*map(Column, ("field", "required")), Column("takes", below=True)], rows)


COMMANDS = {"run-index rules": command}
