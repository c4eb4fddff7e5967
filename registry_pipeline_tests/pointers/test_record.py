"""Activation records and intents: a written one is read back, and nothing else is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from registry_pipeline.pointers.chain import ActivationRecord, Intent
from registry_pipeline.pointers.checkpoint import Checkpoint, LastMove, RecordFacts
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.values import replace

REF = SealedRef("2026-02-01__000000__run_registry_build", ".codex/RUNS", None, "ab" * 32)
BEFORE, AFTER = "0" * 64, "1" * 64
ACTIVATE = ActivationRecord(
    "activate", (Move("run_registry", None, REF),), (), "a test", "why", {"pass": 1}, BEFORE, AFTER, REF
)
INIT = ActivationRecord("init", (), (), "a test", "", {}, BEFORE, BEFORE, None)
VOID = ActivationRecord("void", (), (REF,), "a test", "settled", {}, BEFORE, BEFORE, REF)
MARK = ActivationRecord("mark_bad", (), (REF,), "a test", "wrong clock", {}, BEFORE, AFTER, REF)
BACK = ActivationRecord("rollback", (Move("run_registry", REF, None),), (), "a test", "oops", {}, BEFORE, AFTER, REF)
FACTS = RecordFacts(
    marked_bad={"run-1": "wrong clock"},
    rolled_back_runs=frozenset({"run-2", "run-3"}),
    accepted_foreign=frozenset({(None, ("run-4", AFTER)), ("another-repository", ("run-5", AFTER))}),
    last_moves={"run_registry": LastMove(REF, "a test", "why"), "role_registry": LastMove(None, "a test", "")},
    restarts={".codex/RUNS/run-6": "chain restarted: lost"},
)
SAID = Checkpoint(25, AFTER, FACTS)
POINT = ActivationRecord("checkpoint", (), (), "a test", "", {}, BEFORE, BEFORE, REF, SAID)


@pytest.mark.parametrize("record", [ACTIVATE, INIT, VOID, MARK, BACK, POINT])
def test_a_written_record_is_read_back(record: ActivationRecord) -> None:
    assert ActivationRecord.from_json(record.to_json()) == record


CONTRADICTIONS = {
    "init with a predecessor": replace(INIT, previous=REF),
    "activate without a predecessor": replace(ACTIVATE, previous=None),
    "init that changes the file": replace(INIT, after_sha256=AFTER),
    "void that changes the file": replace(VOID, after_sha256=AFTER),
    "void that moves": replace(VOID, moves=ACTIVATE.moves),
    "void of nothing": replace(VOID, runs=()),
    "mark_bad of nothing": replace(MARK, runs=()),
    "activate that moves nothing": replace(ACTIVATE, moves=()),
    "activate that names runs": replace(ACTIVATE, runs=(REF,)),
    "checkpoint that says nothing": replace(POINT, checkpoint=None),
    "checkpoint that moves": replace(POINT, moves=ACTIVATE.moves),
    "checkpoint that changes the file": replace(POINT, after_sha256=AFTER),
    "checkpoint that names runs": replace(POINT, runs=(REF,)),
    "activate that says what a checkpoint says": replace(ACTIVATE, checkpoint=SAID),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_record_that_contradicts_itself_is_not_read(what: str) -> None:
    with pytest.raises(ValueError, match="`"):
        ActivationRecord.from_json(CONTRADICTIONS[what].to_json())


MALFORMED: dict[str, Any] = {
    "not an object": [],
    "an unknown key": ACTIVATE.to_json() | {"extra": 1},
    "a missing key": {k: v for k, v in ACTIVATE.to_json().items() if k != "actor"},
    "another version": ACTIVATE.to_json() | {"activation_version": "0.2"},
    "an unknown action": ACTIVATE.to_json() | {"action": "undo"},
    "an action of another kind": ACTIVATE.to_json() | {"action": ["activate"]},
    "an actor that is no text": ACTIVATE.to_json() | {"actor": None},
    "a reason that is no text": ACTIVATE.to_json() | {"reason": 3},
    "a short hash": ACTIVATE.to_json() | {"pointer_sha256_after": "1" * 63},
    "a hash of another kind": ACTIVATE.to_json() | {"pointer_sha256_before": None},
    "moves that are no list": ACTIVATE.to_json() | {"moves": {}},
    "a move that is none": ACTIVATE.to_json() | {"moves": [REF.to_json()]},
    "a move of no registry": ACTIVATE.to_json() | {"moves": [{"registry_id": 1, "from_ref": None, "to_ref": None}]},
    "a run that is no reference": VOID.to_json() | {"runs": ["x"]},
    "a predecessor with a short root": ACTIVATE.to_json()
    | {"previous_activation": {**REF.to_json(), "manifest_sha256": "0"}},
    "counts that are no numbers": ACTIVATE.to_json() | {"verdicts": {"pass": True}},
    "negative counts": ACTIVATE.to_json() | {"verdicts": {"pass": -1}},
    "counts that are no object": ACTIVATE.to_json() | {"verdicts": []},
}


SAYS = SAID.to_json()
MALFORMED |= {
    f"a checkpoint with {what}": POINT.to_json() | {"checkpoint": value}
    for what, value in {
        "no object": None,
        "an unknown key": SAYS | {"extra": 1},
        "a missing key": {k: v for k, v in SAYS.items() if k != "restarts"},
        "no count": SAYS | {"records": True},
        "a short hash": SAYS | {"records_sha256": "1" * 63},
        "marks that are a list": SAYS | {"marked_bad": []},
        "a reason that is no text": SAYS | {"marked_bad": {"run-1": 1}},
        "runs out of order": SAYS | {"rolled_back_runs": ["run-3", "run-2"]},
        "a run twice": SAYS | {"rolled_back_runs": ["run-2", "run-2"]},
        "a run that is no text": SAYS | {"rolled_back_runs": [2]},
        "runs that are a text": SAYS | {"rolled_back_runs": "run"},
        "a move of no registry": SAYS
        | {"last_moves": [{"registry_id": None, "to_ref": None, "actor": "", "reason": ""}]},
        "a move to no reference": SAYS
        | {"last_moves": [{"registry_id": "run_registry", "to_ref": "x", "actor": "", "reason": ""}]},
        "an accepted run without a root": SAYS | {"accepted_foreign": [{"repository_id": None, "run_id": "run-4"}]},
    }.items()
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_record_is_not_read(what: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        ActivationRecord.from_json(MALFORMED[what])


def test_a_written_intent_is_read_back() -> None:
    intent = Intent("2026-02-01__000000__pointer_activation", BEFORE, AFTER)

    assert Intent.from_json(intent.to_json()) == intent
    assert Intent.from_json(intent.to_json() | {"after": "x"}) is None
