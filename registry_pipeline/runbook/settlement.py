"""Settling what the protocol leaves open: a pending record, a fork, a pointer file that is not the head's (SPEC 5).

The three things that chain findings do not refuse. Each is asked for by name, and each holds the lock of every change.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from registry_pipeline.activate.lock import pointer_lock
from registry_pipeline.activate.plan_changes import plan_void
from registry_pipeline.activate.swap import remove_intent, swap_pointer_file, temporary_path
from registry_pipeline.canon import sha256_hex
from registry_pipeline.config import Governed
from registry_pipeline.errors import ConfigError, EvidenceError
from registry_pipeline.model.activation import AFTER_FILE
from registry_pipeline.model.codes import finding
from registry_pipeline.model.envelope import is_foreign
from registry_pipeline.model.finding import Finding, sorted_findings
from registry_pipeline.model.verdict import Activation, Refusal
from registry_pipeline.runbook.building import BuildRun
from registry_pipeline.runbook.change import seal_record
from registry_pipeline.runbook.reading import read_pointer_bytes, read_report
from registry_pipeline.runbook.rollback import accepted_losses, find_record, judge
from registry_pipeline.runbook.store import read_chain_state
from registry_pipeline.validate.branches import check_withdrawal
from registry_pipeline.validate.chain import ChainState, SealedRecord

PENDING: Final = "pending"
"""The word for the record that is sealed and not in force."""


def settle(
    governed: Governed, run: BuildRun, how: Literal["finish", "void"], *, actor: str, reason: str
) -> Activation | Refusal | None:
    """Finish the pending record, or void it; None if nothing is pending.

    Raises:
        BusyError: another change holds the lock.
    """
    if read_chain_state(governed).state != "pending":
        return None
    return finish(governed) if how == "finish" else void(governed, run, [PENDING], actor=actor, reason=reason)


def finish(governed: Governed) -> Activation | Refusal | None:
    """Put the pending record in force: verdicts are made anew, the bytes are the record's; None if none is pending.

    Age and closure were judged under the lock, and nothing has moved since: the pointer file is what it was.

    Raises:
        BusyError: another change holds the lock. EvidenceError: the record's folder changed under our hands.
    """
    with pointer_lock(governed.pointer_path):
        chain = read_chain_state(governed)
        head = chain.head
        if chain.state != "pending" or head is None:
            return None
        against = _against_finishing(governed, chain, head)
        if against:
            return Refusal(against)
        swap_pointer_file(governed.pointer_path, state_after(governed, head), head.record.before_sha256)
        remove_intent(governed.pointer_path)
    return Activation(head.record.action, head.record.moves, head.ref, head.record.after_sha256)


def _against_finishing(governed: Governed, chain: ChainState, head: SealedRecord) -> tuple[Finding, ...]:
    """Return what speaks against the runs that the pending record would put in force, as they are now."""
    accepted, own = accepted_losses(chain), governed.config.repository_id
    accepted_foreign = chain.accepted_foreign(own)  # the pending record itself is one of the chain
    against: list[Finding] = []
    for move in head.record.moves:
        if move.to_ref is None:
            continue
        verdict = judge(governed, move.registry_id, move.to_ref, accepted).verdict
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


def void(
    governed: Governed, run: BuildRun, words: Sequence[str], *, actor: str, reason: str
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
    with pointer_lock(governed.pointer_path):
        chain = read_chain_state(governed)
        if PENDING in words and chain.state != "pending":
            return None
        chosen = [_named(chain, word) for word in words]
        withdrawal = check_withdrawal(chain, chosen)
        plan = plan_void(
            state_after(governed, withdrawal.last),
            [record.ref for record in withdrawal.records],
            previous=withdrawal.last.ref,
            actor=actor,
            reason=reason,
        )
        ref = seal_record(governed, run, plan)
        remove_intent(governed.pointer_path)
    return Activation("void", (), ref, plan.record.after_sha256)


def _named(chain: ChainState, word: str) -> SealedRecord:
    if word == PENDING and chain.head is not None:
        return chain.head
    return find_record(chain.records, word)


def state_after(governed: Governed, record: SealedRecord) -> bytes:
    """Return the pointer file that a record keeps, verified against what the record says of it.

    Raises:
        EvidenceError: the folder is not the record that the chain was judged by.
    """
    report = read_report(governed, record.ref, [AFTER_FILE])
    data = report.kept.get(AFTER_FILE)
    if (
        report.root_sha256 != record.ref.manifest_sha256
        or data is None
        or sha256_hex(data) != record.record.after_sha256
    ):
        raise EvidenceError(f"{record.path} does not verify", f"see `registry-pipeline verify {record.ref.run_id}`")
    return data


def write_back(governed: Governed, quarantine: Path) -> bytes | None:
    """Write the state that the head keeps over a pointer file that was rewound or edited; None if it is none.

    Returns the bytes that were replaced, which are kept in `quarantine` first; `b""` where there was no file.

    Raises:
        BusyError: another change holds the lock.
    """
    with pointer_lock(governed.pointer_path):
        chain = read_chain_state(governed)
        if chain.state not in ("rewound", "edited") or chain.head is None:
            return None
        replaced = read_pointer_bytes(governed)
        wanted = state_after(governed, chain.head)
        if replaced is not None:
            quarantine.mkdir(parents=True, exist_ok=True)
            name = f"{governed.pointer_path.stem}.{sha256_hex(replaced)}{governed.pointer_path.suffix}"
            (quarantine / name).write_bytes(replaced)
        swap_pointer_file(governed.pointer_path, wanted, None if replaced is None else sha256_hex(replaced))
        remove_intent(governed.pointer_path)
    return replaced or b""


def remove_leftovers(governed: Governed) -> bool:
    """Remove the intent and the temporary file of changes that are over; tell whether nothing is pending.

    Raises:
        BusyError: another change holds the lock.
    """
    with pointer_lock(governed.pointer_path):
        if read_chain_state(governed).state not in ("committed", "not_chained"):
            return False
        remove_intent(governed.pointer_path)
        temporary_path(governed.pointer_path).unlink(missing_ok=True)
    return True
