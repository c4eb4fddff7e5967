"""Change the pointer file: one locked transaction that seals a record of every change.

A process killed at any step leaves the old state, the new state, or a pending record that `doctor` completes or voids.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import (
    BusyError,
    DurabilityError,
    NotFoundError,
    RefusedError,
    RegistryPipelineError,
    WriteError,
)
from registry_pipeline.files.atomic_write import refuse_changed_file, replace_file
from registry_pipeline.findings.finding import Severity, sorted_findings
from registry_pipeline.pointers.chain import ACTIVATION_TAG, MAX_SIGNATURES, ChainState
from registry_pipeline.pointers.check_pointers import advise_on_file
from registry_pipeline.pointers.checkpoint import CHECKPOINT_EVERY, make_checkpoint
from registry_pipeline.pointers.plan import (
    ActivationPlan,
    ActivationRequest,
    Candidate,
    NothingToMove,
    PlanResult,
    plan_checkpoint,
    plan_init,
)
from registry_pipeline.pointers.signatures import find_missing_signatures
from registry_pipeline.pointers.state import (
    create_intent,
    pointer_lock,
    read_activation_state,
    read_chain,
    read_locked_state,
    read_pointer_state,
    remove_intent,
)
from registry_pipeline.registries.base.seal_build import BuildRun, refuse_linked_publish_root, seal_built
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file, read_pointer_bytes, read_pointer_hash
from registry_pipeline.runs.reference import RunId, SealedRef, empty_pointer_file, pointer_file_bytes
from registry_pipeline.runs.sealed_run import Activation, Built, Refusal
from registry_pipeline.signing.ssh import is_signature_of
from registry_pipeline.values import replace, value_type

_FIRST_REASON: Final = "the first record of the chain"
_CHECKPOINT_REASON: Final = "a checkpoint of all earlier records"


@value_type
class ChangeRequest:
    """A request to change pointers: actor, reason and the runs to activate; with `dry_run` nothing is written."""

    actor: str
    reason: str
    candidates: tuple[Candidate, ...] = ()
    allow_mixed: bool = False
    allow_foreign: bool = False
    dry_run: bool = False


# Returns the change for a request, the bytes of the pointer file and the chain, all read under the lock.
PlanFunction = Callable[[ActivationRequest, bytes, ChainState], PlanResult]


def change_pointers(
    repository: Repository, run: BuildRun, seen_sha256: str | None, request: ChangeRequest, make_plan: PlanFunction
) -> Activation | Refusal | None:
    """Make one change with a sealed record; None if there is nothing to change. A refusal changes nothing.

    The start of `run` is the time of the change. `seen_sha256` is the hash of the pointer file when the candidates were
    validated. With `dry_run` nothing is written, the record of the result is the one that would be sealed, and
    each signature that the policy still wants is an error among its findings.

    Raises:
        BusyError: another change holds the lock, or the pointer file changed since `seen_sha256` (exit 6).
        NotFoundError: the pointer file is missing although activation records exist.
        RefusedError: publish_root is behind a symbolic link (exit 5).
        WriteError, DurabilityError, PublishError: the disk refused; the message says whether the pointers moved.
    """
    refuse_linked_publish_root(repository)
    if request.dry_run:
        return _preview_change(repository, run, seen_sha256, request, make_plan)
    signed = None
    if run.is_signed:
        # A signature may wait for a person, so the record is signed without the lock, for the head that it expects.
        signed, seen_sha256 = _sign_change(repository, run, seen_sha256, request, make_plan)
    # (1) Lock, and refuse if the pointer file is not the one that the verdicts were made for.
    with pointer_lock(repository.pointer_path, repository.root):
        refuse_changed_file(repository.pointer_path, seen_sha256)
        # (2) Read the state and plan the change. A refusal seals nothing.
        pointers, chain = (
            _read_or_create_pointers(repository, run),
            read_locked_state(repository, from_checkpoint=True).chain,
        )
        plan = _plan_or_refuse(repository, run, request, pointers, chain, make_plan)
        if isinstance(plan, Refusal):
            return plan
        if isinstance(plan, NothingToMove):
            return None
        if run.is_signed:
            plan = take_signatures(stamp_plan(run, plan), signed)
        moved = (move.registry_id for move in plan.moves)
        unsigned = find_missing_signatures(repository, chain, plan, run.started, moved)
        if unsigned:
            return Refusal(unsigned)
        # (3) Remove a leftover intent: its change is committed or was never sealed, or the plan would be a refusal.
        remove_intent(repository.pointer_path)
        # (4) The first change of a repository seals an `init` record before its own.
        if plan.record.previous is None:
            first = plan_init(pointers, actor=request.actor, reason=_FIRST_REASON)
            plan = plan.following(_commit_plan(repository, run, first))
        # (5) Write the intent, seal the record, replace the pointer file, remove the intent.
        record = _commit_plan(repository, run, plan)
        # (6) The change is complete. The next one writes the checkpoint if this one cannot.
        if chain.since_checkpoint + 1 >= CHECKPOINT_EVERY:
            with suppress(RegistryPipelineError, OSError):
                _seal_checkpoint(repository, run, request.actor)
    return Activation(plan.record.action, plan.moves, record, plan.record.after_sha256, plan.findings)


def _sign_change(
    repository: Repository, run: BuildRun, seen_sha256: str | None, request: ChangeRequest, make_plan: PlanFunction
) -> tuple[ActivationPlan | None, str | None]:
    """Return the change with its signatures, None if it is refused or changes nothing; and the pointer file's hash."""
    plan, _ = _plan_unlocked(repository, run, request, make_plan)
    if isinstance(plan, ActivationPlan) and plan.record.previous is None:
        seen_sha256 = _begin_chain(repository, run, seen_sha256, request.actor)
        plan, _ = _plan_unlocked(repository, run, request, make_plan)
    signed = sign_plan(run, stamp_plan(run, plan)) if isinstance(plan, ActivationPlan) else None
    return signed, seen_sha256


