"""`runs`: ask the run registry that is in force."""

from __future__ import annotations

from datetime import time
from typing import Any, Final

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.param_types import Moment
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.pipeline.runs import ORDERS, STATES, RunQuery, RunQueryResult, states_of
from registry_pipeline.pipeline.status import read_runs

_SEALS: Final = frozenset(STATES[:3])


@click.command(
    "runs",
    cls=Command,
    examples=[
        ("runs", "the newest runs"),
        ("runs --operation OP-A01 --since 2026-02-01 --until 2026-02-28", "what one operation left in February"),
        ("runs --state legacy --state warned --limit 0 --json", "all runs that need a closer look"),
    ],
)
@click.option("--operation", "operations", multiple=True, metavar="ID", help="Runs of this operation.")
@click.option("--option", "options", multiple=True, metavar="OPTION", help="Runs that state this option.")
@click.option("--root", "run_roots", multiple=True, metavar="DIR", help="Runs under this run root.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Runs in this state.")
@click.option("--since", type=Moment(time.min), metavar="TIME", help="Not before this day (UTC) or instant.")
@click.option("--until", type=Moment(time.max), metavar="TIME", help="Not after this day (UTC) or instant.")
@click.option("--order", type=click.Choice(ORDERS), default="newest", show_default=True, help="Which come first.")
@click.option("-n", "--limit", type=click.IntRange(min=0), default=30, show_default=True, help="How many; 0 is all.")
@click.pass_obj
def command(reporter: Reporter, /, **options: Any) -> int:
    """List runs from the active run registry.

    The registry is verified and then asked, not the folders: `build run_registry` lists anew. An option that is given
    several times holds for any of its values. `sealed`, `partial` and `unsealed` tell which seal files stand in a
    folder, `legacy` that it names no operation, `warned` that its line has warnings. Exits 7 where no registry is
    active.
    """
    words = ("operations", "options", "run_roots", "states")
    asked = RunQuery(
        **{word: frozenset(options[word]) for word in words}, since=options["since"], until=options["until"]
    )
    if asked.since is not None and asked.until is not None and asked.until < asked.since:
        raise click.UsageError("--until lies before --since")
    answer = read_runs(find_repository(reporter.settings.repo), asked, options["order"], options["limit"])
    reporter.answer(answer.to_json(), (), lambda page: _tell(page, answer))
    return 0


def _tell(page: Page, answer: RunQueryResult) -> None:
    columns = [*map(Column, ("created", "operation", "option", "seal")), Column("warnings", right=True)]
    if answer.records:
        page.table([*columns, Column("run", below=True)], map(_row, answer.records))
    for line in answer.unknown:
        page.line(line)
    left = answer.matched - len(answer.records)
    told = [
        f"{answer.matched} run{'' if answer.matched == 1 else 's'} of {answer.source.run_id}",
        *([f"{left} more with --limit 0"] if left else []),
        *([f"{answer.undated} without a time left out"] if answer.undated else []),
    ]
    page.line("; ".join(told), style="dim")


def _row(record: Any) -> list[str]:
    seal = next(state for state in states_of(record) if state in _SEALS)
    told = (record["created_utc"], record["operation_id"], record["option"], seal, len(record["warnings"]) or "")
    return [*("-" if value is None else str(value) for value in told), f"{record['run_root']}/{record['run_id']}"]
