"""Activation records: their JSON forms, and which of their moves are still in effect. Pure.

See docs/reference/specification.md, "Activation record".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast, get_args

from registry_pipeline.canonical import is_sha256
from registry_pipeline.findings.finding import Finding
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.values import value_type

Action = Literal["init", "activate", "rollback", "mark_bad", "void"]
ACTIVATION_TAG: Final = "pointer_activation"
"""The registry id of an activation record, and the tag of its run folder."""
RECORD_FILE: Final = "POINTER_ACTIVATION_v0_1.json"
AFTER_FILE: Final = "POINTERS_AFTER.json"
ACTIVATION_VERSION: Final = "0.1"
ACCEPTED_REMOVED: Final = "accepted_removed"
"""The key of `verdicts` that counts accepted removed runs; absent if there are none."""
ACCEPTED_FOREIGN: Final = "accepted_foreign"
"""The key of `verdicts` that counts runs accepted with `--allow-foreign`; absent if there are none."""
FIRST_REASON: Final = "the first record of the chain"
RESTART_PREFIX: Final = "chain restarted: "
"""The start of the reason of an `init` record that replaces a lost chain."""
REPORT_TAG: Final = "system_health_render"
"""The tag of a health report, which names the head of the chain at its time."""
MUTATION_POLICY: Final = (
    "Changed by `registry-pipeline` only. Every change seals an activation record that names the state before and "
    "after it; an edit by hand is found and refused."
)
"""The `mutation_policy` of pointer files that this tool wrote; without records they are reported as CHAIN_LOST."""
_ACTIONS: Final = get_args(Action)
_STATE_KEYS: Final = {"pointer_sha256_before", "pointer_sha256_after", "previous_activation"}
_KEYS: Final = {"activation_version", "action", "moves", "runs", "actor", "reason", "verdicts"} | _STATE_KEYS


@value_type
class ActivationRecord:
    """One change of the pointer file: who made it and why, the moves, and the hash of the file before and after.

    Attributes:
        runs: the runs marked bad, or the records that a `void` or `init` record voids or retires.
        verdicts: the number of runs by verdict, and of accepted removed and foreign runs.
        previous: the record that this one follows, None only for `init`.
    """

    action: Action
    moves: tuple[Move, ...]
    runs: tuple[SealedRef, ...]
    actor: str
    reason: str
    verdicts: Mapping[str, int]
    before_sha256: str
    after_sha256: str
    previous: SealedRef | None

    def to_json(self) -> dict[str, Any]:
        """Return the content of POINTER_ACTIVATION_v0_1.json, with its keys in order."""
        return {
            "activation_version": ACTIVATION_VERSION,
            "action": self.action,
            "moves": [move.to_json() for move in self.moves],
            "runs": [run.to_json() for run in self.runs],
            "actor": self.actor,
            "reason": self.reason,
            "verdicts": dict(self.verdicts),
            "pointer_sha256_before": self.before_sha256,
            "pointer_sha256_after": self.after_sha256,
            "previous_activation": None if self.previous is None else self.previous.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> ActivationRecord:
        """Return the record that a parsed document states.

        Raises:
            ValueError: it is not a valid record; the message says why.
        """
        # A record is evidence, so an unknown key is an error and not ignored.
        if not isinstance(value, dict) or set(value) != _KEYS:
            raise ValueError("the keys are not exactly those of an activation record")
        if value["activation_version"] != ACTIVATION_VERSION or value["action"] not in _ACTIONS:
            raise ValueError("activation_version or action is unknown")
        if not all(isinstance(value[key], str) for key in ("actor", "reason")):
            raise ValueError("actor and reason must be text")
        hashes = value["pointer_sha256_before"], value["pointer_sha256_after"]
        if not all(is_sha256(digest) for digest in hashes):
            raise ValueError("a hash of the pointer file is not 64 lower-case hexadecimal digits")
        previous = value["previous_activation"]
        record = cls(
            action=cast("Action", value["action"]),
            moves=tuple(_move(item) for item in _list(value["moves"], "moves")),
            runs=tuple(_ref(item, "runs") for item in _list(value["runs"], "runs")),
            actor=value["actor"],
            reason=value["reason"],
            verdicts=_counts(value["verdicts"]),
            before_sha256=hashes[0],
            after_sha256=hashes[1],
            previous=None if previous is None else _ref(previous, "previous_activation"),
        )
        record._check_consistency()
        return record

    def _check_consistency(self) -> None:
        if (self.action == "init") != (self.previous is None):
            raise ValueError("the `init` record has no predecessor, and every other record has one")
        if self.action in ("init", "void") and (self.moves or self.before_sha256 != self.after_sha256):
            raise ValueError(f"`{self.action}` changes the pointer file, which it must not")
        if self.action == "activate" and not self.moves:
            raise ValueError("`activate` moves nothing")
        if self.runs and self.action in ("activate", "rollback"):
            raise ValueError(f"`{self.action}` names {len(self.runs)} runs")
        if not self.runs and self.action in ("mark_bad", "void"):
            raise ValueError(f"`{self.action}` names no run")


@value_type
class Intent:
    """The next step of a writer that holds the lock: seal the record `run_id`, then replace the pointer file."""

    run_id: str
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        """Return the content of `<pointer file>.intent`."""
        return {"run_id": self.run_id, "before": self.before, "after": self.after}

    @classmethod
    def from_json(cls, value: Any) -> Intent | None:
        """Return the intent in a parsed document, or None if it has another form."""
        if not isinstance(value, dict) or not isinstance(value.get("run_id"), str):
            return None
        before, after = value.get("before"), value.get("after")
        if not (is_sha256(before) and is_sha256(after)):
            return None
        return cls(value["run_id"], cast("str", before), cast("str", after))


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list")  # noqa: TRY004 -- callers expect ValueError for every invalid document
    return value


def _ref(value: Any, key: str) -> SealedRef:
    ref = SealedRef.from_json(value)
    if ref is None or not is_sha256(ref.manifest_sha256):
        raise ValueError(f"{key} contains an invalid sealed reference")
    return ref


def _move(value: Any) -> Move:
    if not isinstance(value, dict) or set(value) != {"registry_id", "from_ref", "to_ref"}:
        raise ValueError("moves contains an invalid move")
    if not isinstance(value["registry_id"], str):
        raise ValueError("registry_id of a move must be text")  # noqa: TRY004 -- callers expect ValueError for every invalid document
    before, after = (None if value[key] is None else _ref(value[key], "moves") for key in ("from_ref", "to_ref"))
    return Move(value["registry_id"], before, after)


def _counts(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or not all(type(n) is int and n >= 0 for n in value.values()):
        raise ValueError("verdicts must map verdicts to counts")
    return value


@value_type
class SealedRecord:
    """An activation record whose folder verifies; `repository_id` is what its run.json states, or None."""

    path: str
    ref: SealedRef
    created_utc: str
    record: ActivationRecord
    repository_id: str | None = None

    def moves_of(self, registry_id: str | None) -> tuple[Move, ...]:
        """Return the moves of one registry, or all moves."""
        return tuple(move for move in self.record.moves if registry_id in (None, move.registry_id))

    def to_json(self) -> dict[str, Any]:
        """Return the record as `log`, `show` and `status` report it."""
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


@value_type
class Witness:
    """A sealed run that names an activation record as its input: the head of the chain at that time."""

    run_id: str
    ref: SealedRef


@value_type
class ChainRecords:
    """The activation records on disk.

    Attributes:
        pointer_path: the pointer file, relative to the repository.
        records: those that verify, by run id.
        broken: a finding for each folder that does not verify.
        witnesses: runs that name records which existed when the runs were sealed.
    """

    pointer_path: str
    records: tuple[SealedRecord, ...] = ()
    broken: tuple[Finding, ...] = ()
    witnesses: tuple[Witness, ...] = ()


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
