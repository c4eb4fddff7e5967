"""`run-index show`: the current record of a run, or all of them with what each changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import format_options, print_records, scan_option
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.query import QueryResult, find_run
from registry_pipeline.registries.run_index.versions import field_changes


@click.command(
    "show",
    cls=Command,
    examples=[
        ("run-index show RUN-20260105-0900-AAAA", "the current record"),
        ("run-index show RUN-20260105-0900-AAAA --history", "all its records, and what each of them changed"),
    ],
)
@click.argument("run", metavar="RUN")
@click.option("--history", is_flag=True, help="Every record of the run, oldest first, with the fields that changed.")
@scan_option
@format_options
@click.pass_obj
def command(reporter: Reporter, run: str, history: bool, no_index: bool, form: str | None, output: Path | None) -> int:
    """Show what the index says of a run.

    The current record is the one with the greatest last_updated_utc, or created_utc where it has none, then machine_id,
    then place in the log. Exits 7 where the index has no such run.
    """
    repository = find_repository(reporter.settings.repo)
    log = run_index_log(repository)
    found = find_run(log, run, use_index=not no_index)
    if not found.entries:
        raise NotFoundError(f"{log.shown} has no run {run}", "see `registry-pipeline run-index list`")
    shown = found.records if history else found.records[-1:]
    changes = _changes(found) if history else []
    print_records(
        reporter,
        shown,
        form=form,
        output=output,
        more={"history": changes},
        findings=found.findings,
        tell=lambda page: _tell(page, found, history=history),
    )
    return 0


def _changes(found: QueryResult) -> list[dict[str, Any]]:
    told = []
    for number, entry in enumerate(found.entries):
        before = found.entries[number - 1].record if number else {}
        changes = [
            {"field": name, "before": old, "after": new} for name, old, new in field_changes(before, entry.record)
        ]
        told.append({"line": entry.number, "changes": changes if number else []})
    return told


def _tell(page: Page, found: QueryResult, *, history: bool) -> None:
    first = found.entries[0] if history else found.entries[-1]
    page.line(f"{first.record['run_id']}  line {first.number}", style="bold")
    width = max(map(len, first.record))
    for name, held in first.record.items():
        if name not in ("record_type", "run_id"):
            page.line(f"  {name:<{width}}  {_text(held)}")
    for before, entry in zip(found.entries, found.entries[1:], strict=False) if history else ():
        page.line(f"line {entry.number}", style="bold")
        for name, old, new in field_changes(before.record, entry.record):
            sign = "+" if old is None else "-" if new is None else "~"
            told = f"{_text(old)} -> {_text(new)}" if sign == "~" else _text(new if old is None else old)
            page.line(f"  {sign} {name}  {told}")
    page.findings(found.findings)


def _text(held: object) -> str:
    return ", ".join(map(str, held)) if isinstance(held, list) else str(held)
