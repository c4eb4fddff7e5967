"""Laws of rollback plans over small random repositories, and the plans of mark-bad and void."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import ConfigError
from registry_pipeline.findings.finding import Severity
from registry_pipeline.pointers.plan import (
    ActivationPlan,
    ActivationRequest,
    NothingToMove,
    plan_activation,
    plan_mark_bad,
    plan_rollback,
    plan_void,
)
from registry_pipeline.runs.reference import Move, Pointer, PointerFile, SealedRef, pointer_file_bytes
from registry_pipeline.runs.sealed_run import Refusal, SealedRun
from registry_pipeline.values import replace

from .requests import HEAD, candidate, ref, request, run, with_state
from .test_plan_laws import worlds

OLD, NEW = run("run_registry", 1), run("run_registry", 2)


def refs_of(plan: ActivationPlan) -> dict[str, SealedRef | None]:
    return {e["registry_id"]: SealedRef.from_json(e["active_ref"]) for e in json.loads(plan.after_bytes)["pointers"]}


def parsed(plan: ActivationPlan) -> PointerFile:
    document = json.loads(plan.after_bytes)
    pointers = [
        Pointer(e["registry_id"], SealedRef.from_json(e["active_ref"]), e["active_ref_known"], e["active_asof_utc"], "")
        for e in document["pointers"]
    ]
    return PointerFile(document, tuple(pointers), sha256_hex(plan.after_bytes))


def going_back(activation: ActivationRequest, plan: ActivationPlan, **changes: str) -> ActivationRequest:
    """Return the request that takes an accepted activation back, in the state that it left."""
    before = {
        name: SealedRun(name, old.ref, old.inputs, old.as_of_utc or "") for name, old in activation.state.active.items()
    }
    replaced = [
        before.get(m.registry_id) or SealedRun(m.registry_id, m.from_ref, run("run_registry", 1).inputs, "")
        for m in plan.moves
        if m.from_ref is not None
    ]
    candidates = tuple(candidate(each, **changes) for each in replaced)
    request = replace(activation, pointers=parsed(plan), candidates=candidates, allow_mixed=False)
    return with_state(request, active={})


@given(worlds())
def test_law_a_rollback_restores_each_pointer_that_the_activation_moved(activation: ActivationRequest) -> None:
    plan = plan_activation(activation)
    if not isinstance(plan, ActivationPlan):
        return

    back = plan_rollback(going_back(activation, plan), plan.moves, restores=True)

    assert isinstance(back, ActivationPlan)
    assert refs_of(back) == {move.registry_id: None for move in plan.moves} | {
        p.registry_id: p.ref for p in activation.pointers.pointers
    }
    assert back.record.action == "rollback"
    assert {(m.registry_id, m.from_ref, m.to_ref) for m in back.moves} == {
        (m.registry_id, m.to_ref, m.from_ref) for m in plan.moves
    }


@given(worlds())
def test_law_undoing_a_rollback_activates_the_runs_again(activation: ActivationRequest) -> None:
    plan = plan_activation(activation)
    if not isinstance(plan, ActivationPlan):
        return
    back = plan_rollback(going_back(activation, plan), plan.moves, restores=True)
    assert isinstance(back, ActivationPlan)
    moved = {m.registry_id for m in plan.moves}
    again = replace(
        activation,
        pointers=parsed(back),
        candidates=tuple(c for c in activation.candidates if c.run.registry_id in moved),
    )
    again = with_state(again, active={})

    forth = plan_rollback(again, back.moves, restores=True)

    assert isinstance(forth, ActivationPlan)
    assert refs_of(forth) == refs_of(plan)


@given(worlds(), st.sampled_from(["bad", "fail", "unsealed", "partial", "another root"]))
def test_law_no_rollback_activates_a_bad_or_invalid_run(activation: ActivationRequest, how: str) -> None:
    plan = plan_activation(activation)
    if not isinstance(plan, ActivationPlan):
        return
    changes = {"bad": {}, "another root": {"root_sha256": "0" * 64}}.get(how, {"verdict": how})
    wanted = going_back(activation, plan, **changes)
    bad = {c.run.ref.run_id: "wrong clock" for c in wanted.candidates} if how == "bad" else {}

    back = plan_rollback(with_state(wanted, marked_bad=bad), plan.moves, restores=True)

    assert isinstance(back, Refusal) is bool(wanted.candidates)


@given(worlds())
def test_law_a_rollback_to_the_active_state_has_nothing_to_move(activation: ActivationRequest) -> None:
    plan = plan_activation(activation)
    if not isinstance(plan, ActivationPlan):
        return
    wanted = going_back(activation, plan)

    assert isinstance(
        plan_rollback(replace(wanted, pointers=activation.pointers), plan.moves, restores=True), NothingToMove
    )


MOVE = (Move("run_registry", OLD.ref, NEW.ref),)


def test_a_rollback_may_activate_an_older_run_and_an_activation_may_not() -> None:
    activation = request([OLD], [NEW])

    assert isinstance(plan_activation(activation), Refusal)
    assert isinstance(plan_rollback(activation, MOVE, restores=False), ActivationPlan)


def test_a_partial_rollback_that_leaves_inconsistent_inputs_is_refused_unless_allowed() -> None:
    table = run("op_status_table", 2, run_registry=2)
    activation = request([OLD], [NEW, table])

    refused = plan_rollback(activation, MOVE, restores=False)
    allowed = plan_rollback(replace(activation, allow_mixed=True), MOVE, restores=False)

    assert isinstance(refused, Refusal)
    assert [f.code for f in refused.findings] == ["ACTIVATE_MIXED"]
    assert isinstance(allowed, ActivationPlan)
    assert [f.code for f in allowed.findings] == ["POINTER_INPUTS_MIXED"]


def test_a_registry_without_an_active_run_makes_its_dependants_inconsistent() -> None:
    table = run("op_status_table", 2, run_registry=2)

    refused = plan_rollback(request([], [NEW, table]), (Move("run_registry", None, NEW.ref),), restores=False)

    assert isinstance(refused, Refusal)
    assert [(f.code, f.expected) for f in refused.findings] == [("ACTIVATE_MIXED", "no active run")]


def test_a_rollback_requires_verdicts_on_the_runs_that_it_restores() -> None:
    with pytest.raises(ValueError, match="runs that were replaced"):
        plan_rollback(request([], [NEW]), MOVE, restores=True)
    with pytest.raises(ConfigError):
        plan_rollback(request([OLD], [NEW], reason=" "), MOVE, restores=True)


def marked(activation: ActivationRequest, bad: SealedRef) -> ActivationPlan | NothingToMove:
    return plan_mark_bad(activation, pointer_file_bytes(activation.pointers), bad)


def test_marking_an_active_run_bad_makes_its_pointer_false_and_keeps_its_reference() -> None:
    plan = marked(request([], [NEW, run("op_status_table", 2, run_registry=2)]), NEW.ref)

    assert isinstance(plan, ActivationPlan)
    entry: Mapping[str, object] = json.loads(plan.after_bytes)["pointers"][1]
    assert (entry["registry_id"], entry["active_ref_known"], entry["notes"]) == ("run_registry", False, "because")
    assert entry["active_ref"] == NEW.ref.to_json()
    assert (plan.record.action, plan.record.moves, plan.record.runs) == ("mark_bad", (), (NEW.ref,))
    assert {(f.code, f.severity) for f in plan.findings} == {("POINTER_INPUTS_MIXED", Severity.WARNING)}


def test_marking_a_run_that_is_not_active_leaves_every_byte_of_the_pointer_file() -> None:
    activation = request([], [NEW])
    plan = marked(activation, OLD.ref)

    assert isinstance(plan, ActivationPlan)
    assert plan.after_bytes == pointer_file_bytes(activation.pointers)
    assert plan.record.before_sha256 == plan.record.after_sha256


def test_a_run_is_marked_bad_once_but_a_pointer_that_names_it_still_is_made_false() -> None:
    known = {NEW.ref.run_id: "wrong clock"}

    assert isinstance(marked(request([], [OLD], marked_bad=known), NEW.ref), NothingToMove)
    assert isinstance(marked(request([], [NEW], marked_bad=known), NEW.ref), ActivationPlan)
    with pytest.raises(ConfigError):
        marked(request([], [NEW], reason=""), NEW.ref)


def test_a_void_keeps_the_state_before_it() -> None:
    gone = [ref("run_registry", 3), ref("run_registry", 2)]
    plan = plan_void(b"{}\n", gone, previous=HEAD, actor="Ada", reason="twice")

    assert plan.after_bytes == b"{}\n"
    assert plan.record.before_sha256 == plan.record.after_sha256 == sha256_hex(b"{}\n")
    assert (plan.record.runs, plan.record.previous) == (tuple(sorted(gone)), HEAD)
