"""`mark-bad`: prevent a run from ever being activated again."""

from __future__ import annotations

import click

from registry_pipeline.cli.activation_output import find_actor, print_change, reason_options
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.run_argument import find_named_run
from registry_pipeline.config import find_repository
from registry_pipeline.pointers.rollback import mark_bad
from registry_pipeline.registries.base.seal_build import start_build_run


@click.command(
    "mark-bad",
    cls=Command,
    examples=[
        ("mark-bad 2026-03-01__120000__drift_signals_build --reason 'wrong clock'", "a run by its id"),
    ],
)
@click.argument("word", metavar="RUN")
@reason_options
@click.pass_obj
def command(reporter: Reporter, word: str, reason: str, actor: str | None) -> int:
    """Mark a run bad, permanently.

    It can never be activated again, nor by a rollback. If it is active, its pointer becomes false, with the reason,
    and `rollback` returns to the previous run. The run folder is not changed: the mark is a record of its own, and
    `verify --all` lists it. RUN is a run id or its beginning, or the beginning of a ROOT_SHA256.
    """
    repository = find_repository(reporter.settings.repo)
    bad_run = find_named_run(repository, word)
    run = start_build_run(repository, reporter.settings.now)
    outcome = mark_bad(repository, run, bad_run, actor=find_actor(actor, repository.root), reason=reason)
    return print_change(
        reporter, repository, run, outcome, action="mark_bad", unchanged_text="the run is already marked bad"
    )