def _begin_chain(repository: Repository, run: BuildRun, seen_sha256: str | None, actor: str) -> str:
    """Seal the `init` record, which a record that is to be signed must name; return the pointer file's hash."""
    with pointer_lock(repository.pointer_path, repository.root):
        refuse_changed_file(repository.pointer_path, seen_sha256)
        pointers = _read_or_create_pointers(repository, run)
        if not read_locked_state(repository).chain.records:
            _commit_plan(repository, run, plan_init(pointers, actor=actor, reason=_FIRST_REASON))
    return sha256_hex(pointers)


def stamp_plan(run: BuildRun, plan: ActivationPlan) -> ActivationPlan:
    """Return the plan with the time of its record in the bytes that are signed, if it is signed."""
    return replace(plan, record=replace(plan.record, created_utc=utc_text(run.started))) if run.is_signed else plan


def sign_plan(run: BuildRun, plan: ActivationPlan) -> ActivationPlan:
    """Return the plan with the signatures of its record that the run was given, and that of its own key.

    Raises:
        RefusedError: one is of other bytes, there are too many, or the key did not sign.
        NotFoundError: ssh-keygen is not installed.
    """
    if not all(is_signature_of(plan.document, signature) for signature in run.signatures):
        raise RefusedError(
            "a signature is not one of this record; no pointer moved",
            "use the RUN, --reason, --actor and --now that it was prepared with, or prepare and sign it again",
        )
    own = () if run.signer is None else (run.signer.sign(plan.document),)
    signatures = tuple(dict.fromkeys((*run.signatures, *own)))
    if len(signatures) > MAX_SIGNATURES:
        raise RefusedError(
            f"there are {len(signatures)} signatures, and a record has at most {MAX_SIGNATURES}; no pointer moved",
            "leave out those that `[signing]` does not require",
        )
    return replace(plan, signatures=signatures)


