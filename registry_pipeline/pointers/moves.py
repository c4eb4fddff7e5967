"""Replay the moves of the activation chain: which are still in effect, and which rollbacks can be undone. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from registry_pipeline.pointers.record import SealedRecord
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.values import value_type


@value_type
class RecordedMove:
    """A move, its record, and the number of the record in the chain."""

    number: int
    record: SealedRecord
    move: Move


class _RegistryHistory:
    """The moves of one registry that are in effect, and for each rollback that can be undone the moves it removed."""

    def __init__(self) -> None:
        self.in_effect: list[RecordedMove] = []
        self.rollbacks: list[tuple[RecordedMove, list[RecordedMove]]] = []

    def apply(self, recorded: RecordedMove) -> None:
        # (1) An activation adds its move. A rollback before it can no longer be undone.
        if recorded.record.record.action != "rollback":
            self.in_effect.append(recorded)
            self.rollbacks.clear()
            return
        # (2) A rollback removes the move that replaced the run it returns to, and every later one. This comes first:
        # a repeated rollback always goes further back.
        target = recorded.move.to_ref
        matches = [number for number, earlier in enumerate(self.in_effect) if earlier.move.from_ref == target]
        if matches:
            self.rollbacks.append((recorded, self.in_effect[matches[-1] :]))
            del self.in_effect[matches[-1] :]
        # (3) A rollback to the run that the last rollback left undoes that rollback.
        elif self.rollbacks and self.rollbacks[-1][1][-1].move.to_ref == target:
            self.in_effect += self.rollbacks.pop()[1]
        else:
            self.in_effect.append(recorded)


def find_last_moves(records: Sequence[SealedRecord], registry_id: str | None = None) -> tuple[RecordedMove, ...]:
    """Return the moves in effect of the last record that has any, of one registry or of all; () if none has."""
    tops = [recorded for history in _replay(records, registry_id) for recorded in history.in_effect[-1:]]
    return _of_last_record(tops)


def find_last_rollback(records: Sequence[SealedRecord], registry_id: str | None = None) -> tuple[RecordedMove, ...]:
    """Return the moves of the last rollback that can be undone, of one registry or of all; () if there is none."""
    tops = [recorded for history in _replay(records, registry_id) for recorded, _ in history.rollbacks[-1:]]
    return _of_last_record(tops)


def list_refs_after(records: Sequence[SealedRecord]) -> dict[str, SealedRef | None]:
    """Return the active run of each registry that these records moved, None if they left it without one."""
    return {move.registry_id: move.to_ref for sealed in records for move in sealed.record.moves}


def _replay(records: Sequence[SealedRecord], registry_id: str | None) -> list[_RegistryHistory]:
    # Registries are replayed separately: a rollback of one does not affect the others.
    histories: defaultdict[str, _RegistryHistory] = defaultdict(_RegistryHistory)
    for number, sealed in enumerate(records):
        for move in sealed.record.moves:
            if registry_id in (None, move.registry_id):
                histories[move.registry_id].apply(RecordedMove(number, sealed, move))
    return list(histories.values())


def _of_last_record(moves: Sequence[RecordedMove]) -> tuple[RecordedMove, ...]:
    last = max((recorded.number for recorded in moves), default=None)
    return tuple(recorded for recorded in moves if recorded.number == last)


ActivationEntry = SealedRecord


def find_activation(entries: Sequence[SealedRecord], registry_id: str, ref: SealedRef) -> SealedRecord | None:
    """Return the last record that moved a registry's pointer to a run; None for a pointer older than the chain."""
    return next((e for e in reversed(entries) if any(move.to_ref == ref for move in e.moves_of(registry_id))), None)


def find_activations_of_run(entries: Iterable[SealedRecord], run_id: str) -> tuple[SealedRecord, ...]:
    """Return the records that moved a pointer to or from a run, marked it bad, or voided or retired it."""
    return tuple(
        entry
        for entry in entries
        if run_id in {ref.run_id for ref in entry.record.runs}
        or any(ref is not None and ref.run_id == run_id for m in entry.record.moves for ref in (m.from_ref, m.to_ref))
    )
