"""Which moves of the activation chain are still in effect, and which rollbacks can be undone. Pure.

The records are replayed in order, each registry by itself. An activation puts its move on top of those in effect. A
rollback takes off the move that had replaced the run it returns to, with everything above it. A rollback that returns
to the run that an earlier rollback left puts those moves back. Where both readings fit, the first is taken: a repeated
rollback always goes further back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from registry_pipeline.pointers.chain_records import SealedRecord
from registry_pipeline.pointers.record import ActivationRecord
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.values import value_type


@value_type
class RecordedMove:
    """A move, the record that made it, and that record's number in the chain."""

    number: int
    record: SealedRecord
    move: Move


class _Registry:
    """The moves of one registry in effect, and for each rollback that can be undone what it took off."""

    def __init__(self) -> None:
        self.in_effect: list[RecordedMove] = []
        self.undone: list[tuple[RecordedMove, list[RecordedMove]]] = []

    def apply(self, made: RecordedMove) -> None:
        if made.record.record.action != "rollback":
            self.in_effect.append(made)
            self.undone.clear()  # a rollback that a later activation superseded is not undone any more
            return
        target = made.move.to_ref
        places = [place for place, each in enumerate(self.in_effect) if each.move.from_ref == target]
        if places:
            self.undone.append((made, self.in_effect[places[-1] :]))
            del self.in_effect[places[-1] :]
        elif self.undone and self.undone[-1][1][-1].move.to_ref == target:
            self.in_effect += self.undone.pop()[1]
        else:
            self.in_effect.append(made)


def last_in_effect(records: Sequence[SealedRecord], registry_id: str | None = None) -> tuple[RecordedMove, ...]:
    """Return the moves in effect of the last activation that has any, of one registry or of all; () if none has."""
    tops = [move for registry in _replay(records, registry_id) for move in registry.in_effect[-1:]]
    return _of_last_record(tops)


def last_rollback(records: Sequence[SealedRecord], registry_id: str | None = None) -> tuple[RecordedMove, ...]:
    """Return the moves of the last rollback that was neither undone nor superseded; () if there is none."""
    tops = [made for registry in _replay(records, registry_id) for made, _ in registry.undone[-1:]]
    return _of_last_record(tops)


def refs_after(records: Sequence[SealedRecord]) -> dict[str, SealedRef | None]:
    """Return where the moves of these records left each registry that they moved."""
    return {move.registry_id: move.to_ref for sealed in records for move in sealed.record.moves}


def _replay(records: Sequence[SealedRecord], registry_id: str | None) -> list[_Registry]:
    registries: defaultdict[str, _Registry] = defaultdict(_Registry)
    for number, sealed in enumerate(records):
        for move in sealed.record.moves:
            if registry_id in (None, move.registry_id):
                registries[move.registry_id].apply(RecordedMove(number, sealed, move))
    return list(registries.values())


def _of_last_record(moves: Sequence[RecordedMove]) -> tuple[RecordedMove, ...]:
    last = max((each.number for each in moves), default=None)
    return tuple(each for each in moves if each.number == last)


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
