"""`run-index latest`: the newest success of a lane."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import format_options, lane_options, print_records, print_runs, scan_option
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.query import QueryResult, find_latest
from registry_pipeline.registries.run_index.store import read_rule_context


@click.command(
    "latest",
    cls=Command,
    examples=[
        ("run-index latest --artist ART-heron --genre GEN-ambient", "the newest success of a lane"),
        ("run-index latest --json", "the newest of all"),
    ],
)
@lane_options
@scan_option
@format_options
@click.pass_obj
def command(
    reporter: Reporter, artist: str | None, genre: str | None, no_index: bool, form: str | None, output: Path | None
) -> int:
    """Find the latest successful run.

    The newest current record with qa_gate2 PASS whose run breaks no rule; a run that failed a uniqueness check counts
    only while an override allows it. Exits 7 where there is none.
    """
    repository = find_repository(reporter.settings.repo)
    log = run_index_log(repository)
    around, _ = read_rule_context(repository, machine_id=None, now=None)
    found = find_latest(log, around, artist_id=artist, genre_id=genre, use_index=not no_index)
    if not found.entries:
        lane = " ".join(filter(None, (artist, genre)))
        raise NotFoundError(
            f"{log.shown} has no successful run{f' of {lane}' if lane else ''}",
            "see `registry-pipeline run-index list` and `registry-pipeline run-index check`",
        )
    print_records(
        reporter,
        found.records,
        form=form,
        output=output,
        findings=found.findings,
        tell=lambda page: _tell(page, found),
    )
    return 0


def _tell(page: Page, found: QueryResult) -> None:
    print_runs(page, found.records)
    page.findings(found.findings)
