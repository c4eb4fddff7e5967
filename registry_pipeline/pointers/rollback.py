"""Undo an activation, and mark a run bad."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError, NotFoundError, RefusedError
from registry_pipeline.findings.finding import plural
from registry_pipeline.pointers.chain import ACCEPTED_REMOVED, ACTIVATION_TAG, ChainState, SealedRecord
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.plan import (
    ActivationRequest,
    Candidate,
    PlanResult,
    plan_mark_bad,
    plan_rollback,
    require_reason,
)
from registry_pipeline.pointers.state import read_chain_state, read_locked_state
from registry_pipeline.pointers.transaction import ChangeRequest, change_pointers
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import make_sealed_run
from registry_pipeline.registries.run_registry.build import accept_removed
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope_file import read_stated_root
from registry_pipeline.runs.pointer_file import read_pointer_hash, read_pointers, verify_referenced_run
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline.values import replace, value_type

# A move with the number of its record in the chain.
_NumberedMove = tuple[int, Move]


class _RegistryHistory:
    """The moves of one registry that are in effect, and for each rollback that can be undone the moves it removed."""

    def __init__(self) -> None:
        self.in_effect: list[_NumberedMove] = []
        self.rollbacks: list[tuple[_NumberedMove, list[_NumberedMove]]] = []

    def apply(self, number: int, move: Move, *, is_rollback: bool) -> None:
        """Add the next move of the registry, which the record `number` made, to its history."""
        # (1) An activation adds its move. A rollback before it can no longer be undone.
        if not is_rollback:
            self.in_effect.append((number, move))
            self.rollbacks.clear()
            return
        # (2) A rollback removes the move that replaced the run it returns to, and every later one. This comes first:
        # a repeated rollback always goes further back.
        matches = [index for index, (_, earlier) in enumerate(self.in_effect) if earlier.from_ref == move.to_ref]
        if matches:
            self.rollbacks.append(((number, move), self.in_effect[matches[-1] :]))
            del self.in_effect[matches[-1] :]
            return
        # (3) A rollback to the run that the last rollback left undoes that rollback.
        _, removed = self.rollbacks[-1] if self.rollbacks else (None, [])
        if removed and removed[-1][1].to_ref == move.to_ref:
            self.in_effect += removed
            self.rollbacks.pop()
        else:
            self.in_effect.append((number, move))


def _find_last_moves(
    records: Sequence[SealedRecord], registry_id: str | None, *, redo: bool
) -> tuple[SealedRecord, tuple[Move, ...]] | None:
    """Return the last record with moves to undo, and these: moves in effect, or with `redo` those of a rollback."""
    # Registries are replayed separately: a rollback of one does not affect the others.
    histories: defaultdict[str, _RegistryHistory] = defaultdict(_RegistryHistory)
    for number, sealed in enumerate(records):
        for move in sealed.moves_of(registry_id):
            histories[move.registry_id].apply(number, move, is_rollback=sealed.record.action == "rollback")
    if redo:
        candidates = [history.rollbacks[-1][0] for history in histories.values() if history.rollbacks]
    else:
        candidates = [history.in_effect[-1] for history in histories.values() if history.in_effect]
    if not candidates:
        return None
    last = max(number for number, _ in candidates)
    return records[last], tuple(move for number, move in candidates if number == last)


def _find_refs_after(records: Sequence[SealedRecord]) -> dict[str, SealedRef | None]:
    """Return the active run of each registry that these records moved, None if they left it without one."""
    return {move.registry_id: move.to_ref for sealed in records for move in sealed.record.moves}


@value_type
class RollbackTarget:
    """The moves of one record to undo; `restores` if that gives exactly the state before the record."""

    record: SealedRecord
    moves: tuple[Move, ...]
    restores: bool


def select_rollback(
    chain: ChainState, word: str | None = None, registry_id: str | None = None, *, redo: bool = False
) -> RollbackTarget:
    """Return the moves to undo: those of the record `word`, or else of the last activation still in effect.

    With `redo` the last rollback is undone, unless an activation followed it. `registry_id` selects a single move.

    Raises:
        NotFoundError: there is no such record, or `word` matches several (exit 7).
        RefusedError: the record moved nothing, or not this registry (exit 5).
    """
    if word is None:
        found = _find_last_moves(chain.records, registry_id, redo=redo)
        if found is None:
            missing = "no rollback to undo" if redo else "no activation in effect"
            raise NotFoundError(f"there is {missing}; nothing changed", "run `registry-pipeline log`")
        record, moves = found
    else:
        record = find_record(chain.records, word)
        moves = record.moves_of(registry_id)
    if not moves:
        moved = "nothing" if registry_id is None else f"no {registry_id}"
        raise RefusedError(f"{record.ref.run_id} ({record.record.action}) moved {moved}", "run `registry-pipeline log`")
    # The earlier state is restored only if all moves are undone and no later record changed these registries.
    after_record = _find_refs_after(chain.records[: chain.records.index(record) + 1])
    now = _find_refs_after(chain.records)
    is_last_change = after_record == {name: ref for name, ref in now.items() if name in after_record or ref is not None}
    return RollbackTarget(record, moves, restores=is_last_change and len(moves) == len(record.record.moves))


def find_record(records: Sequence[SealedRecord], word: str) -> SealedRecord:
    """Return the one record with this run id, or whose run id or root starts so; NotFoundError if none or several."""
    matches = [r for r in records if r.ref.run_id == word] or [
        r for r in records if r.ref.run_id.startswith(word) or r.ref.manifest_sha256.startswith(word)
    ]
    if len(matches) != 1:
        number = plural(len(matches), "activation record") if matches else "no activation record"
        raise NotFoundError(f"{word!r} matches {number}", "run `registry-pipeline log` to list the records")
    return matches[0]


def rollback(
    repository: Repository,
    run: BuildRun,
    target: RollbackTarget,
    *,
    actor: str,
    reason: str,
    allow_mixed: bool = False,
    dry_run: bool = False,
) -> Activation | Refusal | None:
    """Activate, for each move to undo, the run that it replaced; None if nothing changes, a refusal if one may not be.

    With `dry_run` nothing is written, and the result is that of the rollback.

    Raises:
        BusyError: another change holds the lock, or happened meanwhile (exit 6).
        ConfigError: the reason is missing (exit 2).
    """
    # (1) Validate the runs to return to again: they may have changed since they were active.
    pointer_sha256 = read_pointer_hash(repository)
    accepted = find_accepted_removals(read_chain_state(repository))
    candidates = tuple(
        validate_target(repository, move.registry_id, move.from_ref, accepted)
        for move in target.moves
        if move.from_ref is not None
    )

    # (2) Under the lock: plan the rollback, seal its record, replace the pointer file.
    def make_plan(request: ActivationRequest, _pointers: bytes, _chain: ChainState) -> PlanResult:
        # The record may be older than the checkpoint that the chain was read from.
        if target.record.ref not in [sealed.ref for sealed in read_locked_state(repository).chain.records]:
            raise BusyError(f"{target.record.ref.run_id} was voided meanwhile; nothing changed", "see the log")
        return plan_rollback(request, target.moves, restores=target.restores)

    request = ChangeRequest(actor, reason, candidates, allow_mixed, dry_run=dry_run)
    return change_pointers(repository, run, pointer_sha256, request, make_plan)


def validate_target(repository: Repository, registry_id: str, ref: SealedRef, accepted: frozenset[str]) -> Candidate:
    """Return a run of the chain with a new verdict; `accepted` are the run ids whose removed runs were accepted."""
    sealed = make_sealed_run(registry_id, ref, verify_referenced_run(repository, ref))
    verdict = validate(repository, sealed)
    return Candidate(sealed, accept_removed(verdict) if ref.run_id in accepted else verdict)


def find_accepted_removals(chain: ChainState) -> frozenset[str]:
    """Return the run ids of run_registry that were activated although runs were removed."""
    return frozenset(
        move.to_ref.run_id
        for sealed in chain.records
        if sealed.record.verdicts.get(ACCEPTED_REMOVED)
        for move in sealed.record.moves
        if move.to_ref is not None and move.registry_id == "run_registry"
    )


def mark_bad(
    repository: Repository, run: BuildRun, found: FoundRun, *, actor: str, reason: str, dry_run: bool = False
) -> Activation | Refusal | None:
    """Prevent every later activation of a run; a pointer to it becomes `false`. None if it is marked already.

    With `dry_run` nothing is written, and the result is that of the change.

    Raises:
        RefusedError: the folder is an activation record, is not sealed, or is outside the run roots (exit 5).
        BusyError, ConfigError: as `rollback`.
    """
    require_reason(reason, "marking a run bad")
    pointer_sha256 = read_pointer_hash(repository)
    ref = _find_ref_to_mark(repository, found)

    def make_plan(request: ActivationRequest, pointers: bytes, _chain: ChainState) -> PlanResult:
        return plan_mark_bad(request, pointers, ref)

    return change_pointers(repository, run, pointer_sha256, ChangeRequest(actor, reason, dry_run=dry_run), make_plan)


def _find_ref_to_mark(repository: Repository, found: FoundRun) -> SealedRef:
    """Return the reference of a run as its pointer states it, or else from its folder."""
    if found.run_root is None:
        raise RefusedError(f"{found.shown} is outside the run roots", "such a run can never be activated")
    # The reference in the pointer file is used even if the folder changed or is missing.
    for pointer in read_pointers(repository).pointers:
        if pointer.ref is not None and (pointer.ref.run_root, pointer.ref.run_id) == (found.run_root, found.run_id):
            return pointer.ref
    ref = SealedRef(found.run_id, found.run_root, None, "")
    report = verify_referenced_run(repository, ref)
    if (report.run_json or {}).get("registry_id") == ACTIVATION_TAG:
        raise RefusedError(
            f"{found.run_id} is an activation record",
            "use `registry-pipeline rollback --reason TEXT` to undo its moves, "
            "or `registry-pipeline doctor` to repair the chain",
        )
    # An altered run can be marked too: without its hash file, manifest.json still gives its root.
    root = report.root_sha256 or read_stated_root(Path(found.path))
    if root is None:
        raise RefusedError(f"{found.run_id} is not sealed", "without a seal it can never be activated")
    return replace(ref, manifest_sha256=root)
