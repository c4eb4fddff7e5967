"""`activate`: put one sealed run in force, with a reason."""

from __future__ import annotations

import click

from registry_pipeline.cli.activation_output import find_actor, print_change, reason_options
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.run_argument import find_named
from registry_pipeline.config import find_repository
from registry_pipeline.pointers.activation import activate, load_candidate
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.runs.sealed_run import Refusal


@click.command(
    "activate",
    cls=Command,
    examples=[
        ("activate run_registry latest --reason 'reviewed'", "the newest run of that registry"),
        ("activate drift_signals 2026-03-01__120000__drift_signals_build --reason 'reviewed'", "a run by its id"),
    ],
)
@click.argument("registry_id", metavar="REGISTRY")
@click.argument("word", metavar="RUN")
@reason_options
@click.option(
    "--allow-mixed", is_flag=True, help="Move even if active registries then rest on runs that are not active."
)
@click.option("--allow-foreign", is_flag=True, help="Activate a run of another repository; the record counts it.")
@click.option(
    "--accept-removed", is_flag=True, help="For run_registry: accept that runs are gone; the record counts them."
)
@click.pass_obj
def command(
    reporter: Reporter,
    registry_id: str,
    word: str,
    reason: str,
    actor: str | None,
    allow_mixed: bool,
    allow_foreign: bool,
    accept_removed: bool,
) -> int:
    """Put RUN in force for REGISTRY.

    It is verified anew, the pointer moves, and a sealed record says who did it and why. RUN is `latest`, `active~1`
    for what was in force before, a run id or its beginning, or the beginning of a ROOT_SHA256. Refused (exit 5) are
    a run that does not verify or is marked bad, one older than the active run, one that would leave a mixed set, and
    one whose run.json states the repository_id of another repository; then nothing changes. Where the pointer moved,
    the health report is rendered anew.
    """
    if accept_removed and registry_id != "run_registry":
        raise click.UsageError("--accept-removed is for run_registry, which lists what was removed")
    repository = find_repository(reporter.settings.repo)
    nothing = "it is active already"
    proposed = load_candidate(
        repository, registry_id, find_named(repository, word, registry_id), accept_losses=accept_removed
    )
    if isinstance(proposed, Refusal):
        return print_change(reporter, repository, None, proposed, action="activate", nothing=nothing)
    run = start_build_run(repository, reporter.settings.now)
    who = find_actor(actor, repository.root)
    done = activate(
        repository, run, [proposed], actor=who, reason=reason, allow_mixed=allow_mixed, allow_foreign=allow_foreign
    )
    told = proposed[1].findings if isinstance(done, Refusal) or accept_removed else ()
    return print_change(reporter, repository, run, done, action="activate", nothing=nothing, told=told)
