"""The walk through recorded inputs: it visits every run once in any graph, and reports every broken edge."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.pipeline.verify import CheckedRun, check_lineage
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Verdict

NAMES = "abcde"
State = Literal["sound", "resealed", "failing", "gone"]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
STATES = st.fixed_dictionaries({name: st.sampled_from(["sound", "resealed", "failing", "gone"]) for name in NAMES})
EXPECTED = {
    "sound": None,
    "resealed": "INPUT_ROOT_MISMATCH",
    "failing": "INPUT_NOT_VERIFIED",
    "gone": "INPUT_REF_MISSING",
}


def ref(name: str) -> SealedRef:
    return SealedRef(name, "runs", None, name * 64)


def checked_run(name: str, graph: dict[str, list[str]], state: State) -> CheckedRun:
    root = "f" * 64 if state == "resealed" else name * 64
    verdict = Verdict(f"runs/{name}", name, None, "fail" if state == "failing" else "pass", root, ())
    edges = tuple(InputRegistry("run_registry", "upstream", ref(other)) for other in graph.get(name, []))
    return CheckedRun(verdict, Inputs(edges))


@given(GRAPHS, STATES, st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
def test_every_reachable_input_is_checked_and_every_folder_is_read_once(
    graph: dict[str, list[str]], states: dict[str, State], begin: list[str]
) -> None:
    reads: Counter[str] = Counter()

    def read_run(named: SealedRef) -> CheckedRun | None:
        reads[named.run_id] += 1
        return None if states[named.run_id] == "gone" else checked_run(named.run_id, graph, states[named.run_id])

    reached, edges, waiting = set[str](), set[tuple[str, str]](), list(begin)
    while waiting:
        name = waiting.pop()
        edges |= {(name, other) for other in graph.get(name, [])}
        fresh = set(graph.get(name, [])) - reached
        reached |= fresh
        waiting += [other for other in fresh if states[other] != "gone"]

    lineage = check_lineage([checked_run(name, graph, "sound") for name in begin], read_run)

    assert reads == Counter(reached)
    assert lineage.walked == len(reached)
    broken = {(EXPECTED[states[there]], f"runs/{here}/run.json") for here, there in edges if EXPECTED[states[there]]}
    assert {(f.code, f.path) for f in lineage.findings} == broken
