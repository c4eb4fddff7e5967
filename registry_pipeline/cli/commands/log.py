"""`log`: list what was built and activated, by whom and why."""

from __future__ import annotations

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.pipeline.log import LogEntry, entry_to_json
from registry_pipeline.pipeline.status import read_log
from registry_pipeline.pointers.moves import ActivationEntry


@click.command(
    "log",
    cls=Command,
    examples=[
        ("log", "the last activations and builds of all registries"),
        ("log run_registry --limit 0", "all of one registry"),
    ],
)
@click.argument("registry_id", metavar="[REGISTRY]", required=False)
@click.option("-n", "--limit", type=click.IntRange(min=0), default=30, show_default=True, help="How many; 0 is all.")
@click.pass_obj
def command(reporter: Reporter, registry_id: str | None, limit: int) -> int:
    """List activations and builds, the newest first.

    Shows of each activation who, when, why, and which pointers moved. Activation records are verified; builds are
    not, they are listed by the names of their folders with the roots that these claim.
    """
    entries = read_log(find_repository(reporter.settings.repo), registry_id, limit)
    records = [entry_to_json(entry) for entry in entries]
    reporter.print_result({"records": records, "count": len(records)}, (), lambda page: _print_entries(page, entries))
    return 0


def _print_entries(page: Page, entries: tuple[LogEntry, ...]) -> None:
    if not entries:
        page.line("nothing was built or activated yet -> registry-pipeline build")
    for entry in entries:
        if isinstance(entry, ActivationEntry):
            record = entry.record
            page.line(f"{entry.created_utc}  {record.action} by {record.actor}: {record.reason}", style="bold")
            for ref in record.runs:
                page.line(f"    {ref.run_id}")
            for move in record.moves:
                page.line(f"    {move.registry_id} -> {'unknown' if move.to_ref is None else move.to_ref.run_id}")
            continue
        page.line(f"{entry.created_utc}  built {entry.run_id}{'' if entry.seal == 'sealed' else f' ({entry.seal})'}")
