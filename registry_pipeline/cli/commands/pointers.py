"""`activate`, `rollback` and `mark-bad`: change the active runs."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from registry_pipeline.cli.activation_output import (
    SigningOptions,
    dry_run_option,
    print_change,
    reason_options,
    signing_options,
)
from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.completion import complete_registry, complete_run
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.run_argument import find_named_run
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import has_errors, sorted_findings
from registry_pipeline.pointers.activation import activate, validate_found_run
from registry_pipeline.pointers.find_runs import find_newest_of_each
from registry_pipeline.pointers.rollback import mark_bad, rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.sealed_run import Refusal

# In place of a registry.
_ALL: Final = "all"


@command(
    "activate",
    ("activate run_registry latest --reason 'reviewed'", "the newest run of that registry"),
    ("activate run_registry latest --reason 'reviewed' --dry-run", "what would change, and what refuses it"),
    ("activate drift_signals 2026-03-01__120000__drift_signals_build --reason 'reviewed'", "a run by its id"),
    ("activate all latest --reason 'reviewed'", "the newest run of each registry, in one change"),
)
@click.argument("registry_id", metavar="REGISTRY", shell_complete=complete_registry)
@click.argument("word", metavar="RUN", shell_complete=complete_run)
@reason_options
@signing_options
@dry_run_option
@click.option(
    "--allow-mixed", is_flag=True, help="Activate even if active registries then depend on runs that are not active."
)
@click.option("--allow-foreign", is_flag=True, help="Activate a run of another repository; the record says so.")
@click.option("--accept-removed", is_flag=True, help="For run_registry: accept removed runs; the record counts them.")
def activate_command(  # noqa: PLR0913, PLR0917 - the options of a command, which click passes by keyword
    reporter: Reporter,
    registry_id: str,
    word: str,
    reason: str,
    actor: str | None,
    dry_run: bool,
    allow_mixed: bool,
    allow_foreign: bool,
    accept_removed: bool,
    signing: SigningOptions,
) -> int:
    """Activate a run of a registry.

    The run is verified, the pointer moves, and a sealed record says who did it and why. RUN is `latest`, `active~1`
    for the previously active run, a run id or its beginning, or the beginning of a ROOT_SHA256. `all latest` activates
    the newest run of each registry together, such as those of a build that waits for signatures. The command refuses
    (exit 5) a run that does not verify or is marked bad, one that is older than the active run, one that would mix
    the active set, and one of another repository; then nothing changes. After a move the health report is rendered.
    """
    if accept_removed and registry_id not in ("run_registry", _ALL):
        raise click.UsageError("--accept-removed is for run_registry, which lists removed runs")
    repository = find_repository(reporter.settings.repo)
    if registry_id == _ALL and word != "latest":
        raise click.UsageError("`activate all` needs the word `latest`: the newest run of each registry")
    if registry_id == _ALL:
        named = find_newest_of_each(repository)
    else:
        named = {registry_id: find_named_run(repository, word, registry_id)}
    validated = [
        validate_found_run(repository, name, found, accept_losses=accept_removed and name == "run_registry")
        for name, found in named.items()
    ]
    finish = partial(print_change, reporter, repository, action="activate", dry_run=dry_run, signing=signing)
    refused = [finding for result in validated if isinstance(result, Refusal) for finding in result.findings]
    if refused:
        return finish(None, Refusal(sorted_findings(refused)))
    candidates = [result for result in validated if not isinstance(result, Refusal)]
    run = signing.start_run(repository, reporter.settings.now)
    actor = find_actor(actor, repository.root)
    outcome = activate(
        repository,
        run,
        candidates,
        actor=actor,
        reason=reason,
        allow_mixed=allow_mixed,
        allow_foreign=allow_foreign,
        dry_run=dry_run,
    )
    shown = isinstance(outcome, Refusal) or accept_removed
    findings = [finding for _, verdict in candidates for finding in verdict.findings] if shown else []
    return finish(run, outcome, other_findings=findings)


@command(
    "rollback",
    ("rollback --reason 'the drift is wrong'", "everything that the last effective activation moved"),
    ("rollback --redo --reason 'it was right'", "undo the last rollback"),
    ("rollback --registry drift_signals --reason 'the drift is wrong' --allow-mixed", "only one registry of it"),
)
@click.argument("activation", metavar="[ACTIVATION]", required=False)
@click.option(
    "--registry", "registry_id", metavar="REGISTRY", shell_complete=complete_registry, help="Move only this registry."
)
@click.option("--redo", is_flag=True, help="Undo the last rollback instead of an activation.")
@reason_options
@signing_options
@dry_run_option
@click.option(
    "--allow-mixed", is_flag=True, help="Go back even if active registries then depend on runs that are not active."
)
def rollback_command(  # noqa: PLR0913, PLR0917 - as above
    reporter: Reporter,
    activation: str | None,
    registry_id: str | None,
    redo: bool,
    reason: str,
    actor: str | None,
    dry_run: bool,
    allow_mixed: bool,
    signing: SigningOptions,
) -> int:
    """Undo an activation.

    Each registry that it moved returns to its previous run, which is verified again; without a previous run the
    pointer becomes unknown. ACTIVATION is the run id of a record in `log`, or its beginning. Without it, the last
    activation that is still in effect is undone: each repetition goes one further back, and exits 7 when none is
    left. --redo undoes the last rollback. Neither `build` nor the sensor activates a rolled-back run again. Refuses
    (exit 5) runs that are marked bad or do not verify, and a mixed set.
    """
    if redo and activation is not None:
        raise click.UsageError("--redo chooses the record itself; leave out ACTIVATION")
    repository = find_repository(reporter.settings.repo)
    chain = read_chain_state(repository)
    if registry_id is not None:
        catalog_of(repository).spec_of(registry_id)  # an unknown registry is the better explanation
    finish = partial(print_change, reporter, repository, action="rollback", dry_run=dry_run, signing=signing)
    if has_errors(chain.findings):
        return finish(None, Refusal(chain.findings))
    target = select_rollback(chain, activation, registry_id, redo=redo)
    record = target.record.record
    verb = "would undo" if dry_run else "undoing"
    reporter.note(f"{verb} {target.record.ref.run_id}: {record.action} by {record.actor}: {record.reason}")
    run = signing.start_run(repository, reporter.settings.now)
    actor = find_actor(actor, repository.root)
    outcome = rollback(repository, run, target, actor=actor, reason=reason, allow_mixed=allow_mixed, dry_run=dry_run)
    return finish(run, outcome)


@command("mark-bad", ("mark-bad 2026-03-01__120000__drift_signals_build --reason 'wrong clock'", "a run by its id"))
@click.argument("word", metavar="RUN", shell_complete=complete_run)
@reason_options
@signing_options
@dry_run_option
def mark_bad_command(
    reporter: Reporter, word: str, reason: str, actor: str | None, dry_run: bool, signing: SigningOptions
) -> int:
    """Mark a run bad, permanently.

    It can never be activated again, nor by a rollback. If it is active, its pointer becomes false, with the reason,
    and `rollback` returns to the previous run. The run folder is not changed: the mark is a record of its own, and
    `verify --all` lists it. RUN is a run id or its beginning, or the beginning of a ROOT_SHA256.
    """
    repository = find_repository(reporter.settings.repo)
    bad_run = find_named_run(repository, word)
    run = signing.start_run(repository, reporter.settings.now)
    actor = find_actor(actor, repository.root)
    outcome = mark_bad(repository, run, bad_run, actor=actor, reason=reason, dry_run=dry_run)
    return print_change(reporter, repository, run, outcome, action="mark_bad", dry_run=dry_run, signing=signing)
