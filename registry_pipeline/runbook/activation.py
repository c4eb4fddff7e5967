"""Step 4 of the runbook: put validated runs in force (SPEC 5; the order is told in `activate/__init__`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry_pipeline.activate.lock import pointer_lock
from registry_pipeline.activate.plan import (
    ActivationPlan,
    ActivationRequest,
    Candidate,
    NothingToMove,
    plan_activation,
    plan_init,
)
from registry_pipeline.activate.pointer_file import empty_pointer_file, pointer_file_bytes
from registry_pipeline.activate.swap import (
    compare_pointer_file,
    read_intent,
    remove_intent,
    swap_pointer_file,
    write_intent,
)
from registry_pipeline.canon import parse_utc, utc_text
from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import BusyError, NotFoundError, RegistryPipelineError
from registry_pipeline.model.activation import ACTIVATION_TAG
from registry_pipeline.model.closure import ActiveRun, largest_closure
from registry_pipeline.model.codes import finding
from registry_pipeline.model.envelope import Inputs
from registry_pipeline.model.finding import Finding, Severity, sorted_findings
from registry_pipeline.model.ids import RunId
from registry_pipeline.model.refs import PointerFile, SealedRef
from registry_pipeline.model.verdict import Activation, Built, Refusal, SealedRun, Verdict
from registry_pipeline.runbook.building import BuildRun, seal
from registry_pipeline.runbook.reading import read_pointer_bytes, read_pointers, read_report, run_folder, spec_of
from registry_pipeline.validate.chain import ChainState, check_chain, read_chain
from registry_pipeline.validate.pointers import parse_pointer_file

Judged = tuple[SealedRun, Verdict]


def read_chain_state(governed: Governed) -> ChainState:
    """Return the judgement of the activation chain and of the pointer file against it."""
    return check_chain(read_chain(governed), read_pointer_bytes(governed), read_intent(governed.pointer_path))


def read_active_runs(governed: Governed, pointers: PointerFile) -> dict[str, ActiveRun]:
    """Return the active runs whose folders are there, with what they record of their inputs."""
    active: dict[str, ActiveRun] = {}
    for pointer in pointers.pointers:
        ref = pointers.active(pointer.registry_id)
        if ref is not None and run_folder(governed, ref).is_dir():
            envelope = read_report(governed, ref).run_json or {}
            as_of = envelope.get("as_of_utc")
            told = as_of if isinstance(as_of, str) and parse_utc(as_of) is not None else None
            active[pointer.registry_id] = ActiveRun(ref, Inputs.from_json(envelope.get("inputs")), told)
    return active


def largest_movable(governed: Governed, judged: Sequence[Judged]) -> tuple[tuple[Judged, ...], tuple[Finding, ...]]:
    """Return the runs that may move together, and a finding for each that would mix the active set.

    Every other gate is left to `activate`; this only chooses, as the sensor and `build` must (SPEC 5).
    """
    pointers = read_pointers(governed)
    candidates = {run.registry_id: ActiveRun(run.ref, run.inputs, run.as_of_utc) for run, _ in judged}
    held = largest_closure(candidates, read_active_runs(governed, pointers), REGISTRIES)
    findings = [
        finding(
            "ACTIVATE_MIXED",
            f"{run.ref.run_root}/{run.ref.run_id}",
            severity=Severity.WARNING,
            detail=held[run.registry_id].sentence(),
            registry=held[run.registry_id].upstream_id,
        )
        for run, _ in judged
        if run.registry_id in held
    ]
    return tuple(pair for pair in judged if pair[0].registry_id not in held), tuple(findings)


def activate(
    governed: Governed,
    run: BuildRun,
    judged: Sequence[Judged],
    *,
    actor: str,
    reason: str,
    allow_mixed: bool = False,
) -> Activation | Refusal | None:
    """Move the pointers of these runs in one replacement, with a sealed record; None if all are active already.

    `run.started` is the moment of activation. Each verdict is bound to its root and to the pointer file as it was
    when it was made.

    Raises:
        BusyError: another activation holds the lock, or the pointer file changed since the verdicts (exit 6).
        NotFoundError: the pointer file is gone though the chain has begun.
    """
    if not judged:
        return None
    seen = {verdict.pointer_sha256 for _, verdict in judged}
    if len(seen) != 1:
        raise BusyError("the pointer file changed between the verdicts; nothing moved", "validate the runs again")
    asked = _Asked(tuple(Candidate(sealed, verdict) for sealed, verdict in judged), actor, reason, allow_mixed)
    with pointer_lock(governed.pointer_path):
        compare_pointer_file(governed.pointer_path, seen.pop())
        data = _pointers_to_change(governed, run)
        plan = _planned(governed, run, asked, data)
        if isinstance(plan, Refusal):
            return plan
        if isinstance(plan, NothingToMove):
            return None
        remove_intent(governed.pointer_path)
        if plan.record.previous is None:
            first = plan_init(data, actor=actor, reason="the first record of the chain")
            plan = plan.following(_commit(governed, run, first))
        record = _commit(governed, run, plan)
    return Activation(plan.record.action, plan.moves, record, plan.record.after_sha256, plan.findings)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody wants to be in force, and why."""

    candidates: tuple[Candidate, ...]
    actor: str
    reason: str
    allow_mixed: bool


