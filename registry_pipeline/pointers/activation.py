"""Activate validated runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.pointers import obstacles
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.obstacles import Candidate
from registry_pipeline.pointers.plan import ActivationRequest, PlanResult, plan_activation
from registry_pipeline.pointers.state import read_activation_state, read_active_runs, read_chain_state
from registry_pipeline.pointers.transaction import ChangeRequest, LockedState, change_pointers
from registry_pipeline.registries.base.claims import find_main_artifact
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import sealed_run
from registry_pipeline.registries.catalog import spec_of
from registry_pipeline.registries.run_registry.check import accept_removed
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.pointer_file import read_pointers, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal, SealedRun, Verdict

__all__ = ["ValidatedRun", "activate", "read_active_runs", "read_chain_state", "select_activatable"]
ValidatedRun = tuple[SealedRun, Verdict]


def select_activatable(
    repository: Repository, validated: Sequence[ValidatedRun]
) -> tuple[tuple[ValidatedRun, ...], tuple[Finding, ...]]:
    """Return the runs that can be activated together, and a warning for each run that cannot."""
    state = read_activation_state(repository, read_chain_state(repository), read_pointers(repository))
    selected, findings = obstacles.select_activatable([Candidate(*pair) for pair in validated], state)
    return tuple((candidate.run, candidate.verdict) for candidate in selected), findings


def activate(
    repository: Repository,
    run: BuildRun,
    validated: Sequence[ValidatedRun],
    *,
    actor: str,
    reason: str,
    allow_mixed: bool = False,
    allow_foreign: bool = False,
) -> Activation | Refusal | None:
    """Activate these runs in one change with a sealed record; None if all are active already.

    `run.started` is the time of the activation.

    Raises:
        BusyError: another change holds the lock, or the pointer file changed since the runs were validated (exit 6).
        NotFoundError: the pointer file is missing although activation records exist.
    """
    if not validated:
        return None
    # A verdict can depend on the active runs, so it is valid only for the pointer file of its time.
    hashes = {verdict.pointer_sha256 for _, verdict in validated}
    if len(hashes) != 1:
        raise BusyError("the pointer file changed between the validations; nothing changed", "validate the runs again")
    candidates = tuple(Candidate(*pair) for pair in validated)
    request = ChangeRequest(actor, reason, candidates, allow_mixed, allow_foreign)
    return change_pointers(repository, run, hashes.pop(), request, _plan)


def _plan(request: ActivationRequest, _locked: LockedState) -> PlanResult:
    return plan_activation(request)


def load_candidate(
    repository: Repository, registry_id: str, found: FoundRun, *, accept_losses: bool = False
) -> ValidatedRun | Refusal:
    """Return a run with its verdict, or a refusal if no root hash can be computed.

    With `accept_losses` removed runs do not make a run_registry fail; the activation record counts them.

    Raises:
        NotFoundError: the registry is unknown.
    """
    spec = spec_of(registry_id)
    run_root = found.run_root or _find_run_root(repository, found.path)
    report = verify_referenced_run(repository, SealedRef(found.run_id, run_root, None, ""))
    # Without a root hash there is nothing that a verdict could be bound to.
    if report.root_sha256 is None:
        refused = finding("ACTIVATE_NOT_VERIFIED", report.path, detail=report.verdict)
        return Refusal(sorted_findings((refused, *report.findings)))
    relpath = find_main_artifact(spec, [entry.relpath for entry in report.entries]) or spec.relpath
    sealed = sealed_run(registry_id, SealedRef(found.run_id, run_root, relpath, report.root_sha256), report)
    verdict = validate(repository, sealed)
    return sealed, accept_removed(verdict) if accept_losses else verdict


def _find_run_root(repository: Repository, folder: Path) -> str:
    """Return the run root that contains a folder, else its parent, which the plan refuses."""
    parent = Path(os.path.abspath(folder)).parent  # noqa: PTH100 - resolve() would follow a linked run folder
    for run_root in repository.config.run_roots:
        if repository.path(run_root).resolve() == parent.resolve():
            return run_root
    return str(parent)
