"""Laws of plans over small random registries, runs, inputs and active runs."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.pointers.plan import ActivationPlan, ActivationRequest, NothingToMove, plan_activation
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Refusal, SealedRun
from registry_pipeline.values import replace

from .requests import UPSTREAM, request, run, with_state

MOVABLE = [name for name in UPSTREAM if name != "system_health_report"]
days = st.integers(1, 3)
ids = st.sampled_from([None, "repository-a", "repository-b"])


@st.composite
def runs(draw: st.DrawFn, registry_id: str) -> SealedRun:
    """A run of a registry; some record no inputs, as those of older tools."""
    upstream = {} if draw(st.booleans()) else {name: draw(days) for name in UPSTREAM[registry_id]}
    return run(registry_id, draw(days), **upstream)


@st.composite
def worlds(draw: st.DrawFn) -> ActivationRequest:
    candidates = [draw(runs(name)) for name in draw(st.lists(st.sampled_from(MOVABLE), unique=True, min_size=1))]
    active = [draw(runs(name)) for name in draw(st.lists(st.sampled_from(MOVABLE), unique=True))]
    absent = {name for name in MOVABLE if draw(st.integers(0, 4)) == 0}
    return request(
        candidates,
        [r for r in active if r.registry_id not in absent],
        absent=[r for r in active if r.registry_id in absent],
        allow_mixed=draw(st.integers(0, 9)) == 0,
    )


def state_after(activation: ActivationRequest) -> dict[str, tuple[SealedRef, dict[str, SealedRef]]]:
    """Return the active runs that are there after the move, computed in another way than `plan_activation` does."""
    after = {name: (run.ref, run.inputs.upstream()) for name, run in activation.state.active.items()}
    for candidate in activation.candidates:
        after[candidate.run.registry_id] = (candidate.run.ref, candidate.run.inputs.upstream())
    return after


def mixed_at_a_moved_registry(activation: ActivationRequest) -> list[str]:
    after, before = state_after(activation), {p.registry_id: p.ref for p in activation.pointers.pointers}
    moved = {c.run.registry_id for c in activation.candidates if before.get(c.run.registry_id) != c.run.ref}
    return [
        f"{name} -> {upstream}"
        for name, (_, recorded) in after.items()
        for upstream, wanted in recorded.items()
        if upstream in MOVABLE and moved & {name, upstream} and (upstream not in after or after[upstream][0] != wanted)
    ]


@given(worlds())
def test_law_after_an_accepted_plan_moved_registries_have_consistent_inputs(activation: ActivationRequest) -> None:
    plan = plan_activation(activation)
    mixed = mixed_at_a_moved_registry(activation)

    if isinstance(plan, Refusal):
        error_codes = {f.code for f in plan.findings if f.severity == "error"}
        assert ("ACTIVATE_MIXED" in error_codes) == bool(mixed and not activation.allow_mixed)
    else:
        assert not mixed or activation.allow_mixed


@given(worlds())
def test_law_a_plan_moves_exactly_its_candidates_and_leaves_the_rest(activation: ActivationRequest) -> None:
    plan = plan_activation(activation)
    if not isinstance(plan, ActivationPlan):
        return
    after = {e["registry_id"]: e["active_ref"] for e in json.loads(plan.after_bytes)["pointers"]}
    wanted = {p.registry_id: p.ref for p in activation.pointers.pointers} | {
        c.run.registry_id: c.run.ref for c in activation.candidates
    }

    assert after == {name: None if ref is None else ref.to_json() for name, ref in wanted.items()}
    assert all(activation.pointers.active(move.registry_id) == move.from_ref != move.to_ref for move in plan.moves)


@given(worlds(), st.randoms())
def test_law_planning_is_deterministic_and_the_order_of_candidates_does_not_matter(
    activation: ActivationRequest, random: Random
) -> None:
    candidates = list(activation.candidates)
    random.shuffle(candidates)
    turned = replace(activation, candidates=tuple(candidates))

    assert plan_activation(activation) == plan_activation(activation) == plan_activation(turned)


@given(worlds())
def test_law_an_accepted_plan_leaves_nothing_to_move(activation: ActivationRequest) -> None:
    if not isinstance(plan_activation(activation), ActivationPlan):
        return
    runs_after = {c.run.registry_id: c.run for c in activation.candidates}
    kept = [
        SealedRun(name, old.ref, inputs=old.inputs, as_of_utc=old.as_of_utc or "")
        for name, old in activation.state.active.items()
        if name not in runs_after
    ]

    assert isinstance(plan_activation(request(activation.candidates, [*runs_after.values(), *kept])), NothingToMove)


@given(worlds(), st.data())
def test_law_no_foreign_run_moves_without_permission_and_a_record_counts_those_that_move(
    activation: ActivationRequest, data: st.DataObject
) -> None:
    """Of every world with ids, once without and once with permission."""
    own = data.draw(ids)
    candidates = tuple(
        replace(c, verdict=replace(c.verdict, repository_id=data.draw(ids))) for c in activation.candidates
    )
    refused = with_state(replace(activation, candidates=candidates), repository_id=own)
    allowed = replace(refused, allow_foreign=True)
    foreign = {c.run.ref for c in candidates if own and c.verdict.repository_id not in (None, own)}

    plain, permitted = plan_activation(refused), plan_activation(allowed)

    foreign_paths = {f.path for f in plain.findings if f.code == "ACTIVATE_FOREIGN"}
    assert foreign_paths == {f"{ref.run_root}/{ref.run_id}" for ref in foreign}
    assert isinstance(plain, Refusal) or not foreign
    if isinstance(permitted, ActivationPlan):
        moved = {move.to_ref for move in permitted.moves}
        assert permitted.record.verdicts.get("accepted_foreign", 0) == len(foreign & moved)
        assert foreign <= moved
