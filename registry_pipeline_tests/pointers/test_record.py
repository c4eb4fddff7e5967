"""Activation records and intents: a written one is read back, and nothing else is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from registry_pipeline.pointers.chain import ActivationRecord, Intent
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


@pytest.mark.parametrize("record", [ACTIVATE, INIT, VOID, MARK, BACK])
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


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_record_is_not_read(what: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        ActivationRecord.from_json(MALFORMED[what])


def test_a_written_intent_is_read_back() -> None:
    intent = Intent("2026-02-01__000000__pointer_activation", BEFORE, AFTER)

    assert Intent.from_json(intent.to_json()) == intent
    assert Intent.from_json(intent.to_json() | {"after": "x"}) is None
