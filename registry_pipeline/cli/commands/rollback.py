"""`rollback`: undo an activation."""

from __future__ import annotations

from functools import partial

import click

from registry_pipeline.cli.activation_output import find_actor, print_change, reason_options
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.pointers.rollback import rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.runs.sealed_run import Refusal


@click.command(
    "rollback",
    cls=Command,
    examples=[
        ("rollback --reason 'the drift is wrong'", "everything that the last effective activation moved"),
        ("rollback --redo --reason 'it was right'", "undo the last rollback"),
        ("rollback --registry drift_signals --reason 'the drift is wrong' --allow-mixed", "only one registry of it"),
    ],
)
@click.argument("activation", metavar="[ACTIVATION]", required=False)
@click.option("--registry", "registry_id", metavar="REGISTRY", help="Move only this registry.")
@click.option("--redo", is_flag=True, help="Undo the last rollback instead of an activation.")
@reason_options
@click.option(
    "--allow-mixed", is_flag=True, help="Go back even if active registries then depend on runs that are not active."
)
@click.pass_obj
def command(
    reporter: Reporter,
    activation: str | None,
    registry_id: str | None,
    redo: bool,
    reason: str,
    actor: str | None,
    allow_mixed: bool,
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
    finish = partial(
        print_change, reporter, repository, action="rollback", unchanged_text="each registry is already at that run"
    )
    if has_errors(chain.findings):
        return finish(None, Refusal(chain.findings))
    target = select_rollback(chain, activation, registry_id, redo=redo)
    record = target.record.record
    reporter.note(f"undoing {target.record.ref.run_id}: {record.action} by {record.actor}: {record.reason}")
    run = start_build_run(repository, reporter.settings.now)
    actor = find_actor(actor, repository.root)
    return finish(run, rollback(repository, run, target, actor=actor, reason=reason, allow_mixed=allow_mixed))