def _pointers_to_change(governed: Governed, run: BuildRun) -> bytes:
    """Return the pointer file's bytes; where there is neither file nor chain, make the empty one."""
    data = read_pointer_bytes(governed)
    if data is None and not read_chain(governed).records:
        data = pointer_file_bytes(empty_pointer_file(utc_text(run.started)))
        swap_pointer_file(governed.pointer_path, data, None)
    if data is None:
        raise NotFoundError(
            f"{governed.config.pointers} is gone, and there are activation records",
            "restore it from POINTERS_AFTER.json of the last record (`registry-pipeline log`)",
        )
    return data


def _planned(governed: Governed, run: BuildRun, asked: _Asked, data: bytes) -> ActivationPlan | NothingToMove | Refusal:
    """Return the plan for the pointer file as it is under the lock; any finding of it or of the chain refuses."""
    pointers, malformed = parse_pointer_file(data, governed.config.pointers)
    state = read_chain_state(governed)
    against = sorted_findings(f for f in (*malformed, *state.findings) if f.severity is Severity.ERROR)
    if against:
        return Refusal(against)
    return plan_activation(
        ActivationRequest(
            candidates=asked.candidates,
            pointers=pointers,
            active=read_active_runs(governed, pointers),
            marked_bad=state.marked_bad,
            specs=REGISTRIES,
            run_roots=governed.config.run_roots,
            previous=None if state.head is None else state.head.ref,
            actor=asked.actor,
            reason=asked.reason,
            now_utc=utc_text(run.started),
            allow_mixed=asked.allow_mixed,
        )
    )


def _commit(governed: Governed, run: BuildRun, plan: ActivationPlan) -> SealedRef:
    """Write the intent, seal the record under the id that the intent names, replace the pointer file."""
    record = plan.record
    run_id = RunId(run.started, ACTIVATION_TAG)
    while (governed.publish_root / str(run_id)).exists():
        run_id = run_id.next()
    write_intent(governed.pointer_path, str(run_id), record.before_sha256, record.after_sha256)
    built = Built(ACTIVATION_TAG, plan.artifacts, Inputs(), utc_text(run.started))
    sealed = seal(governed, run, spec_of(ACTIVATION_TAG), built, retried=False)
    if sealed.ref.run_id != str(run_id):
        raise RegistryPipelineError(
            f"the record was sealed as {sealed.ref.run_id} and not as {run_id}: something else writes run folders here",
            "look at `registry-pipeline status`; the pointer file is as it was",
        )
    swap_pointer_file(governed.pointer_path, plan.after_bytes, record.before_sha256)
    remove_intent(governed.pointer_path)
    return sealed.ref