def take_signatures(plan: ActivationPlan, signed: ActivationPlan | None) -> ActivationPlan:
    """Return the plan, which was made under the lock, with the signatures of the one that was signed before.

    Raises:
        BusyError: the records differ, because another change was made meanwhile.
    """
    if signed is None or signed.document != plan.document:
        raise BusyError("another change was made while the record was signed; nothing changed", "run it again")
    return replace(plan, signatures=signed.signatures)


def _preview_change(
    repository: Repository, run: BuildRun, seen_sha256: str | None, request: ChangeRequest, make_plan: PlanFunction
) -> Activation | Refusal | None:
    """Return what `change_pointers` would return now, without a lock and without moving a pointer.

    Nothing is written, except the `init` record if the plan is prepared for signatures and is the first.
    """
    refuse_changed_file(repository.pointer_path, seen_sha256)
    plan, chain = _plan_unlocked(repository, run, request, make_plan)
    if run.is_prepared and isinstance(plan, ActivationPlan) and plan.record.previous is None:
        _begin_chain(repository, run, seen_sha256, request.actor)
        plan, chain = _plan_unlocked(repository, run, request, make_plan)
    if isinstance(plan, Refusal):
        return plan
    if isinstance(plan, NothingToMove):
        return None
    plan = replace(stamp_plan(run, plan), signatures=run.signatures)
    moved, findings = (move.registry_id for move in plan.moves), plan.findings
    # Whether a key is an allowed one is known when it has signed.
    if run.signer is None:
        findings += find_missing_signatures(repository, chain, plan, run.started, moved)
    run_id = _find_free_run_id(repository, run)
    if plan.record.previous is None:
        run_id = run_id.next()  # the first change seals an `init` record before its own
    ref = SealedRef(str(run_id), repository.config.publish_root, None, "")
    return Activation(plan.record.action, plan.moves, ref, plan.record.after_sha256, findings, plan.document)


def _plan_unlocked(
    repository: Repository, run: BuildRun, request: ChangeRequest, make_plan: PlanFunction
) -> tuple[PlanResult, ChainState]:
    """Return the plan of this moment, and the chain that it follows; another change may be faster."""
    state = read_pointer_state(repository, from_checkpoint=True)
    data = pointer_file_bytes(empty_pointer_file(utc_text(run.started))) if state.pointers is None else state.pointers
    return _plan_or_refuse(repository, run, request, data, state.chain, make_plan), state.chain


def _read_or_create_pointers(repository: Repository, run: BuildRun) -> bytes:
    """Return the bytes of the pointer file; a missing one is created unless activation records exist."""
    data = read_pointer_bytes(repository)
    if data is None and not read_chain(repository).records:
        data = pointer_file_bytes(empty_pointer_file(utc_text(run.started)))
        replace_file(repository.pointer_path, data, None)
    if data is None:
        raise NotFoundError(
            f"{repository.config.pointers} is missing, but activation records exist",
            "run `registry-pipeline doctor --fix` to restore it from the last record",
        )
    return data


def _plan_or_refuse(
    repository: Repository,
    run: BuildRun,
    request: ChangeRequest,
    data: bytes,
    chain: ChainState,
    make_plan: PlanFunction,
) -> PlanResult:
    """Return what `make_plan` returns, or a refusal if the pointer file or the chain has an error."""
    pointers, malformed = parse_pointer_file(data, repository.config.pointers)
    malformed = advise_on_file(malformed, has_records=bool(chain.records))
    # Any error of the pointer file or the chain refuses every change, whatever is requested.
    errors = sorted_findings(f for f in (*malformed, *chain.findings) if f.severity is Severity.ERROR)
    if errors:
        return Refusal(errors)
    activation = ActivationRequest(
        candidates=request.candidates,
        pointers=pointers,
        state=read_activation_state(repository, chain, pointers),
        previous=None if chain.head is None else chain.head.ref,
        actor=request.actor,
        reason=request.reason,
        now_utc=utc_text(run.started),
        allow_mixed=request.allow_mixed,
        allow_foreign=request.allow_foreign,
        own_notes=chain.facts.own_notes,
    )
    return make_plan(activation, data, chain)


