"""Repair the chain on request: complete or void a record, start or restart the chain, restore the pointer file.

`doctor --fix`, `init --restart-chain` and `init --adopt` call these functions. Each takes the lock of every change,
and raises BusyError (exit 6) if another one holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError, EvidenceError, RefusedError
from registry_pipeline.files.atomic_write import (
    create_file,
    read_own_file,
    refuse_changed_file,
    remove_file,
    replace_file,
    temporary_path,
)
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.chain import AFTER_FILE, RECORD_FILE, RESTART_PREFIX, ChainState, SealedRecord
from registry_pipeline.pointers.plan import ActivationPlan, find_run_obstacles, plan_init, plan_void, require_reason
from registry_pipeline.pointers.rollback import find_accepted_removals, find_record, validate_target
from registry_pipeline.pointers.signatures import find_missing_signatures, find_unsigned_state, is_restored_by
from registry_pipeline.pointers.state import (
    pointer_lock,
    read_activation_state,
    read_chain,
    read_locked_state,
    remove_intent,
)
from registry_pipeline.pointers.transaction import seal_record, sign_plan, stamp_plan, take_signatures
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.envelope_file import read_stated_root
from registry_pipeline.runs.pointer_file import read_pointer_bytes, read_pointers, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal

_MOST_LOSSES: Final = 10
# The word that names the pending record on the command line.
PENDING: Final = "pending"


def complete_pending(repository: Repository) -> Activation | Refusal | None:
    """Replace the pointer file with the state of the pending record; None if nothing is pending.

    A refusal, which changes nothing, if a run that it activates has an obstacle or no longer passes its checks.
    """
    with pointer_lock(repository.pointer_path, repository.root):
        chain = read_locked_state(repository).chain
        head = chain.head
        if chain.state != "pending" or head is None:
            return None
        # Age and consistency were checked before the record was sealed, and no pointer has moved since.
        obstacles = _find_pending_errors(repository, chain, head) or find_unsigned_state(repository, chain, head)
        if obstacles:
            return Refusal(obstacles)
        replace_file(repository.pointer_path, read_state_after(repository, head), head.record.before_sha256)
        remove_intent(repository.pointer_path)
    return Activation(head.record.action, head.record.moves, head.ref, head.record.after_sha256)


def _find_pending_errors(repository: Repository, chain: ChainState, head: SealedRecord) -> tuple[Finding, ...]:
    """Return the errors of the runs that the pending record would activate, validated again."""
    accepted = find_accepted_removals(chain)
    # The pending record is part of the chain, so the foreign runs that it accepts are accepted here.
    state = read_activation_state(repository, chain, read_pointers(repository))
    findings: list[Finding] = []
    for move in head.record.moves:
        if move.to_ref is not None:
            candidate = validate_target(repository, move.registry_id, move.to_ref, accepted)
            findings += [f for f in find_run_obstacles(candidate, state) if f.severity is Severity.ERROR]
            findings += candidate.verdict.errors()
    return sorted_findings(findings)


def void_records(
    repository: Repository, run: BuildRun, words: Sequence[str], *, actor: str, reason: str
) -> Activation | Refusal | None:
    """Void records: the pending one, or each branch that contains a named record.

    None, without any change, if `words` has `pending` and nothing is pending.

    Raises:
        NotFoundError: a word names no record, or several (exit 7).
        RefusedError: a record is in effect, or the chain would not end in one record (exit 5).
    """
    require_reason(reason, "voiding a record")

    def make_plan() -> tuple[ActivationPlan, list[str], ChainState] | None:
        chain = read_locked_state(repository).chain
        if PENDING in words and chain.state != "pending":
            return None
        # A chain with a pending record has a head.
        named = [chain.head if word == PENDING and chain.head else find_record(chain.records, word) for word in words]
        voided, last = _select_voided(chain, named)
        pointers = read_state_after(repository, last)
        refs = [r.ref for r in voided]
        plan = stamp_plan(run, plan_void(pointers, refs, previous=last.ref, actor=actor, reason=reason))
        restored = [name for name, ref in last.active.items() if is_restored_by(chain, refs, name, ref)]
        return plan, restored, chain

    # As every record, it is signed without the lock.
    expected = make_plan() if run.is_signed else None
    signed = None if expected is None else sign_plan(run, expected[0])
    with pointer_lock(repository.pointer_path, repository.root):
        planned = make_plan()
        if planned is None:
            return None
        plan, restored, chain = planned
        if run.is_signed:
            plan = take_signatures(plan, signed)
        # What the void restores would otherwise be active by an unsigned record.
        unsigned = find_missing_signatures(repository, chain, plan, run.started, restored)
        return Refusal(unsigned) if unsigned else _seal_without_move(repository, run, plan)


def restart_chain(repository: Repository, run: BuildRun, *, actor: str, reason: str) -> Activation:
    """Seal a new `init` record for a chain whose errors cannot be repaired; its reason lists what was lost.

    The remaining records are retired: their folders stay, and their marks of bad runs and rollbacks still count.

    Raises:
        RefusedError: the chain has no error, or the pointer file is missing (exit 5).
    """
    require_reason(reason, "restarting the chain")
    with pointer_lock(repository.pointer_path, repository.root):
        state = read_locked_state(repository)
        losses = [f for f in state.chain.findings if f.severity is Severity.ERROR]
        if not losses:
            raise RefusedError("the activation chain has no error to restart from", "see `verify --chain`")
        if state.pointers is None:
            raise RefusedError(f"{repository.config.pointers} is missing", "run `registry-pipeline doctor --fix` first")
        listed = ", ".join(f"{f.code} {f.path}" for f in losses[:_MOST_LOSSES])
        reason = f"{RESTART_PREFIX}{reason} ({listed})"
        plan = plan_init(state.pointers, actor=actor, reason=reason, retired=_find_records_to_retire(repository))
        return _seal_without_move(repository, run, plan)


def start_chain(
    repository: Repository,
    run: BuildRun,
    data: bytes | None,
    seen_sha256: str | None,
    quarantine: Path,
    *,
    actor: str,
    reason: str,
) -> tuple[Activation, Path | None]:
    """Seal the first `init` record of a pointer file that another tool wrote; first replace the file by `data`.

    Returns the record, and where the replaced bytes are kept, None without `data`. `seen_sha256` is the hash of the
    file that `data` was made from.

    Raises:
        BusyError: the file changed since, or the chain was started meanwhile (exit 6).
    """
    with pointer_lock(repository.pointer_path, repository.root):
        refuse_changed_file(repository.pointer_path, seen_sha256)
        state = read_locked_state(repository)
        if state.chain.state != "not_chained" or state.pointers is None:
            raise BusyError("another process started the activation chain", "run `registry-pipeline status`")
        copy = None
        # Killed after this, a repeat finds a file without errors and seals the record.
        if data is not None:
            copy = _keep_copy(quarantine, repository.pointer_path, state.pointers)
            replace_file(repository.pointer_path, data, seen_sha256)
        plan = plan_init(state.pointers if data is None else data, actor=actor, reason=reason)
        return _seal_without_move(repository, run, plan), copy


def _seal_without_move(repository: Repository, run: BuildRun, plan: ActivationPlan) -> Activation:
    """Seal the record of a change that moves no pointer, then remove the intent."""
    # No intent is written: sealing the record completes the change. The intent of a voided record stays until then.
    ref = seal_record(repository, run, plan)
    remove_intent(repository.pointer_path)
    return Activation(plan.record.action, (), ref, plan.record.after_sha256)


def _find_records_to_retire(repository: Repository) -> list[SealedRef]:
    """Return every activation record that exists or that a report names; the root of a broken one may be invented."""
    chain = read_chain(repository)
    refs = {record.ref for record in chain.records} | {ref for _, ref in chain.witnesses}
    for broken in chain.broken:
        run_root, _, run_id = broken.path.rpartition("/")
        root = read_stated_root(repository.path(broken.path)) or sha256_hex(b"")
        refs.add(SealedRef(run_id, run_root, RECORD_FILE, root))
    return sorted(refs)


def read_state_after(repository: Repository, record: SealedRecord) -> bytes:
    """Return the pointer file that a record contains, verified again.

    Raises:
        EvidenceError: the folder is not the one that the chain was read from.
    """
    report = verify_referenced_run(repository, record.ref, [AFTER_FILE])
    data = report.kept.get(AFTER_FILE)
    same_root = report.root_sha256 == record.ref.manifest_sha256
    if not same_root or data is None or sha256_hex(data) != record.record.after_sha256:
        raise EvidenceError(f"{record.path} does not verify", f"run `registry-pipeline verify {record.ref.run_id}`")
    return data


def restore_pointer_file(repository: Repository, quarantine: Path) -> bytes | Refusal | None:
    """Restore the head's state over a rewound or edited pointer file; None if it is neither.

    Returns the replaced bytes, a copy of which is in `quarantine`; b"" if there was no file or an empty one. A refusal,
    which changes nothing, if a pointer would move that only a signed record may move.
    """
    with pointer_lock(repository.pointer_path, repository.root):
        chain = read_locked_state(repository).chain
        if chain.state not in ("rewound", "edited") or chain.head is None:
            return None
        if unsigned := find_unsigned_state(repository, chain, chain.head):
            return Refusal(unsigned)
        replaced = read_pointer_bytes(repository)
        restored = read_state_after(repository, chain.head)
        if replaced is not None:
            _keep_copy(quarantine, repository.pointer_path, replaced)
        replace_file(repository.pointer_path, restored, None if replaced is None else sha256_hex(replaced))
        remove_intent(repository.pointer_path)
    return replaced or b""


def _keep_copy(quarantine: Path, pointer_path: Path, data: bytes) -> Path:
    """Write the bytes to quarantine, in a file whose name contains their hash; return its path."""
    # The name contains the hash, so an interrupted copy is found and replaced.
    copy = quarantine / f"{pointer_path.stem}.{sha256_hex(data)}{pointer_path.suffix}"
    if read_own_file(copy) != data:
        remove_file(copy)
        create_file(copy, data)
    return copy


def remove_leftovers(repository: Repository) -> bool:
    """Remove the intent and the temporary file of ended changes; return False if a change needs a repair first."""
    with pointer_lock(repository.pointer_path, repository.root):
        if read_locked_state(repository).chain.state not in ("committed", "not_chained"):
            return False
        remove_intent(repository.pointer_path)
        remove_file(temporary_path(repository.pointer_path))
    return True


def _select_voided(chain: ChainState, chosen: Sequence[SealedRecord]) -> tuple[Collection[SealedRecord], SealedRecord]:
    """Return the chosen records, each with its branch, and the last record that remains; refuse one in effect."""
    voided: dict[str, SealedRecord] = {}
    for record in chosen:
        voided |= {r.root: r for r in _find_branch(chain.records, record)}
    kept = [r for r in chain.records if r.root not in voided]
    leaves = [r for r in kept if not _find_followers(kept, r)]
    names = ", ".join(record.ref.run_id for record in chosen)
    if len(leaves) != 1:
        ends = ", ".join(leaf.ref.run_id for leaf in leaves) or "no record"
        raise RefusedError(
            f"without {names} the chain would end in {ends}, but it must end in one record",
            "name one record of every branch to void, each with its own --void",
        )
    pending = chain.head if chain.state == "pending" else None
    if any(r is not pending for r in _find_followers(voided.values(), leaves[0])):
        raise RefusedError(
            f"{names} is in effect and not part of a fork", "undo it with `registry-pipeline rollback --reason TEXT`"
        )
    return voided.values(), leaves[0]


def _find_branch(records: Sequence[SealedRecord], record: SealedRecord) -> list[SealedRecord]:
    """Return a record, the records from the fork to it, and all that follow; without a fork, the record and those."""
    by_root: dict[str | None, SealedRecord] = {r.root: r for r in records}
    current = record
    while current.previous_root is not None:
        parent = by_root.get(current.previous_root)
        if parent is None or len(_find_followers(records, parent)) > 1:
            return _list_with_followers(records, current)
        current = parent
    # Two `init` records are a fork too: then the whole branch back to `init` is voided.
    starts = sum(r.record.previous is None for r in records)
    return _list_with_followers(records, current if starts > 1 else record)


def _list_with_followers(records: Sequence[SealedRecord], first: SealedRecord) -> list[SealedRecord]:
    branch = [first]
    for record in branch:
        branch += _find_followers(records, record)
    return branch


def _find_followers(records: Collection[SealedRecord], record: SealedRecord) -> list[SealedRecord]:
    return [r for r in records if r.previous_root == record.root]
