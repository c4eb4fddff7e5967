"""Activation records as people read them: who moved which pointer, when and why (SPEC 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry_pipeline.model.activation import ActivationRecord
from registry_pipeline.model.refs import Move, SealedRef
from registry_pipeline.values import value_type


@value_type
class ActivationEntry:
    """One standing record of the chain with its own sealed run; `created_utc` is the moment of the change."""

    ref: SealedRef
    created_utc: str
    record: ActivationRecord

    def moves_of(self, registry_id: str | None) -> tuple[Move, ...]:
        """Return the moves of one registry, or all."""
        return tuple(m for m in self.record.moves if registry_id in (None, m.registry_id))

    def to_json(self) -> dict[str, Any]:
        """Return what a reader needs of the record."""
        return {
            "run_id": self.ref.run_id,
            "run_root": self.ref.run_root,
            "created_utc": self.created_utc,
            "root_sha256": self.ref.manifest_sha256,
            "action": self.record.action,
            "actor": self.record.actor,
            "reason": self.record.reason,
            "moves": [move.to_json() for move in self.record.moves],
            "runs": [run.to_json() for run in self.record.runs],
        }


def activation_of(entries: Iterable[ActivationEntry], registry_id: str, ref: SealedRef) -> ActivationEntry | None:
    """Return the last record that moved a registry's pointer to a ref; None for a pointer older than the chain."""
    moved = [e for e in entries if any(m.to_ref == ref for m in e.moves_of(registry_id))]
    return moved[-1] if moved else None


def activations_naming(entries: Iterable[ActivationEntry], run_id: str) -> tuple[ActivationEntry, ...]:
    """Return the records that moved a pointer to or from a run, or that name it otherwise."""
    return tuple(
        entry
        for entry in entries
        if run_id in {ref.run_id for ref in entry.record.runs}
        or any(ref is not None and ref.run_id == run_id for m in entry.record.moves for ref in (m.from_ref, m.to_ref))
    )
