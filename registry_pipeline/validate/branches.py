"""What a `void` may take out of the chain: a pending record, or a branch beside the one that goes on (SPEC 5)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from registry_pipeline.errors import RefusedError
from registry_pipeline.validate.chain import ChainState
from registry_pipeline.validate.chain_records import SealedRecord
from registry_pipeline.values import value_type


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
