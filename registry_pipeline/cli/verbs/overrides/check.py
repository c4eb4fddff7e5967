"""`overrides check`: every rule, and the proof that the log was only appended to."""

from __future__ import annotations

import click

from registry_pipeline.cli.checking import tell_checked
from registry_pipeline.cli.fail_on import fail_on_option
from registry_pipeline.cli.group import Verb
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_governed
from registry_pipeline.run_index.logs import overrides_log
from registry_pipeline.runbook.run_index import check_overrides_of


@click.command(
    "check",
    cls=Verb,
    examples=[
        ("overrides check", "every line and record, and the runs that they name"),
        ("overrides check --baseline HEAD", "and that no committed line is gone"),
    ],
)
@click.option(
    "--baseline", metavar="REF|active", help="That every line of a git commit, or of the active snapshot, is there."
)
@fail_on_option
@click.pass_obj
def command(reporter: Reporter, baseline: str | None, fail_on: frozenset[str]) -> int:
    """Check the overrides log.

    Every line and record, that updates are about overrides of the log, and that overrides in force agree with the run
    that they name. Exits 3 on an error, also where a log that the commit at
    HEAD has is missing; 7 where there is no log or no such baseline, or git cannot read the repository.
    """
    governed = find_governed(reporter.settings.repo)
    checked = check_overrides_of(governed, baseline=baseline)
    return tell_checked(reporter, checked, ("override", overrides_log(governed).shown), fail_on)
