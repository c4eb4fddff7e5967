"""`activate`: make one sealed run the active run of its registry."""

from __future__ import annotations

from functools import partial

import click

from registry_pipeline.cli.activation_output import find_actor, print_change, reason_options
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.run_argument import find_named_run
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
    "--allow-mixed", is_flag=True, help="Activate even if active registries then depend on runs that are not active."
)
@click.option("--allow-foreign", is_flag=True, help="Activate a run of another repository; the record says so.")
@click.option("--accept-removed", is_flag=True, help="For run_registry: accept removed runs; the record counts them.")
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
    """Activate a run of a registry.

    The run is verified, the pointer moves, and a sealed record says who did it and why. RUN is `latest`, `active~1`
    for the previously active run, a run id or its beginning, or the beginning of a ROOT_SHA256. The command refuses
    (exit 5) a run that does not verify or is marked bad, one that is older than the active run, one that would mix
    the active set, and one of another repository; then nothing changes. After a move the health report is rendered.
    """
    if accept_removed and registry_id != "run_registry":
        raise click.UsageError("--accept-removed is for run_registry, which lists removed runs")
    repository = find_repository(reporter.settings.repo)
    named_run = find_named_run(repository, word, registry_id)
    candidate = load_candidate(repository, registry_id, named_run, accept_losses=accept_removed)
    finish = partial(print_change, reporter, repository, action="activate", unchanged_text="the run is already active")
    if isinstance(candidate, Refusal):
        return finish(None, candidate)
    run = start_build_run(repository, reporter.settings.now)
    actor = find_actor(actor, repository.root)
    outcome = activate(
        repository, run, [candidate], actor=actor, reason=reason, allow_mixed=allow_mixed, allow_foreign=allow_foreign
    )
    findings = candidate[1].findings if isinstance(outcome, Refusal) or accept_removed else ()
    return finish(run, outcome, other_findings=findings)
