from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line, parse_instant
from registry_pipeline.pipeline import runs as pipeline_runs
from registry_pipeline.pipeline.runs import ORDERS, STATES, RunQuery, RunQueryResult, is_run_record, list_states
from registry_pipeline.runs.reference import SealedRef

SOURCE = SealedRef("2026-03-01__120000__run_registry_build", "runs", "RUN_REGISTRY_v0_1.jsonl", "ab" * 32)
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def record(run_id: str = "r", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "run_root": "runs",
        "created_utc": "2026-02-01T12:00:00Z",
        "option": "A",
        "operation_id": "OP-A01",
        "has_run_json": True,
        "has_manifest_sha256": True,
        "has_manifest_json": True,
        "warnings": [],
    } | changes
    return {"run_id": run_id, "run_key": f"{values['run_root']}::{run_id}", **values}


def select_runs(source: SealedRef, found: list[Any], query: RunQuery, **how: Any) -> RunQueryResult:
    return pipeline_runs.select_runs(source, [json_line(each) for each in found], query, **how)


def ids(answer: RunQueryResult) -> list[str]:
    return [line["run_id"] for line in answer.records]


@pytest.mark.parametrize(
    ("changes", "states"),
    [
        ({}, ("sealed",)),
        ({"has_manifest_json": False, "warnings": ["missing manifest.json"]}, ("partial", "warned")),
        ({"has_manifest_json": False, "has_manifest_sha256": False}, ("unsealed",)),
        ({"operation_id": None}, ("sealed", "legacy")),
        ({"has_run_json": False, "warnings": ["missing run.json"]}, ("sealed", "legacy", "warned")),
        ({"has_run_json": False, "warnings": ["envelope read by adapter meta.json"]}, ("sealed", "warned")),
    ],
)
def test_the_states_of_a_line_are_facts_of_the_line(changes: dict[str, Any], states: tuple[str, ...]) -> None:
    assert list_states(record(**changes)) == states
    assert set(states) <= set(STATES)


def test_values_of_one_thing_are_alternatives_and_different_things_must_all_hold() -> None:
    lines = [
        record("a"),
        record("b", operation_id="OP-B01", option="B"),
        record("c", operation_id="OP-B01", run_root="more", has_manifest_json=False),
        record("d", operation_id=None),
    ]

    def found(**filters: Any) -> list[str]:
        values: dict[str, Any] = {name: frozenset(each) for name, each in filters.items()}
        return ids(select_runs(SOURCE, lines, RunQuery(**values), order="registry"))

    assert found() == ["a", "b", "c", "d"]
    assert found(operations=["OP-A01", "OP-B01"]) == ["a", "b", "c"]
    assert found(operations=["OP-B01"], options=["B"]) == ["b"]
    assert found(run_roots=["more"]) == found(states=["partial"]) == ["c"]
    assert found(states=["partial", "legacy"]) == ["c", "d"]
    assert found(states=["legacy"], options=["B"]) == []


def test_both_ends_of_a_span_are_in_it_and_what_has_no_time_is_counted() -> None:
    lines = [
        record("before", created_utc="2026-02-01T11:59:59Z"),
        record("first", created_utc="2026-02-01T13:00:00+01:00"),
        record("last", created_utc="2026-02-02T12:00:00Z"),
        record("after", created_utc="2026-02-02T12:00:01Z"),
        record("none", created_utc=None),
        record("no zone", created_utc="2026-02-01T12:00:00"),
        record("word", created_utc="yesterday"),
        record("other", created_utc=None, option="B"),
    ]
    query = RunQuery(options=frozenset("A"), since=NOON, until=NOON + timedelta(days=1))

    answer = select_runs(SOURCE, lines, query)

    assert (ids(answer), answer.matched, answer.undated) == (["last", "first"], 2, 3)
    assert select_runs(SOURCE, lines, RunQuery(until=NOON), order="oldest").records[0]["run_id"] == "before"
    assert ids(select_runs(SOURCE, lines, RunQuery(since=NOON + timedelta(days=2)))) == []


def test_the_limit_applies_to_the_list_and_not_to_the_counts() -> None:
    answer = select_runs(SOURCE, [record(f"r{n}") for n in range(5)], RunQuery(), limit=2)

    assert (len(answer.records), answer.matched, answer.to_json()["count"]) == (2, 5, 2)
    assert answer.to_json()["records"][0]["states"] == ["sealed"]


def test_a_value_that_no_line_has_is_named_with_what_it_may_have_meant() -> None:
    query = RunQuery(operations=frozenset(["OP-A1", "OP-A01"]), run_roots=frozenset(["rnus"]))

    answer = select_runs(SOURCE, [record()], query)

    assert answer.unknown == (
        "no run has the operation_id 'OP-A1'; did you mean 'OP-A01'?",
        "no run has the run_root 'rnus'; did you mean 'runs'?",
    )
    assert select_runs(SOURCE, [record()], RunQuery(operations=frozenset(["OP-A1", "OP-A01"]))).unknown == ()


stamps = st.none() | st.sampled_from(["2026-02-01T12:00:00Z", "2026-02-01T13:00:00+02:00", "x", "2026-02-03T00:00:00Z"])
lines = st.lists(st.builds(record, st.sampled_from("abcdefgh"), created_utc=stamps), unique_by=lambda r: r["run_id"])


@given(lines, st.sampled_from(ORDERS), st.integers(0, 4))
def test_an_order_keeps_every_line_and_a_limit_its_beginning(found: list[Any], order: Any, limit: int) -> None:
    whole = select_runs(SOURCE, found, RunQuery(), order=order)
    cut = select_runs(SOURCE, found, RunQuery(), order=order, limit=limit)

    assert sorted(ids(whole)) == sorted(line["run_id"] for line in found)
    assert cut.records == (whole.records[:limit] if limit else whole.records)
    instants = [parse_instant(line["created_utc"]) for line in whole.records]
    known = [instant for instant in instants if instant is not None]
    if order != "registry":
        assert instants[len(known) :] == [None] * (len(instants) - len(known))
        assert known == sorted(known, reverse=order == "newest")
    else:
        assert list(whole.records) == found


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        record() | {"run_root": None},
        record() | {"has_run_json": "true"},
        record() | {"warnings": None},
        record() | {"created_utc": 7},
        {key: value for key, value in record().items() if key != "operation_id"},
    ],
)
def test_what_lacks_the_fields_of_a_line_is_none(value: Any) -> None:
    assert is_run_record(record())
    assert not is_run_record(value)


@pytest.mark.parametrize("line", [b"{", b"[]", b"[" * 100_000, b"\xff", b'{"run_id": "r"}'])
def test_a_line_that_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        pipeline_runs.select_runs(SOURCE, [line], RunQuery())
