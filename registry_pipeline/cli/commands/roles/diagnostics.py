"""`roles diagnostics`: what was found, how often, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, read_diagnostics, read_events


@click.command(
    "diagnostics",
    cls=Command,
    examples=[
        ("roles diagnostics", "every violation that was found, the one seen last first"),
        ("roles diagnostics --events --json", "with the events that told of them"),
    ],
)
@click.option("--events", is_flag=True, help="Tell the events (FR-EVT-003), too.")
@click.option("--limit", type=click.IntRange(min=1), help="No more than this many of each.")
@click.pass_obj
def command(reporter: Reporter, /, *, events: bool, limit: int | None) -> int:
    """Tell what checks of the role pack have found.

    Every violation is kept once, in a DuckDB file beside the run folders, and counted each time that it is found
    again. The file is a memory and no evidence: it may be moved away at any time. Exits 6 while another process
    writes it, 7 where it cannot be read.
    """
    store = find_repository(reporter.settings.repo).state_root / STORE_NAME
    found = read_diagnostics(store)[:limit]
    told = read_events(store)[:limit] if events else []
    document = {"diagnostics": found, "events": told, "count": len(found), "findings": []}
    reporter.answer(document, (), lambda page: _tell(page, found, told, events=events))
    return 0


def _tell(page: Page, found: Sequence[dict[str, Any]], told: Sequence[dict[str, Any]], *, events: bool) -> None:
    if not found:
        page.line("nothing was found yet")
        return
    columns = ("last seen", "count", "severity", "status", "code", "message")
    rows = [
        (row["last_seen"], str(row["count"]), row["severity"], row["status"], row["code"], row["message"])
        for row in found
    ]
    page.table([Column(name, right=name == "count", below=name == "message") for name in columns], rows)
    if events:
        page.line()
        shown = [(e["recorded_utc"], e["event_code"], e["payload"]["diagnostic_id"], e["job_id"] or "-") for e in told]
        page.table([Column(name) for name in ("recorded", "event", "diagnostic", "run")], shown)
