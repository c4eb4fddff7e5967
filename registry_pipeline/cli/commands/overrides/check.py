"""`overrides check`: every rule, and the proof that the log was only appended to."""

from __future__ import annotations

import click

from registry_pipeline.cli.exit_codes import fail_on_option
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import print_checked
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.log_file import overrides_log
from registry_pipeline.registries.run_index.service import check_overrides_of


@click.command(
    "check",
    cls=Command,
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
    repository = find_repository(reporter.settings.repo)
    checked = check_overrides_of(repository, baseline=baseline)
    return print_checked(reporter, checked, ("override", overrides_log(repository).shown), fail_on)
