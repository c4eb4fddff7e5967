"""Law: the largest set of runs that leaves no inconsistent input at a moved registry is activated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.pointers.activation import find_blocked_candidates
from registry_pipeline.pointers.plan import find_inconsistent_inputs
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun

GRAPH: Mapping[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a", "b"), "d": ("c",)}
SPECS = {
    name: RegistrySpec(
        name, "built", name, (f"{name}.json",), (), "0.1", "OP-QA07", f"{name}_build", depends_on=upstream
    )
    for name, upstream in GRAPH.items()
}


def ref(name: str, version: int) -> SealedRef:
    return SealedRef(f"{name}{version}", "runs", f"{name}.json", f"{version:064x}")


@st.composite
def states(draw: st.DrawFn, *, one_build: bool) -> dict[str, SealedRun]:
    """Some of the registries, each at one of three versions, built from any versions of their upstreams.

    Those of one build agree: what one of them rests on is the other, where both are there.
    """
    state: dict[str, SealedRun] = {}
    for name, upstream in GRAPH.items():
        if draw(st.booleans()):
            inputs = tuple(
                InputRegistry(
                    u, "upstream", state[u].ref if one_build and u in state else ref(u, draw(st.integers(0, 2)))
                )
                for u in upstream
            )
            state[name] = SealedRun(name, ref(name, draw(st.integers(0, 2))), Inputs(inputs), "")
    return state


def may_move(chosen: Mapping[str, SealedRun], active: Mapping[str, SealedRun]) -> bool:
    changed = frozenset(name for name, run in chosen.items() if name not in active or active[name].ref != run.ref)
    return not any(edge.touches(changed) for edge in find_inconsistent_inputs({**active, **chosen}, SPECS))


@given(candidates=states(one_build=True), active=states(one_build=False))
def test_the_selected_set_can_be_activated_and_no_larger_one_can(
    candidates: dict[str, SealedRun], active: dict[str, SealedRun]
) -> None:
    held = find_blocked_candidates(candidates, active, SPECS)
    moving = {name: run for name, run in candidates.items() if name not in held}

    larger = [
        set(names)
        for size in range(len(moving) + 1, len(candidates) + 1)
        for names in combinations(candidates, size)
        if may_move({name: candidates[name] for name in names}, active)
    ]

    assert may_move(moving, active)
    assert larger == []


@given(candidates=states(one_build=False), active=states(one_build=False))
def test_the_selected_set_can_be_activated_even_if_candidates_are_inconsistent(
    candidates: dict[str, SealedRun], active: dict[str, SealedRun]
) -> None:
    held = find_blocked_candidates(candidates, active, SPECS)

    assert may_move({name: run for name, run in candidates.items() if name not in held}, active)


def test_each_blocked_candidate_has_the_input_that_blocks_it() -> None:
    old, new = ref("a", 0), ref("a", 1)
    active = {
        "a": SealedRun("a", old, Inputs(), ""),
        "b": SealedRun("b", ref("b", 0), Inputs((InputRegistry("a", "upstream", old),)), ""),
    }

    held = find_blocked_candidates({"a": SealedRun("a", new, Inputs(), "")}, active, SPECS)

    assert held["a"].registry_id == "b"
    assert held["a"].recorded == old
