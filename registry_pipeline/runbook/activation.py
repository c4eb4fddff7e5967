"""Step 4 of the runbook: put validated runs in force (SPEC 5; the protocol is `change`)."""

from __future__ import annotations

from collections.abc import Sequence

from registry_pipeline.activate.plan import ActivationPlan, ActivationRequest, Candidate, NothingToMove, plan_activation
from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import BusyError
from registry_pipeline.model.closure import ActiveRun, largest_closure
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding, Severity, sorted_findings
from registry_pipeline.model.verdict import Activation, Refusal, SealedRun, Verdict
from registry_pipeline.runbook.building import BuildRun
from registry_pipeline.runbook.change import (
    Asked,
    Standing,
    change_pointers,
)
from registry_pipeline.runbook.reading import read_pointers
from registry_pipeline.runbook.store import read_active_runs, read_chain_state

__all__ = ["Judged", "activate", "largest_movable", "read_active_runs", "read_chain_state"]

Judged = tuple[SealedRun, Verdict]


def largest_movable(governed: Governed, judged: Sequence[Judged]) -> tuple[tuple[Judged, ...], tuple[Finding, ...]]:
    """Return the runs that may be proposed together, and a finding for each that may not.

    Left out are those that a rollback moved away from or that are marked bad, and those that would mix the active
    set. Every other gate is left to `activate`; this only chooses, as the sensor and `build` must (SPEC 5).
    """
    chain = read_chain_state(governed)
    findings: list[Finding] = []
    proposed: list[Judged] = []
    for run, verdict in judged:
        place, reason = f"{run.ref.run_root}/{run.ref.run_id}", chain.marked_bad.get(run.ref.run_id)
        if reason is not None:
            findings.append(finding("ACTIVATE_MARKED_BAD", place, severity=Severity.WARNING, detail=reason))
        elif run.ref.run_id in chain.moved_away:
            findings.append(finding("ACTIVATE_ROLLED_BACK", place, registry=run.registry_id))
        else:
            proposed.append((run, verdict))
    candidates = {run.registry_id: ActiveRun(run.ref, run.inputs, run.as_of_utc) for run, _ in proposed}
    held = largest_closure(candidates, read_active_runs(governed, read_pointers(governed)), REGISTRIES)
    findings += [
        finding(
            "ACTIVATE_MIXED",
            f"{run.ref.run_root}/{run.ref.run_id}",
            severity=Severity.WARNING,
            detail=held[run.registry_id].sentence(),
            registry=held[run.registry_id].upstream_id,
        )
        for run, _ in proposed
        if run.registry_id in held
    ]
    return tuple(pair for pair in proposed if pair[0].registry_id not in held), sorted_findings(findings)


def activate(
    governed: Governed,
    run: BuildRun,
    judged: Sequence[Judged],
    *,
    actor: str,
    reason: str,
    allow_mixed: bool = False,
    allow_foreign: bool = False,
) -> Activation | Refusal | None:
    """Move the pointers of these runs in one replacement, with a sealed record; None if all are active already.

    `run.started` is the moment of activation. Each verdict is bound to its root and to the pointer file as it was
    when it was made. Runs of another repository are refused without `allow_foreign`; the record counts them.

    Raises:
        BusyError: another activation holds the lock, or the pointer file changed since the verdicts (exit 6).
        NotFoundError: the pointer file is gone though the chain has begun.
    """
    if not judged:
        return None
    seen = {verdict.pointer_sha256 for _, verdict in judged}
    if len(seen) != 1:
        raise BusyError("the pointer file changed between the verdicts; nothing moved", "validate the runs again")
    candidates = tuple(Candidate(sealed, verdict) for sealed, verdict in judged)
    asked = Asked(actor, reason, candidates, allow_mixed, allow_foreign)
    return change_pointers(governed, run, seen.pop(), asked, _plan)


def _plan(request: ActivationRequest, _standing: Standing) -> ActivationPlan | NothingToMove | Refusal:
    return plan_activation(request)
