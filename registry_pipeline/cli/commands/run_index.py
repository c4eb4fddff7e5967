"""`run-index start`, `finish` and `rules`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.commands.logs import machine_option, print_append_result
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter, format_template
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import rows_of_family
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.record import (
    CORRECTABLE,
    GRAMMARS,
    MAKERS,
    OVERRIDE,
    OVERRIDE_UPDATE,
    RUN,
    Field,
    Shape,
)
from registry_pipeline.registries.run_index.service import finish_run, start_run

_RUN_LOG = click.argument("run_log", metavar="RUNLOG", type=click.Path(dir_okay=False, path_type=Path))


@command(
    "start",
    (
        "run-index start runlogs/night.md --artist ART-heron --genre GEN-ambient --machine C1",
        "create a run id and write a run log to fill in",
    ),
)
@_RUN_LOG
@click.option("--artist", required=True, metavar="ID", help="The artist of the lane.")
@click.option("--genre", required=True, metavar="ID", help="The genre of the lane.")
@click.option("--packet", metavar="ID", help="The scripture packet, if it is known.")
@click.option("--by", "maker", type=click.Choice(MAKERS), default="human", show_default=True, help="Who runs it.")
@machine_option
def start_command(
    reporter: Reporter, run_log: Path, artist: str, genre: str, packet: str | None, maker: str, machine: str | None
) -> int:
    """Begin a run: create its id and write its run log.

    The run log is Markdown that starts with the fields of the record. People and programs fill them in while the run
    is in progress, and `run-index finish` appends the final record from it. The run index itself is not changed yet. An
    existing file is never overwritten (exit 5).
    """
    if machine is None:
        raise click.UsageError("name the machine on which this runs: --machine C1, C2 or other")
    now = reporter.settings.now
    fields = {"created_utc": utc_text(now), "created_by": maker, "machine_id": machine}
    fields |= {"artist_id": artist, "genre_id": genre}
    if packet is not None:
        fields["scripture_packet_id"] = packet
    repository = find_repository(reporter.settings.repo)
    run_id = start_run(repository, run_log, fields, now=now, choose=secrets.choice)
    document = {"run_id": run_id, "run_log": str(run_log.absolute()), "changed_files": [str(run_log)]}
    reporter.print_result(document, (), lambda page: page.line(f"{run_id}  {run_log}"))
    reporter.note(f"next: fill in {run_log}, then registry-pipeline run-index finish {run_log}")
    return 0


@command(
    "finish",
    (
        "run-index finish docs/runlogs/RUN-20260105-0900-AAAA.md --corrects run_log_filepath_abs",
        "append the final record from a run log that was moved",
    ),
)
@_RUN_LOG
@click.option(
    "--corrects",
    multiple=True,
    type=click.Choice(CORRECTABLE),
    metavar="FIELD",
    help="A field that differs from the previous record; may be given several times.",
)
@machine_option
def finish_command(reporter: Reporter, run_log: Path, corrects: tuple[str, ...], machine: str | None) -> int:
    """End a run: append its final record from its run log.

    The fields between the two `---` lines of the run log become the record; run_log_filepath_abs is the path of the
    file. If the index has the run already, the record adds to it, with last_updated_utc; --corrects must name what it
    changes. A run log that says nothing new changes nothing. Exits 5 if the record is refused.
    """
    repository = find_repository(reporter.settings.repo)
    result = finish_run(repository, run_log, corrects=corrects, machine_id=machine, now=reporter.settings.now)
    return print_append_result(reporter, result, run_index_log(repository))


@command(
    "rules",
    ("run-index rules", "every rule with its code and severity, and every field"),
    ("run-index rules --json", "the same for a program"),
)
def rules_command(reporter: Reporter) -> int:
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
    shapes = [_shape_to_json(shape, grammar) for shape in (RUN, OVERRIDE, OVERRIDE_UPDATE)]
    document = {"rules": rules, "ids": grammar, "record_types": shapes, "count": len(rules)}
    reporter.print_result(document, (), lambda page: _print_rules(page, rules, shapes))
    return 0


def _shape_to_json(shape: Shape, grammar: str) -> dict[str, Any]:
    fields = [
        {"field": name, "required": field.required, "takes": _describe_accepted_values(field, grammar)}
        for name, field in shape.fields.items()
    ]
    return {"record_type": shape.record_type, "fields": fields}


def _describe_accepted_values(field: Field, grammar: str) -> str:
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
