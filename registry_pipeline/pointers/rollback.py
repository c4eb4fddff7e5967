"""Taking an activation back, and keeping a bad run from ever being one (SPEC 5)."""

from __future__ import annotations

from collections.abc import Sequence

from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError, ConfigError, NotFoundError, RefusedError
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.chain_records import SealedRecord
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.moves import last_in_effect, last_rollback, refs_after
from registry_pipeline.pointers.plan import ActivationPlan, ActivationRequest, Candidate, NothingToMove
from registry_pipeline.pointers.plan_rollback import plan_mark_bad, plan_rollback
from registry_pipeline.pointers.record import ACCEPTED_REMOVED, ACTIVATION_TAG
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.pointers.transaction import ChangeRequest, LockedState, change_pointers
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import sealed_run
from registry_pipeline.registries.run_registry.check_removed_runs import accept_removed
from registry_pipeline.registries.validation import spec_of, validate
from registry_pipeline.runs.authenticated import read_stated_root
from registry_pipeline.runs.pointer_file import pointer_hash, read_pointers, read_report
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline.values import replace, value_type


@value_type
class RollbackTarget:
    """The moves of one record that a rollback undoes; `restores` if the state before that record comes back whole."""

    record: SealedRecord
    moves: tuple[Move, ...]
    restores: bool


def select_rollback(
    chain: ChainState, word: str | None = None, registry_id: str | None = None, *, redo: bool = False
) -> RollbackTarget:
    """Return what to undo: moves of the record that `word` names, else of the last activation still in effect.

    With `redo` it is the last rollback that was neither undone nor superseded. `registry_id` selects its move alone.

    Raises:
        NotFoundError: there is none, `word` names no standing record or several, or the registry is unknown (exit 7).
        RefusedError: the named record moved nothing, or not this registry (exit 5).
    """
    if registry_id is not None:
        spec_of(registry_id)
    if word is None:
        found = (last_rollback if redo else last_in_effect)(chain.records, registry_id)
        if not found:
            what = "no rollback that can be undone" if redo else "no activation that is still in effect"
            raise NotFoundError(f"there is {what}; nothing moved", "`registry-pipeline log` lists what there is")
        record, moves = found[0].record, tuple(each.move for each in found)
    else:
        record = find_record(chain.records, word)
        moves = tuple(move for move in record.record.moves if registry_id in (None, move.registry_id))
    if not moves:
        moved = "nothing" if registry_id is None else f"no {registry_id}"
        raise RefusedError(f"{record.ref.run_id} ({record.record.action}) moved {moved}", "`registry-pipeline log`")
    until = chain.records[: chain.records.index(record) + 1]
    untouched = refs_after(until) == {
        name: ref for name, ref in refs_after(chain.records).items() if name in refs_after(until) or ref is not None
    }
    return RollbackTarget(record, moves, restores=untouched and len(moves) == len(record.record.moves))


def find_record(records: Sequence[SealedRecord], word: str) -> SealedRecord:
    """Return the one record that a run id, its beginning, or the beginning of its root names.

    Raises:
        NotFoundError: none, or more than one, is meant.
    """
    exact = [r for r in records if r.ref.run_id == word]
    near = exact or [r for r in records if r.ref.run_id.startswith(word) or r.ref.manifest_sha256.startswith(word)]
    if len(near) != 1:
        count = "no activation record" if not near else f"{len(near)} activation records"
        raise NotFoundError(f"{word!r} names {count} of the chain", "`registry-pipeline log` lists them")
    return near[0]


def rollback(
    repository: Repository,
    run: BuildRun,
    target: RollbackTarget,
    *,
    actor: str,
    reason: str,
    allow_mixed: bool = False,
) -> Activation | Refusal | None:
    """Return each registry to what the undone move had replaced; None if it is there already.

    What is returned to is verified anew; where nothing was replaced the pointer becomes `unknown`.

    Raises:
        BusyError: another change holds the lock or came between (exit 6).
        ConfigError: no reason is given.
    """
    seen = pointer_hash(repository)
    accepted = accepted_removals(read_chain_state(repository))
    candidates = tuple(
        validate_target(repository, move.registry_id, move.from_ref, accepted)
        for move in target.moves
        if move.from_ref is not None
    )

    def plan(request: ActivationRequest, standing: LockedState) -> ActivationPlan | NothingToMove | Refusal:
        if target.record.ref not in [r.ref for r in standing.chain.records]:
            raise BusyError(f"{target.record.ref.run_id} was voided meanwhile; nothing moved", "see the log")
        return plan_rollback(request, target.moves, restores=target.restores)

    return change_pointers(repository, run, seen, ChangeRequest(actor, reason, candidates, allow_mixed), plan)


def validate_target(repository: Repository, registry_id: str, ref: SealedRef, accepted: frozenset[str]) -> Candidate:
    """Return a run that the chain names with a new verdict; `accepted` are the runs whose losses were accepted."""
    sealed = sealed_run(registry_id, ref, read_report(repository, ref))
    verdict = validate(repository, sealed)
    return Candidate(sealed, accept_removed(verdict) if ref.run_id in accepted else verdict)


def accepted_removals(chain: ChainState) -> frozenset[str]:
    """Return the run registries that were put in force although runs were gone: that was accepted once and for all."""
    return frozenset(
        move.to_ref.run_id
        for sealed in chain.records
        if sealed.record.verdicts.get(ACCEPTED_REMOVED)
        for move in sealed.record.moves
        if move.to_ref is not None and move.registry_id == "run_registry"
    )


def mark_bad(
    repository: Repository, run: BuildRun, found: FoundRun, *, actor: str, reason: str
) -> Activation | Refusal | None:
    """Keep a run from ever being activated again; where it is active its pointer becomes `false`. None if it is so.

    Raises:
        RefusedError: the folder is an activation record, has no root that could be named, or lies outside the run
            roots (exit 5). BusyError: another change holds the lock or came between. ConfigError: no reason is given.
    """
    if not reason.strip():
        raise ConfigError("marking a run bad needs a reason", "say why with --reason TEXT")
    seen = pointer_hash(repository)
    ref = _bad_ref(repository, found)

    def plan(request: ActivationRequest, standing: LockedState) -> ActivationPlan | NothingToMove | Refusal:
        return plan_mark_bad(request, standing.pointers, ref)

    return change_pointers(repository, run, seen, ChangeRequest(actor, reason), plan)


def _bad_ref(repository: Repository, found: FoundRun) -> SealedRef:
    """Return the reference of a run that is to be marked: as its pointer names it, else as it lies on the disk."""
    if found.run_root is None:
        raise RefusedError(f"{found.shown} is outside the run roots", "such a run can never be activated")
    for pointer in read_pointers(repository).pointers:
        if pointer.ref is not None and (pointer.ref.run_root, pointer.ref.run_id) == (found.run_root, found.run_id):
            return pointer.ref
    ref = SealedRef(found.run_id, found.run_root, None, "")
    report = read_report(repository, ref)
    if (report.run_json or {}).get("registry_id") == ACTIVATION_TAG:
        raise RefusedError(
            f"{found.run_id} is an activation record", "`rollback` takes back what it moved; `doctor` settles the chain"
        )
    # What was altered is marked as well: a log whose hash file is gone still has a manifest that gives its root.
    root = report.root_sha256 or read_stated_root(found.path)
    if root is None:
        raise RefusedError(f"{found.run_id} is not sealed", "without a seal it can never be activated")
    return replace(ref, manifest_sha256=root)
