"""The protocol of every change of the pointer file (SPEC 5; its order is told in `activate/__init__`).

Holds lock, compare, read, plan, intent, record, replacement, once for all that move pointers. What is planned comes in
as a function of what was read under the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import DurabilityError, NotFoundError, RegistryPipelineError, WriteError
from registry_pipeline.files.atomic_write import refuse_changed, replace_file
from registry_pipeline.findings.finding import Severity, sorted_findings
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.chain_records import read_chain
from registry_pipeline.pointers.new_pointer_file import empty_pointer_file, pointer_file_bytes
from registry_pipeline.pointers.plan import ActivationPlan, ActivationRequest, Candidate, NothingToMove, plan_init
from registry_pipeline.pointers.record import ACTIVATION_TAG, FIRST_REASON
from registry_pipeline.pointers.state import read_active_runs, read_locked_state
from registry_pipeline.pointers.store import pointer_lock, remove_intent, write_intent
from registry_pipeline.registries.base.seal_build import BuildRun, refuse_linked_publish_root, seal_built
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file, pointer_hash, read_pointer_bytes
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.sealed_run import Activation, Built, Refusal
from registry_pipeline.values import value_type


@value_type
class ChangeRequest:
    """What somebody wants: who, why, and which runs shall be in force, each with its verdict."""

    actor: str
    reason: str
    candidates: tuple[Candidate, ...] = ()
    allow_mixed: bool = False
    allow_foreign: bool = False


@value_type
class LockedState:
    """What stands under the lock: the pointer file's bytes, and the chain."""

    pointers: bytes
    chain: ChainState


Plan = Callable[[ActivationRequest, LockedState], ActivationPlan | NothingToMove | Refusal]


def change_pointers(
    repository: Repository, run: BuildRun, seen_sha256: str | None, asked: ChangeRequest, plan: Plan
) -> Activation | Refusal | None:
    """Make one change under the lock, with a sealed record; None if there is nothing to change.

    `seen_sha256` is the pointer file's hash when the verdicts were made. Any error of the pointer file or of the chain
    refuses before anything is planned, and what is refused seals nothing.

    Raises:
        BusyError: another change holds the lock, or the pointer file changed since the verdicts (exit 6).
        NotFoundError: the pointer file is gone though the chain has begun.
        RefusedError: publish_root lies behind a link (exit 5).
    """
    refuse_linked_publish_root(repository)
    with pointer_lock(repository.pointer_path, repository.root):
        refuse_changed(repository.pointer_path, seen_sha256)
        standing = LockedState(_pointers_to_change(repository, run), read_locked_state(repository).chain)
        planned = _planned(repository, run, asked, standing, plan)
        if isinstance(planned, Refusal):
            return planned
        if isinstance(planned, NothingToMove):
            return None
        remove_intent(repository.pointer_path)
        if planned.record.previous is None:
            first = plan_init(standing.pointers, actor=asked.actor, reason=FIRST_REASON)
            planned = planned.following(commit(repository, run, first))
        record = commit(repository, run, planned)
    return Activation(planned.record.action, planned.moves, record, planned.record.after_sha256, planned.findings)


def _pointers_to_change(repository: Repository, run: BuildRun) -> bytes:
    """Return the pointer file's bytes; where there is neither file nor chain, make the empty one."""
    data = read_pointer_bytes(repository)
    if data is None and not read_chain(repository).records:
        data = pointer_file_bytes(empty_pointer_file(utc_text(run.started)))
        replace_file(repository.pointer_path, data, None)
    if data is None:
        raise NotFoundError(
            f"{repository.config.pointers} is gone, and there are activation records",
            "`registry-pipeline doctor --fix` writes back what the last record keeps of it",
        )
    return data


def _planned(
    repository: Repository, run: BuildRun, asked: ChangeRequest, standing: LockedState, plan: Plan
) -> ActivationPlan | NothingToMove | Refusal:
    pointers, malformed = parse_pointer_file(standing.pointers, repository.config.pointers)
    chain = standing.chain
    against = sorted_findings(f for f in (*malformed, *chain.findings) if f.severity is Severity.ERROR)
    if against:
        return Refusal(against)
    request = ActivationRequest(
        candidates=asked.candidates,
        pointers=pointers,
        active=read_active_runs(repository, pointers),
        marked_bad=chain.marked_bad,
        specs=REGISTRIES,
        run_roots=repository.config.run_roots,
        previous=None if chain.head is None else chain.head.ref,
        actor=asked.actor,
        reason=asked.reason,
        now_utc=utc_text(run.started),
        allow_mixed=asked.allow_mixed,
        own_notes=frozenset(sealed.record.reason for sealed in chain.records),
        repository_id=repository.config.repository_id,
        allow_foreign=asked.allow_foreign,
        accepted_foreign=chain.accepted_foreign(repository.config.repository_id),
    )
    return plan(request, standing)


def commit(repository: Repository, run: BuildRun, plan: ActivationPlan) -> SealedRef:
    """Write the intent, seal the record under the id that the intent names, replace the pointer file."""
    record, run_id = plan.record, _free_run_id(repository, run)
    write_intent(repository.pointer_path, str(run_id), record.before_sha256, record.after_sha256)
    try:
        ref = seal_record(repository, run, plan, run_id)
        replace_file(repository.pointer_path, plan.after_bytes, record.before_sha256)
        remove_intent(repository.pointer_path)
    except RegistryPipelineError as error:
        if (repository.publish_root / str(run_id)).exists():
            raise _interrupted_change(repository, str(run_id), record.after_sha256, error) from None
        with suppress(RegistryPipelineError):  # the record was not sealed: nothing has happened
            remove_intent(repository.pointer_path)
        raise
    return ref


def _interrupted_change(
    repository: Repository, run_id: str, after_sha256: str, error: RegistryPipelineError
) -> RegistryPipelineError:
    """Return what to say of a change whose record is sealed: whether the pointers moved, and what to do next."""
    if pointer_hash(repository) == after_sha256:
        return DurabilityError(f"the pointers moved, recorded in {run_id}; then: {error.message}", error.advice)
    return WriteError(
        f"{run_id} is sealed, and the pointer file was not replaced: {error.message}",
        "fix the cause, then `registry-pipeline doctor --fix --finish` completes the change, "
        "or `doctor --fix --void --reason TEXT` takes it out",
    )


def seal_record(repository: Repository, run: BuildRun, plan: ActivationPlan, run_id: RunId | None = None) -> SealedRef:
    """Seal the record of a plan under exactly this run id, or under one that is free.

    Raises:
        RegistryPipelineError: another writer took the id; the pointer file is as it was.
    """
    wanted = run_id or _free_run_id(repository, run)
    built = Built(ACTIVATION_TAG, plan.artifacts, Inputs(), utc_text(run.started))
    sealed = seal_built(repository, run, spec_of(ACTIVATION_TAG), built, retried=False)
    if sealed.ref.run_id != str(wanted):
        raise RegistryPipelineError(
            f"the record was sealed as {sealed.ref.run_id} and not as {wanted}: something else writes run folders here",
            "look at `registry-pipeline status`; the pointer file is as it was",
        )
    return sealed.ref


def _free_run_id(repository: Repository, run: BuildRun) -> RunId:
    run_id = RunId(run.started, ACTIVATION_TAG)
    while (repository.publish_root / str(run_id)).exists():
        run_id = run_id.next()
    return run_id
