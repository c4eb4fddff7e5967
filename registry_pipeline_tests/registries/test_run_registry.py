from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.run_registry.build import (
    ARTIFACT,
    RunRegistryInputs,
    build_run_registry,
    make_run_line,
)
from registry_pipeline.runs.envelope import AdaptedBy, ScannedRun
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline_tests.registries.builder_values import CONTEXT, scanned, scanned_runs


def build(*runs: ScannedRun) -> Artifacts:
    return build_run_registry(RunRegistryInputs(tuple(map(make_run_line, runs))), CONTEXT)


def records(*runs: ScannedRun) -> list[dict[str, Any]]:
    data = build(*runs).files[ARTIFACT]
    return [json.loads(line) for line in data.decode("ascii").splitlines()]


def test_no_runs_make_an_empty_file() -> None:
    made = build()

    assert made.files[ARTIFACT] == b""
    assert made.records == 0


def test_a_line_is_compact_ascii_with_its_keys_in_order() -> None:
    run = scanned("é", claimed_root="ab", files=(("a", 1),), envelope={"option": "A"})

    assert build(run).files[ARTIFACT] == (
        b'{"registry_version":"0.1","run_id":"\\u00e9","run_root":"runs","run_key":"runs::\\u00e9",'
        b'"run_path":"runs/\\u00e9/","created_utc":null,"run_type":null,"option":"A","operation_id":null,'
        b'"git_commit":null,"working_tree_state":null,"has_run_json":true,"has_manifest_sha256":true,'
        b'"has_manifest_json":true,"manifest_root_sha256":"ab","files":[{"relpath":"a","bytes":1}],"warnings":[]}\n'
    )


@pytest.mark.parametrize(
    ("envelope", "created", "warnings"),
    [
        ({"created_utc": "t", "created_at": "u"}, "t", []),
        ({"created_utc": None, "created_at": "u"}, "u", []),
        ({"created_utc": "", "created_at": "u"}, "u", []),
        ({"created_utc": " t "}, " t ", []),
        ({"created_utc": 5, "created_at": "u"}, "u", ["created_utc"]),
        ({"created_utc": 0, "created_at": False}, None, ["created_utc", "created_at"]),
        ({"created_utc": "t", "created_at": 5}, "t", []),
        ({}, None, []),
    ],
)
def test_the_time_of_a_run_falls_back_to_created_at(
    envelope: dict[str, Any], created: str | None, warnings: list[str]
) -> None:
    (record,) = records(scanned(envelope=envelope))

    assert record["created_utc"] == created
    assert record["warnings"] == [f"run.json {name} is neither null nor a string" for name in warnings]


def test_a_value_that_is_no_string_becomes_null_with_a_warning_in_key_order() -> None:
    envelope = {"working_tree_state": True, "git_commit": [], "operation_id": {}, "option": 0, "run_type": 1.5}

    (record,) = records(scanned(envelope=envelope))

    names = ("run_type", "option", "operation_id", "git_commit", "working_tree_state")
    assert [record[name] for name in names] == [None] * 5
    assert record["warnings"] == [f"run.json {name} is neither null nor a string" for name in names]


def test_warnings_are_in_the_documented_order() -> None:
    run = scanned(
        envelope={"option": 1},
        run_json_problem="p",
        has_run_json=False,
        has_manifest_sha256=False,
        has_manifest_json=False,
    )

    assert records(run)[0]["warnings"] == [
        "p",
        "missing MANIFEST.sha256",
        "missing manifest.json",
        "run.json option is neither null nor a string",
    ]


def test_lines_are_ordered_by_root_then_time_as_text_then_id() -> None:
    def at(run_id: str, created: str | None, run_root: str = "b") -> ScannedRun:
        return scanned(run_id, run_root, envelope={"created_utc": created})

    runs = [at("5", None), at("4", None), at("3", "2026"), at("2", "2026"), at("9", "1999"), at("8", None, "a")]

    assert [record["run_id"] for record in records(*runs)] == ["8", "9", "2", "3", "4", "5"]


@given(st.lists(scanned_runs, max_size=8, unique_by=lambda run: (run.run_root, run.run_id)), st.randoms())
def test_the_order_of_folders_does_not_matter_and_none_is_lost(runs: list[ScannedRun], rng: random.Random) -> None:
    shuffled = runs.copy()
    rng.shuffle(shuffled)

    made = build(*runs)

    assert made == build(*shuffled)
    keys = sorted(json.loads(line)["run_key"] for line in made.files[ARTIFACT].splitlines())
    assert keys == sorted(f"{run.run_root}::{run.run_id}" for run in runs)
    assert made.records == len(runs)


def test_the_warning_about_an_adapted_envelope_is_last_and_run_json_stays_missing() -> None:
    adapted_by = AdaptedBy("meta.json", {"created_utc": "times.start", "operation_id": "job"}, None)
    run = scanned(
        envelope={"created_utc": 7, "operation_id": "OP-A01"},
        run_json_problem="missing run.json",
        has_run_json=False,
        has_manifest_json=False,
        adapted_by=adapted_by,
    )

    (line,) = build(run).files[ARTIFACT].splitlines()

    record = json.loads(line)
    assert (record["operation_id"], record["created_utc"], record["has_run_json"]) == ("OP-A01", None, False)
    assert record["warnings"] == [
        "missing run.json",
        "missing manifest.json",
        "meta.json times.start is neither null nor a string",
        "envelope read by adapter meta.json",
    ]


def test_an_adapter_that_could_not_read_its_file_says_why_and_not_that_it_read_it() -> None:
    adapted_by = AdaptedBy("meta.json", {"operation_id": "job"}, "meta.json top-level is not an object")
    run = scanned(run_json_problem="missing run.json", has_run_json=False, adapted_by=adapted_by)

    (line,) = build(run).files[ARTIFACT].splitlines()

    assert json.loads(line)["warnings"] == ["missing run.json", "meta.json top-level is not an object"]
