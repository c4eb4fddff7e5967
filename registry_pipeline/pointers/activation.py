"""Step 4 of the runbook: put validated runs in force (SPEC 5; the protocol is `change`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.consistency import ActiveRun, blocked_candidates
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.plan import ActivationPlan, ActivationRequest, Candidate, NothingToMove, plan_activation
from registry_pipeline.pointers.state import read_active_runs, read_chain_state
from registry_pipeline.pointers.transaction import ChangeRequest, LockedState, change_pointers
from registry_pipeline.registries.base.claims import main_artifact
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import sealed_run
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.run_registry.check_removed_runs import accept_removed
from registry_pipeline.registries.validation import spec_of, validate
from registry_pipeline.runs.pointer_file import read_pointers, read_report
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal, SealedRun, Verdict

__all__ = ["ValidatedRun", "activate", "select_activatable", "read_active_runs", "read_chain_state"]
ValidatedRun = tuple[SealedRun, Verdict]


def select_activatable(
    repository: Repository, judged: Sequence[ValidatedRun]
) -> tuple[tuple[ValidatedRun, ...], tuple[Finding, ...]]:
    """Return the runs that may be proposed together, and a finding for each that may not.

    Left out are those that a rollback moved away from or that are marked bad, and those that would mix the active
    set. Every other gate is left to `activate`; this only chooses, as the sensor and `build` must (SPEC 5).
    """
    chain = read_chain_state(repository)
    findings: list[Finding] = []
    proposed: list[ValidatedRun] = []
    for run, verdict in judged:
        place, reason = f"{run.ref.run_root}/{run.ref.run_id}", chain.marked_bad.get(run.ref.run_id)
        if reason is not None:
            findings.append(finding("ACTIVATE_MARKED_BAD", place, severity=Severity.WARNING, detail=reason))
        elif run.ref.run_id in chain.rolled_back_runs:
            findings.append(finding("ACTIVATE_ROLLED_BACK", place, registry=run.registry_id))
        else:
            proposed.append((run, verdict))
    candidates = {run.registry_id: ActiveRun(run.ref, run.inputs, run.as_of_utc) for run, _ in proposed}
    held = blocked_candidates(candidates, read_active_runs(repository, read_pointers(repository)), REGISTRIES)
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
    repository: Repository,
    run: BuildRun,
    judged: Sequence[ValidatedRun],
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
    asked = ChangeRequest(actor, reason, candidates, allow_mixed, allow_foreign)
    return change_pointers(repository, run, seen.pop(), asked, _plan)


def _plan(request: ActivationRequest, _standing: LockedState) -> ActivationPlan | NothingToMove | Refusal:
    return plan_activation(request)


def load_candidate(
    repository: Repository, registry_id: str, found: FoundRun, *, accept_losses: bool = False
) -> ValidatedRun | Refusal:
    """Return the named run with the verdict on it, ready for `activate`; a folder without a root is refused here.

    With `accept_losses` runs that are gone no longer fail a run registry, and the record counts them (SPEC 4.1).

    Raises:
        NotFoundError: the registry is unknown.
    """
    spec = spec_of(registry_id)
    run_root = found.run_root or _run_root(repository, found.path)
    named = SealedRef(found.run_id, run_root, None, "")
    report = read_report(repository, named)
    if report.root_sha256 is None:
        refused = finding("ACTIVATE_NOT_VERIFIED", report.path, detail=report.verdict)
        return Refusal(sorted_findings((refused, *report.findings)))
    relpath = main_artifact(spec, [entry.relpath for entry in report.entries]) or spec.relpath
    sealed = sealed_run(registry_id, SealedRef(found.run_id, run_root, relpath, report.root_sha256), report)
    verdict = validate(repository, sealed)
    return sealed, accept_removed(verdict) if accept_losses else verdict


def _run_root(repository: Repository, folder: Path) -> str:
    """Return the run root that a folder named by its path lies in, else its parent as it is, for the gate to refuse."""
    parent = Path(os.path.abspath(folder)).parent  # noqa: PTH100 - resolve() would follow a linked run folder
    for run_root in repository.config.run_roots:
        if repository.path(run_root).resolve() == parent.resolve():
            return run_root
    return str(parent)
