"""`run-index check`: every rule, and the proof that the log was only appended to."""

from __future__ import annotations

import click

from registry_pipeline.cli.exit_codes import fail_on_option
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import machine_option, print_checked
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.service import check_runs_of


@click.command(
    "check",
    cls=Command,
    examples=[
        ("run-index check", "every line, record and run against the rules"),
        ("run-index check --baseline HEAD --format github", "and that no committed line is gone, for a workflow"),
        ("run-index check --fail-on warning --json", "warnings fail too"),
    ],
)
@click.option(
    "--baseline", metavar="REF|active", help="That every line of a git commit, or of the active snapshot, is there."
)
@machine_option
@fail_on_option
@click.pass_obj
def command(reporter: Reporter, baseline: str | None, machine: str | None, fail_on: frozenset[str]) -> int:
    """Check the run index.

    Every line, every record, the gates of every run's current record, and overrides as they stand now: a run whose
    override was voided is a finding again. --baseline proves that nothing was edited or removed: the older lines are an
    ordered subset. Exits 3 on an error, also where a log that the commit at
    HEAD has is missing; 7 where there is no log or no such baseline, or git cannot read the repository.
    """
    repository = find_repository(reporter.settings.repo)
    checked = check_runs_of(repository, baseline=baseline, machine_id=machine, now=reporter.settings.now)
    return print_checked(reporter, checked, ("run", run_index_log(repository).shown), fail_on)
