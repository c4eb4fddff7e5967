"""`roles diagnostics`: list the violations that checks found, how often, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.roles.service import read_records


@click.command(
    "diagnostics",
    cls=Command,
    examples=[
        ("roles diagnostics", "every violation that was found, the last seen first"),
        ("roles diagnostics --events --json", "with the events that reported them"),
    ],
)
@click.option("--events", is_flag=True, help="List the events (FR-EVT-003), too.")
@click.option("--limit", type=click.IntRange(min=1), help="List at most this many of each.")
@click.pass_obj
def command(reporter: Reporter, /, *, events: bool, limit: int | None) -> int:
    """List the violations that checks of the role pack found.

    Every violation is recorded once, in a DuckDB file beside the run folders, and counted each time it is found again.
    The file is not evidence: it may be moved away at any time. Exits 6 while another process writes it, 7 if it cannot
    be read.
    """
    diagnostics, event_rows = read_records(find_repository(reporter.settings.repo), events=events)
    diagnostics, event_rows = diagnostics[:limit], event_rows[:limit]
    document = {"diagnostics": diagnostics, "events": event_rows, "count": len(diagnostics), "findings": []}
    reporter.print_result(document, (), lambda page: _print(page, diagnostics, event_rows if events else None))
    return 0


def _print(page: Page, diagnostics: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]] | None) -> None:
    if not diagnostics:
        page.line("no violation was found yet")
        return
    columns = ("last seen", "count", "severity", "status", "code", "message")
    keys = [column.replace(" ", "_") for column in columns]
    rows = [[str(row[key]) for key in keys] for row in diagnostics]
    page.table([Column(name, right=name == "count", below=name == "message") for name in columns], rows)
    if events is not None:
        page.line()
        event_rows = [
            (event["recorded_utc"], event["event_code"], event["payload"]["diagnostic_id"], event["job_id"] or "-")
            for event in events
        ]
        page.table([Column(name) for name in ("recorded", "event", "diagnostic", "run")], event_rows)
