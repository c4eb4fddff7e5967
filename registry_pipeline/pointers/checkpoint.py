"""What a checkpoint record says about all earlier activation records: see "Chain" in the specification. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import is_sha256, sha256_hex
from registry_pipeline.runs.reference import RunIdentity, SealedRef
from registry_pipeline.values import field, value_type

# A change after which this many records follow the last checkpoint is followed by the next checkpoint.
CHECKPOINT_EVERY: Final = 25
_ACCEPTED_KEYS: Final = ("repository_id", "run_id", "manifest_sha256")
# A run, and the repository whose record accepts it: its repository_id, or None if it has none.
AcceptedRun = tuple[str | None, RunIdentity]


@value_type
class LastMove:
    """The last move of a pointer: the run that it moved to, None if to none, and who moved it and why."""

    to_ref: SealedRef | None
    actor: str
    reason: str

    def to_json(self, registry_id: str) -> dict[str, Any]:
        """Return the move as an item of `last_moves`."""
        to_ref = None if self.to_ref is None else self.to_ref.to_json()
        return {"registry_id": registry_id, "to_ref": to_ref, "actor": self.actor, "reason": self.reason}


@value_type
class RecordFacts:
    """What later changes and `status` need to know of the records of a chain.

    Attributes:
        marked_bad: reason by run id.
        rolled_back_runs: run ids that a rollback deactivated; `build` and the sensor never propose them.
        accepted_foreign: the runs that were activated although they are of another repository.
        last_moves: the last move of each registry.
        restarts: the reason of an `init` record that restarted the chain, by the path of that record.
    """

    marked_bad: Mapping[str, str] = field(default_factory=dict)
    rolled_back_runs: frozenset[str] = frozenset()
    accepted_foreign: frozenset[AcceptedRun] = frozenset()
    last_moves: Mapping[str, LastMove] = field(default_factory=dict)
    restarts: Mapping[str, str] = field(default_factory=dict)

    @property
    def own_notes(self) -> frozenset[str]:
        """The reasons that this tool wrote into the pointer file as notes, as far as a note can still have them."""
        # The notes of a pointer are those of its last move or of the mark that emptied it, unless a user wrote them.
        return frozenset(self.marked_bad.values()) | {move.reason for move in self.last_moves.values()}


@value_type
class Checkpoint:
    """The number of the earlier records, the hash of their sorted lines, and what they say."""

    records: int
    records_sha256: str
    facts: RecordFacts

    def to_json(self) -> dict[str, Any]:
        """Return the content of `checkpoint` in a record, sorted."""
        facts = self.facts
        # None sorts before any text.
        accepted = sorted(facts.accepted_foreign, key=lambda run: (run[0] or "", run[1]))
        return {
            "records": self.records,
            "records_sha256": self.records_sha256,
            "marked_bad": dict(sorted(facts.marked_bad.items())),
            "rolled_back_runs": sorted(facts.rolled_back_runs),
            "accepted_foreign": [dict(zip(_ACCEPTED_KEYS, (own, *run), strict=True)) for own, run in accepted],
            "last_moves": [move.to_json(name) for name, move in sorted(facts.last_moves.items())],
            "restarts": dict(sorted(facts.restarts.items())),
        }

    @classmethod
    def from_json(cls, value: Any) -> Checkpoint:
        """Return the checkpoint that a parsed document states; raise ValueError if it has another form."""
        try:
            facts = RecordFacts(
                marked_bad=_parse_texts(value["marked_bad"]),
                rolled_back_runs=frozenset(map(_parse_text, value["rolled_back_runs"])),
                accepted_foreign=frozenset(map(_parse_accepted, value["accepted_foreign"])),
                last_moves={_parse_text(item["registry_id"]): _parse_move(item) for item in value["last_moves"]},
                restarts=_parse_texts(value["restarts"]),
            )
            checkpoint = cls(value["records"], value["records_sha256"], facts)
            # Whatever is unknown, out of order or duplicated is written differently.
            is_valid = type(checkpoint.records) is int and is_sha256(checkpoint.records_sha256)
            is_valid = is_valid and checkpoint.to_json() == value
        except (KeyError, TypeError, AttributeError):
            is_valid = False
        if not is_valid:
            raise ValueError("checkpoint does not have the form of a checkpoint")
        return checkpoint


def _parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _parse_texts(value: Any) -> dict[str, str]:
    return {name: _parse_text(text) for name, text in value.items()}


def _parse_accepted(value: Any) -> AcceptedRun:
    own = value["repository_id"]
    return None if own is None else _parse_text(own), (
        _parse_text(value["run_id"]),
        _parse_text(value["manifest_sha256"]),
    )


def _parse_move(value: Any) -> LastMove:
    ref = SealedRef.from_json(value["to_ref"])
    if ref is None and value["to_ref"] is not None:
        raise TypeError
    return LastMove(ref, _parse_text(value["actor"]), _parse_text(value["reason"]))


def make_line(run_id: str, root: str) -> str:
    """Return the line by which a checkpoint names a record."""
    return f"{run_id} {root}\n"


def make_checkpoint(lines: frozenset[str], facts: RecordFacts) -> Checkpoint:
    """Return the checkpoint of the records with these lines and with these facts."""
    # A name of a folder on the disk may be any bytes.
    data = "".join(sorted(lines)).encode("utf-8", "surrogateescape")
    return Checkpoint(len(lines), sha256_hex(data), facts)
