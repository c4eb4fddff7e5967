"""`runs`: query the active run registry."""

from __future__ import annotations

from datetime import time
from typing import Any, Final

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.param_types import Moment
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.wording import plural
from registry_pipeline.pipeline.runs import ORDERS, STATES, RunQuery, RunQueryResult, list_states
from registry_pipeline.pipeline.status import read_runs

_SEAL_STATES: Final = frozenset(STATES[:3])


@click.command(
    "runs",
    cls=Command,
    examples=[
        ("runs", "the newest runs"),
        ("runs --operation OP-A01 --since 2026-02-01 --until 2026-02-28", "the runs of one operation in February"),
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

    Verifies and reads the registry, not the folders: `build run_registry` lists them again. An option that is given
    several times matches any of its values. `sealed`, `partial` and `unsealed` say which seal files a folder contains,
    `legacy` that it names no operation, `warned` that its record has warnings. Exits 7 where no registry is active.
    """
    sets = {name: frozenset(options[name]) for name in ("operations", "options", "run_roots", "states")}
    query = RunQuery(**sets, since=options["since"], until=options["until"])
    if query.since is not None and query.until is not None and query.until < query.since:
        raise click.UsageError("--until is before --since")
    result = read_runs(find_repository(reporter.settings.repo), query, options["order"], options["limit"])
    reporter.print_result(result.to_json(), (), lambda page: _print_result(page, result))
    return 0


def _print_result(page: Page, result: RunQueryResult) -> None:
    columns = [*map(Column, ("created", "operation", "option", "seal")), Column("warnings", right=True)]
    if result.records:
        page.table([*columns, Column("run", below=True)], map(_row, result.records))
    for line in result.unknown:
        page.line(line)
    more = result.matched - len(result.records)
    parts = [
        f"{plural(result.matched, 'run')} of {result.source.run_id}",
        *([f"{more} more with --limit 0"] if more else []),
        *([f"{result.undated} without a time left out"] if result.undated else []),
    ]
    page.line("; ".join(parts), style="dim")


def _row(record: Any) -> list[str]:
    seal = next(state for state in list_states(record) if state in _SEAL_STATES)
    values = (record["created_utc"], record["operation_id"], record["option"], seal, len(record["warnings"]) or "")
    return [*("-" if value is None else str(value) for value in values), f"{record['run_root']}/{record['run_id']}"]