def _commit_plan(repository: Repository, run: BuildRun, plan: ActivationPlan) -> SealedRef:
    """Write the intent, seal the record under its run id, replace the pointer file, and remove the intent.

    An error before the record is sealed leaves all as it was; one after it says whether the pointers moved.
    """
    record, run_id = plan.record, _find_free_run_id(repository, run)
    create_intent(repository.pointer_path, str(run_id), record.before_sha256, record.after_sha256)
    try:
        ref = seal_record(repository, run, plan, run_id)
        replace_file(repository.pointer_path, plan.after_bytes, record.before_sha256)
        remove_intent(repository.pointer_path)
    except RegistryPipelineError as error:
        if (repository.publish_root / str(run_id)).exists():
            raise _make_interrupted_error(repository, str(run_id), record.after_sha256, error) from None
        # The record was not sealed, so nothing changed.
        with suppress(RegistryPipelineError):
            remove_intent(repository.pointer_path)
        raise
    return ref


def _make_interrupted_error(
    repository: Repository, run_id: str, after_sha256: str, error: RegistryPipelineError
) -> RegistryPipelineError:
    """Return the error of a change that failed after its record was sealed: whether the pointers moved."""
    if read_pointer_hash(repository) == after_sha256:
        return DurabilityError(f"the pointers moved, recorded in {run_id}; then: {error.message}", error.advice)
    return WriteError(
        f"{run_id} is sealed, but the pointer file was not replaced: {error.message}",
        "fix the cause, then complete the change with `registry-pipeline doctor --fix --finish`, "
        "or void it with `registry-pipeline doctor --fix --void --reason TEXT`",
    )


def seal_record(repository: Repository, run: BuildRun, plan: ActivationPlan, run_id: RunId | None = None) -> SealedRef:
    """Seal a record under `run_id` or the next free one; RegistryPipelineError if another program took that name."""
    expected = run_id or _find_free_run_id(repository, run)
    built = Built(ACTIVATION_TAG, plan.artifacts, Inputs(), utc_text(run.started), str(repository.root))
    # The record has its own signatures, so its folder needs no statement.
    run = replace(run, signer=None)
    sealed = seal_built(repository, run, catalog_of(repository).spec_of(ACTIVATION_TAG), built, reuse_attempt=False)
    if sealed.ref.run_id != str(expected):
        raise RegistryPipelineError(
            f"the record was sealed as {sealed.ref.run_id} instead of {expected}: another program writes run folders",
            "run `registry-pipeline status`; the pointer file is unchanged",
        )
    return sealed.ref


def _seal_checkpoint(repository: Repository, run: BuildRun, actor: str) -> None:
    """Seal a checkpoint after the head, unless a reader could not use it."""
    # The chain is read again, because a checkpoint must say what is on the disk.
    state = read_locked_state(repository, from_checkpoint=True)
    head, lines, run_id = state.chain.head, state.chain.lines, str(_find_free_run_id(repository, run))
    if state.pointers is None or state.chain.state != "committed" or head is None or lines is None:
        return
    # Readers look for it from the last name on. The start of `run` may be earlier than that of another run.
    if max(lines) > run_id:
        return
    checkpoint = make_checkpoint(lines, state.chain.facts)
    plan = plan_checkpoint(state.pointers, checkpoint, previous=head.ref, actor=actor, reason=_CHECKPOINT_REASON)
    # No intent is written: sealing the record completes it, as with `void`.
    seal_record(repository, run, plan)


def _find_free_run_id(repository: Repository, run: BuildRun) -> RunId:
    run_id = RunId(run.started, ACTIVATION_TAG)
    while (repository.publish_root / str(run_id)).exists():
        run_id = run_id.next()
    return run_id
