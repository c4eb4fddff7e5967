"""Law: a chain that is read from its newest checkpoint is the chain that is read from every record."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_document
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.state import PointerState, intent_path, read_locked_state
from registry_pipeline_tests.cases.layout import find_cases
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.pointers.chain_scenarios import ChainOnDisk, write_scenario
from registry_pipeline_tests.sealed_folders import RUNS

SCENARIOS = {case.name: case for case in find_cases("chain")}
# A reader that starts from a checkpoint believes it: a wrong one is for `verify --chain`.
BELIEVED = {"CHAIN_CHECKPOINT_WRONG__a_mark_is_left_out", "CHAIN_CHECKPOINT_WRONG__an_invented_rollback"}
# What changes the names, the links or the stated roots under the run roots. Other damage is for `verify --chain`.
VISIBLE = (
    "deleted",
    "a link",
    "without MANIFEST.sha256",
    "claiming another root",
    "copied to another run root",
    "resealed with another reason",
    "resealed without a record",
)
USUAL = ("activate", "rollback", "mark_bad", "accept")
STEPS = (*USUAL, *USUAL, "checkpoint", "checkpoint", "checkpoint", "void", "fork", "restart", "detached", "hidden")


def make_records(steps: list[str]) -> list[dict[str, Any]]:
    """Return the records of a scenario; a step that cannot follow is left out."""
    records: list[dict[str, Any]] = [{"name": "r0", "action": "init", "follows": None}]
    head, rival, states, is_detached = "r0", "", {"r0": "r0"}, False
    for number, step in enumerate(steps, 1):
        name = f"r{number}"
        record: dict[str, Any] = {"name": name, "action": step, "follows": head, "reason": f"because {number % 4}"}
        if step == "fork" and not rival and records[-1]["follows"]:
            rival = name
            records.append(record | {"action": "mark_bad", "follows": records[-1]["follows"], "runs": ["run-f"]})
            continue
        if step == "void" and rival:
            record["runs"], rival = [rival], ""
        elif step in ("void", "fork") or (step == "checkpoint" and (rival or is_detached)):
            continue
        if step == "rollback":
            record["moves_away"] = [f"run-{number % 3}"]
        elif step == "mark_bad":
            record["runs"] = [f"run-{number % 3}"]
        elif step == "accept":
            record |= {"action": "activate", "verdicts": {"accepted_foreign": 1}}
        elif step == "detached":
            record |= {"action": "activate", "before": "elsewhere"}
            is_detached = True
        elif step == "hidden":
            record |= {"action": "activate", "unstated": {"drift_signals": f"run-{number}"}}
            is_detached = True
        elif step == "restart":
            record |= {"action": "init", "follows": None, "before": states[head], "runs": [r["name"] for r in records]}
            record["reason"], rival = "chain restarted: lost", ""
        states[name] = states[head] if step in ("void", "checkpoint", "restart") else name
        records.append(record)
        head = name
    return records


def write_to_disk(scenario: Mapping[str, Any], root: Path) -> ChainOnDisk:
    """Write a scenario with its pointer file and its intent."""
    on_disk = write_scenario(scenario, root)
    if on_disk.pointers is not None:
        on_disk.repository.pointer_path.write_bytes(on_disk.pointers)
    if on_disk.intent is not None:
        intent_path(on_disk.repository.pointer_path).write_bytes(json_document(on_disk.intent.to_json()))
    return on_disk


def both_ways(on_disk: ChainOnDisk) -> tuple[PointerState, PointerState]:
    """Return the state that is read from the newest checkpoint, and the one that is read from every record."""
    return read_locked_state(on_disk.repository, from_checkpoint=True), read_locked_state(on_disk.repository)


def describe(state: ChainState, count: int) -> object:
    """Return all of a state, with its last `count` records."""
    last = state.records[len(state.records) - count :]
    parts = (state.state, state.head, state.findings, state.facts, state.lines, state.since_checkpoint, last)
    return parts, state.accepted_foreign(None)


def assert_equal(on_disk: ChainOnDisk) -> int:
    """Compare both ways, and return how many records the fast one read."""
    fast, slow = both_ways(on_disk)
    count = len(fast.chain.records)

    assert fast.pointers == slow.pointers
    assert describe(fast.chain, count) == describe(slow.chain, count)
    return count


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_case_is_read_the_same_both_ways(tmp_path: Path, name: str) -> None:
    on_disk = write_to_disk(SCENARIOS[name].arguments, tmp_path)

    if name not in BELIEVED:
        assert_equal(on_disk)
    else:
        fast, slow = both_ways(on_disk)
        assert (fast.chain.refuses, slow.chain.refuses) == (False, True)


@examples(100)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=12),
    damage=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(VISIBLE)), max_size=2),
    pointer=st.sampled_from(["head", "head", "head", "r1", "edited", "absent"]),
    intent=st.none() | st.sampled_from(["head", "r0"]),
)
def test_an_arbitrary_chain_is_read_the_same_both_ways(
    steps: list[str], damage: list[tuple[int, str]], pointer: str, intent: str | None
) -> None:
    records = make_records(steps)
    changing = [r["name"] for r in records if r["action"] not in ("init", "void", "checkpoint")]
    head, names = records[-1]["name"], [r["name"] for r in records]
    scenario: dict[str, Any] = {
        "records": records,
        "pointer": (changing[-1] if changing else "start") if pointer == "head" else pointer,
        "intent": head if intent == "head" else intent,
        "damage": {names[number]: what for number, what in damage if number < len(names)},
    }
    with tempfile.TemporaryDirectory() as folder:
        assert_equal(write_to_disk(scenario, Path(folder)))


@examples(40)
@given(
    before=st.lists(st.sampled_from(USUAL), min_size=1, max_size=5), after=st.lists(st.sampled_from(USUAL), max_size=4)
)
def test_an_unbroken_chain_is_read_from_its_newest_checkpoint(before: list[str], after: list[str]) -> None:
    records = make_records([*before, "checkpoint", *after])
    last = next(r["name"] for r in reversed(records) if r["action"] != "checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        on_disk = write_to_disk({"records": records, "pointer": last, "intent": None}, Path(folder))

        assert assert_equal(on_disk) == 1 + len(after)


@pytest.mark.parametrize("name", ["init", "point", "second"])
def test_of_copies_of_a_record_the_same_one_counts(tmp_path: Path, name: str) -> None:
    scenario = SCENARIOS["committed__checkpoint"].arguments | {"damage": {name: "copied to another run root"}}

    assert assert_equal(write_to_disk(scenario, tmp_path)) == 2


@pytest.mark.parametrize("pointer", ["second", "rival"])
def test_a_fork_after_a_checkpoint_is_found_whichever_branch_is_active(tmp_path: Path, pointer: str) -> None:
    scenario = SCENARIOS["CHAIN_FORK__at_a_checkpoint"].arguments | {"pointer": pointer}
    fast, slow = both_ways(write_to_disk(scenario, tmp_path))

    assert {f.code for f in fast.chain.findings} == {"CHAIN_FORK"}
    assert fast == slow


def test_a_record_that_does_not_continue_the_checkpoint_is_found(tmp_path: Path) -> None:
    records = make_records(["activate", "checkpoint", "detached"])
    fast, slow = both_ways(write_to_disk({"records": records, "pointer": "r3", "intent": None}, tmp_path))

    assert [f.code for f in fast.chain.findings] == ["CHAIN_DETACHED"]
    assert fast == slow


def test_a_record_with_a_name_before_the_checkpoint_is_found(tmp_path: Path) -> None:
    on_disk = write_to_disk(SCENARIOS["committed__checkpoint"].arguments, tmp_path)
    first = tmp_path / RUNS / on_disk.refs["first"].run_id
    shutil.copytree(first, first.with_name("2026-01-31__000000__pointer_activation"))
    fast, slow = both_ways(on_disk)

    assert "CHAIN_RECORD_EDITED" in {f.code for f in fast.chain.findings}
    assert fast == slow
