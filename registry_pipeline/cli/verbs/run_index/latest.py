"""`run-index latest`: the newest success of a lane."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Verb
from registry_pipeline.cli.listing import lane_options
from registry_pipeline.cli.records import answer_records, format_options, scan_option, tell_runs
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_governed
from registry_pipeline.errors import NotFoundError
from registry_pipeline.run_index.door import read_surroundings
from registry_pipeline.run_index.logs import run_index_log
from registry_pipeline.run_index.query import Answer, find_latest


@click.command(
    "latest",
    cls=Verb,
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
    governed = find_governed(reporter.settings.repo)
    log = run_index_log(governed)
    around, _ = read_surroundings(governed, machine_id=None, now=None)
    found = find_latest(log, around, artist_id=artist, genre_id=genre, use_index=not no_index)
    if not found.entries:
        lane = " ".join(filter(None, (artist, genre)))
        raise NotFoundError(
            f"{log.shown} has no successful run{f' of {lane}' if lane else ''}",
            "see `registry-pipeline run-index list` and `registry-pipeline run-index check`",
        )
    answer_records(
        reporter,
        found.records,
        form=form,
        output=output,
        findings=found.findings,
        tell=lambda page: _tell(page, found),
    )
    return 0


def _tell(page: Page, found: Answer) -> None:
    tell_runs(page, found.records)
    page.findings(found.findings)
