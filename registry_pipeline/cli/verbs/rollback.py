"""`rollback`: take an activation back, with a reason."""

from __future__ import annotations

import click

from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.group import Verb
from registry_pipeline.cli.moves import answer_change, reason_options
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_governed
from registry_pipeline.model.finding import has_errors
from registry_pipeline.model.verdict import Refusal
from registry_pipeline.runbook import choose_undoing, read_chain_state, rollback, start_build_run


@click.command(
    "rollback",
    cls=Verb,
    examples=[
        ("rollback --reason 'the drift is wrong'", "all that the last activation moved"),
        ("rollback --registry drift_signals --reason 'the drift is wrong' --allow-mixed", "one registry of it"),
    ],
)
@click.argument("activation", metavar="[ACTIVATION]", required=False)
@click.option("--registry", "registry_id", metavar="REGISTRY", help="Move this one alone.")
@reason_options
@click.option(
    "--allow-mixed", is_flag=True, help="Go back even if active registries then rest on others than recorded."
)
@click.pass_obj
def command(
    reporter: Reporter,
    activation: str | None,
    registry_id: str | None,
    reason: str,
    actor: str | None,
    allow_mixed: bool,
) -> int:
    """Take an activation back.

    Each registry that it moved returns to what was replaced, verified anew; where nothing was replaced its pointer
    becomes unknown. ACTIVATION is the run id of a record in `log`, or its beginning; without it the last record that
    moved anything is taken back. That may be a rollback: a second one in a row undoes the first, and to go further
    back names an older activation. Neither `build` nor the sensor puts in force again what a rollback left. Refused
    (exit 5) are runs that are marked bad or do not verify, and a mixed set.
    """
    governed = find_governed(reporter.settings.repo)
    chain = read_chain_state(governed)
    nothing = "each registry is there already"
    if has_errors(chain.findings):
        return answer_change(reporter, governed, None, Refusal(chain.findings), action="rollback", nothing=nothing)
    undoing = choose_undoing(chain, activation, registry_id)
    record = undoing.record.record
    reporter.note(f"taking back {undoing.record.ref.run_id}: {record.action} by {record.actor}: {record.reason}")
    run = start_build_run(governed, reporter.settings.now)
    who = find_actor(actor, governed.root)
    done = rollback(governed, run, undoing, actor=who, reason=reason, allow_mixed=allow_mixed)
    return answer_change(reporter, governed, run, done, action="rollback", nothing=nothing)
