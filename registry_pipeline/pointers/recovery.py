"""Settling what the protocol leaves open: a pending record, a fork, a pointer file that is not the head's (SPEC 5).

The three things that chain findings do not refuse. Each is asked for by name, and each holds the lock of every change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import ConfigError, EvidenceError, RefusedError
from registry_pipeline.files.atomic_write import create_file, read_own_file, remove_file, replace_file, temporary_path
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.chain_records import SealedRecord, read_chain
from registry_pipeline.pointers.plan import plan_init
from registry_pipeline.pointers.plan_rollback import plan_void
from registry_pipeline.pointers.record import AFTER_FILE, RECORD_FILE, RESTART_PREFIX
from registry_pipeline.pointers.rollback import accepted_removals, find_record, validate_target
from registry_pipeline.pointers.state import read_chain_state, read_locked_state
from registry_pipeline.pointers.store import pointer_lock, remove_intent
from registry_pipeline.pointers.transaction import seal_record
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.authenticated import read_stated_root
from registry_pipeline.runs.envelope import is_foreign
from registry_pipeline.runs.pointer_file import read_pointer_bytes, read_report
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline.values import value_type

_MOST_LOSSES: Final = 10
PENDING: Final = "pending"
"""The word for the record that is sealed and not in force."""


def resolve_pending(
    repository: Repository, run: BuildRun, how: Literal["finish", "void"], *, actor: str, reason: str
) -> Activation | Refusal | None:
    """Finish the pending record, or void it; None if nothing is pending.

    Raises:
        BusyError: another change holds the lock.
    """
    if read_chain_state(repository).state != "pending":
        return None
    return (
        complete_pending(repository)
        if how == "finish"
        else void_records(repository, run, [PENDING], actor=actor, reason=reason)
    )


def complete_pending(repository: Repository) -> Activation | Refusal | None:
    """Put the pending record in force: verdicts are made anew, the bytes are the record's; None if none is pending.

    Age and closure were judged under the lock, and nothing has moved since: the pointer file is what it was.

    Raises:
        BusyError: another change holds the lock. EvidenceError: the record's folder changed under our hands.
    """
    with pointer_lock(repository.pointer_path, repository.root):
        chain = read_locked_state(repository).chain
        head = chain.head
        if chain.state != "pending" or head is None:
            return None
        against = _against_finishing(repository, chain, head)
        if against:
            return Refusal(against)
        replace_file(repository.pointer_path, state_after(repository, head), head.record.before_sha256)
        remove_intent(repository.pointer_path)
    return Activation(head.record.action, head.record.moves, head.ref, head.record.after_sha256)


def _against_finishing(repository: Repository, chain: ChainState, head: SealedRecord) -> tuple[Finding, ...]:
    """Return what speaks against the runs that the pending record would put in force, as they are now."""
    accepted, own = accepted_removals(chain), repository.config.repository_id
    accepted_foreign = chain.accepted_foreign(own)  # the pending record itself is one of the chain
    against: list[Finding] = []
    for move in head.record.moves:
        if move.to_ref is None:
            continue
        verdict = validate_target(repository, move.registry_id, move.to_ref, accepted).verdict
        place = f"{move.to_ref.run_root}/{move.to_ref.run_id}"
        if not verdict.passed:
            codes = ", ".join(sorted({f.code for f in verdict.errors()})) or verdict.verdict
            against.append(finding("ACTIVATE_NOT_VERIFIED", place, expected="pass", got=verdict.verdict, detail=codes))
            against += verdict.errors()
        if is_foreign(verdict.repository_id, own) and move.to_ref.identity not in accepted_foreign:
            stated, name, run_id = verdict.repository_id, move.registry_id, move.to_ref.run_id
            against.append(finding("ACTIVATE_FOREIGN", place, expected=own, got=stated, registry=name, run_id=run_id))
        if move.to_ref.run_id in chain.marked_bad:
            against.append(finding("ACTIVATE_MARKED_BAD", place, detail=chain.marked_bad[move.to_ref.run_id]))
    return sorted_findings(against)


def void_records(
    repository: Repository, run: BuildRun, words: Sequence[str], *, actor: str, reason: str
) -> Activation | Refusal | None:
    """Take records out of the chain: `pending`, or by name one record of each branch that is to go.

    The pointer file stays as it is. No intent is written: the record commits by being sealed, and until then the
    intent of what is voided must stand. None if `pending` is asked for and nothing is.

    Raises:
        RefusedError: a record is in force, or the chain would not end in one record (exit 5).
        NotFoundError: a word names no standing record. BusyError: another change holds the lock. ConfigError: no
            reason is given (exit 2).
    """
    if not reason.strip():
        raise ConfigError("voiding a record needs a reason", "say why with --reason TEXT")
    with pointer_lock(repository.pointer_path, repository.root):
        chain = read_locked_state(repository).chain
        if PENDING in words and chain.state != "pending":
            return None
        chosen = [_named(chain, word) for word in words]
        withdrawal = check_withdrawal(chain, chosen)
        plan = plan_void(
            state_after(repository, withdrawal.last),
            [record.ref for record in withdrawal.records],
            previous=withdrawal.last.ref,
            actor=actor,
            reason=reason,
        )
        ref = seal_record(repository, run, plan)
        remove_intent(repository.pointer_path)
    return Activation("void", (), ref, plan.record.after_sha256)


def restart_chain(repository: Repository, run: BuildRun, *, actor: str, reason: str) -> Activation:
    """Seal a new `init` record where the chain has errors that nothing can repair; it names what was lost.

    The pointer file stays as it is. The records that are left, and those that a health report names, are retired: they
    keep lying where they are, and prove nothing any more. Marks of bad runs and rollbacks stay known.

    Raises:
        RefusedError: the chain has no error, or there is no pointer file (exit 5). BusyError: another change holds the
            lock (exit 6). ConfigError: no reason is given (exit 2).
    """
    if not reason.strip():
        raise ConfigError("restarting the chain needs a reason", "say why with --reason TEXT")
    with pointer_lock(repository.pointer_path, repository.root):
        state = read_locked_state(repository)
        losses = [f for f in state.chain.findings if f.severity is Severity.ERROR]
        if not losses:
            raise RefusedError("the activation chain verifies; there is nothing to restart", "see `verify --chain`")
        if state.pointers is None:
            raise RefusedError(
                f"there is no {repository.config.pointers}", "run `registry-pipeline doctor --fix` first"
            )
        named = ", ".join(f"{f.code} {f.path}" for f in losses[:_MOST_LOSSES])
        plan = plan_init(
            state.pointers,
            actor=actor,
            reason=f"{RESTART_PREFIX}{reason} ({named})",
            retired=_records_to_retire(repository),
        )
        ref = seal_record(repository, run, plan)
        remove_intent(repository.pointer_path)
    return Activation("init", (), ref, plan.record.after_sha256)


def _records_to_retire(repository: Repository) -> list[SealedRef]:
    """Return every activation record on the disk or named by a report; a broken one has the root that it states."""
    found = read_chain(repository)
    refs = {r.ref for r in found.records} | {witness.ref for witness in found.witnesses}
    for broken in found.broken:
        run_root, _, run_id = broken.path.rpartition("/")
        root = read_stated_root(repository.path(broken.path)) or sha256_hex(b"")
        refs.add(SealedRef(run_id, run_root, RECORD_FILE, root))
    return sorted(refs)


def _named(chain: ChainState, word: str) -> SealedRecord:
    if word == PENDING and chain.head is not None:
        return chain.head
    return find_record(chain.records, word)


def state_after(repository: Repository, record: SealedRecord) -> bytes:
    """Return the pointer file that a record keeps, verified against what the record says of it.

    Raises:
        EvidenceError: the folder is not the record that the chain was judged by.
    """
    report = read_report(repository, record.ref, [AFTER_FILE])
    data = report.kept.get(AFTER_FILE)
    if (
        report.root_sha256 != record.ref.manifest_sha256
        or data is None
        or sha256_hex(data) != record.record.after_sha256
    ):
        raise EvidenceError(f"{record.path} does not verify", f"see `registry-pipeline verify {record.ref.run_id}`")
    return data


def write_back(repository: Repository, quarantine: Path) -> bytes | None:
    """Write the state that the head keeps over a pointer file that was rewound or edited; None if it is none.

    Returns the bytes that were replaced, which are kept in `quarantine` first; `b""` where there was no file.

    Raises:
        BusyError: another change holds the lock.
    """
    with pointer_lock(repository.pointer_path, repository.root):
        chain = read_locked_state(repository).chain
        if chain.state not in ("rewound", "edited") or chain.head is None:
            return None
        replaced = read_pointer_bytes(repository)
        wanted = state_after(repository, chain.head)
        if replaced is not None:
            _keep_copy(quarantine, repository.pointer_path, replaced)
        replace_file(repository.pointer_path, wanted, None if replaced is None else sha256_hex(replaced))
        remove_intent(repository.pointer_path)
    return replaced or b""


def _keep_copy(quarantine: Path, pointer_path: Path, data: bytes) -> None:
    """Keep a pointer file durably under a name that contains its hash, before it is replaced."""
    copy = quarantine / f"{pointer_path.stem}.{sha256_hex(data)}{pointer_path.suffix}"
    if read_own_file(copy) != data:
        remove_file(copy)
        create_file(copy, data)


def remove_leftovers(repository: Repository) -> bool:
    """Remove the intent and the temporary file of changes that are over; tell whether nothing is pending.

    Raises:
        BusyError: another change holds the lock.
    """
    with pointer_lock(repository.pointer_path, repository.root):
        if read_locked_state(repository).chain.state not in ("committed", "not_chained"):
            return False
        remove_intent(repository.pointer_path)
        remove_file(temporary_path(repository.pointer_path))
    return True


@value_type
class Withdrawal:
    """The records to void, and the last one that stands without them, which the `void` follows."""

    records: tuple[SealedRecord, ...]
    last: SealedRecord


def check_withdrawal(chain: ChainState, chosen: Sequence[SealedRecord]) -> Withdrawal:
    """Return what voiding the chosen records takes out: each with its branch, back to the fork and on to the leaf.

    Raises:
        RefusedError: it would take out what is in force, or leave no single last record (exit 5).
    """
    standing = chain.records
    gone: dict[str, SealedRecord] = {}
    for record in chosen:
        gone |= {r.ref.manifest_sha256: r for r in _branch(standing, record)}
    kept = [r for r in standing if r.ref.manifest_sha256 not in gone]
    leaves = [r for r in kept if not _followers(kept, r)]
    names = ", ".join(record.ref.run_id for record in chosen)
    if len(leaves) != 1:
        told = ", ".join(leaf.ref.run_id for leaf in leaves) or "nothing"
        raise RefusedError(
            f"without {names} the chain would end in {told}, and not in one record",
            "name every branch that is to go with its own --void",
        )
    last = leaves[0]
    pending = chain.head if chain.state == "pending" else None
    in_force = [r for r in _followers(tuple(gone.values()), last) if r is not pending]
    if in_force:
        raise RefusedError(
            f"{names} is in force, and no fork leads around it", "undo it with `registry-pipeline rollback`"
        )
    return Withdrawal(tuple(gone.values()), last)


def _branch(standing: Sequence[SealedRecord], record: SealedRecord) -> list[SealedRecord]:
    """Return a record, what leads from the fork to it, and all that follows; without a fork, what follows."""
    by_root = {r.ref.manifest_sha256: r for r in standing}
    here = record
    while (before := here.record.previous) is not None:
        parent = by_root.get(before.manifest_sha256)
        if parent is None or len(_followers(standing, parent)) > 1:
            return _with_followers(standing, here)
        here = parent
    beginnings = sum(r.record.previous is None for r in standing)
    return _with_followers(standing, here if beginnings > 1 else record)


def _with_followers(standing: Sequence[SealedRecord], first: SealedRecord) -> list[SealedRecord]:
    found, waiting = [], [first]
    while waiting:
        here = waiting.pop()
        found.append(here)
        waiting += _followers(standing, here)
    return found


def _followers(records: Collection[SealedRecord], record: SealedRecord) -> list[SealedRecord]:
    root = record.ref.manifest_sha256
    return [r for r in records if r.record.previous is not None and r.record.previous.manifest_sha256 == root]
