from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.base.values import CapturedInputs, ExpectedVersions
from registry_pipeline.registries.captured.build import build_captured
from registry_pipeline.registries.drift_signals.build import ARTIFACT, DriftInputs, build_drift_signals, canon_tree_hash
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline_tests.registries.builder_values import CONTEXT, context, drift_inputs


def signals(inputs: DriftInputs, under: BuildContext = CONTEXT) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(build_drift_signals(inputs, under).files[ARTIFACT])
    return made


def test_where_all_is_as_expected_nothing_drifts() -> None:
    document = signals(drift_inputs())

    assert document["system_drift"] == {
        "canon_dirty": False,
        "schema_drift": False,
        "threshold_drift": False,
        "threshold_drift_computed": True,
    }
    assert document["warnings"] == []


def test_where_nothing_was_observed_nothing_is_invented() -> None:
    nothing = dict.fromkeys(
        ("expected", "observed_run_registry", "observed_op_status_table", "observed_run_envelope", "observed_threshold")
    )
    made = build_drift_signals(drift_inputs(**nothing, tracked=None), context(None, None))

    document = json.loads(made.files[ARTIFACT])
    assert document["canon_tree_hash"] is None
    assert document["expected"]["schema_version"] == {
        "expected": None,
        "computed": False,
        "observed": {"run_registry": None, "op_status_table": None, "run_envelope": None},
        "drift": None,
        "source_path": "docs/expected.json",
    }
    assert document["system_drift"] == {
        "canon_dirty": False,
        "schema_drift": None,
        "threshold_drift": None,
        "threshold_drift_computed": False,
    }
    assert document["warnings"] == [
        "expected_versions_missing_or_unreadable",
        "expected_threshold_null",
        "observed_threshold_version_not_found",
        "schema_drift_unknown",
        "threshold_drift_unknown",
        "not_a_git_repository",
    ]
    assert made.metrics == {"canon_dirty": 0}


@pytest.mark.parametrize("name", ["observed_run_registry", "observed_op_status_table", "observed_run_envelope"])
@pytest.mark.parametrize(("value", "drift"), [("0.2", True), (None, None)])
def test_any_observed_version_that_differs_is_schema_drift_and_an_unknown_one_makes_it_unknown(
    name: str, value: str | None, drift: bool | None
) -> None:
    document = signals(drift_inputs(**{name: value}))

    assert document["system_drift"]["schema_drift"] is drift
    assert document["warnings"] == ([] if drift else ["schema_drift_unknown"])


def test_an_expected_document_that_states_nothing_is_not_a_missing_one() -> None:
    assert signals(drift_inputs(expected=ExpectedVersions(None, None)))["warnings"] == [
        "expected_threshold_null",
        "schema_drift_unknown",
        "threshold_drift_unknown",
    ]


def test_a_dirty_tree_and_missing_files_are_reported() -> None:
    document = signals(drift_inputs(tracked_missing=True), context(state="dirty"))

    assert document["system_drift"]["canon_dirty"] is True
    assert document["warnings"] == ["tracked_files_missing"]


def test_the_tree_hash_sorts_complete_lines_bytewise() -> None:
    tracked = [b"ff" * 32 + b" a", b"00" * 32 + b" \xff", b"00" * 32 + b" b c"]
    lines = b"00" * 32 + b" b c\n" + b"00" * 32 + b" \xff\n" + b"ff" * 32 + b" a\n"

    assert canon_tree_hash(tracked) == hashlib.sha256(lines).hexdigest()


@given(st.lists(st.binary(min_size=1), max_size=5))
def test_the_order_of_tracked_files_does_not_matter(tracked: list[bytes]) -> None:
    assert canon_tree_hash(tracked) == canon_tree_hash(tracked[::-1])


def test_the_content_hash_ignores_the_time_and_nothing_else() -> None:
    later = BuildContext(CONTEXT.as_of, "2027-01-01T00:00:00Z", CONTEXT.git)

    first, same = build_drift_signals(drift_inputs(), CONTEXT), build_drift_signals(drift_inputs(), later)
    other = build_drift_signals(drift_inputs(observed_threshold="v2"), CONTEXT)

    assert first.files != same.files
    assert first.content_sha256 == same.content_sha256 != other.content_sha256


def test_a_capture_keeps_the_bytes_as_they_are() -> None:
    made = build_captured(CapturedInputs({"b.json": b"\xff\r\n", "a": b""}), CONTEXT)

    assert made.files == {"a": b"", "b.json": b"\xff\r\n"}
    assert (made.records, made.metrics) == (2, {"files": 2, "bytes": 3})
    assert (
        made.content_sha256 != build_captured(CapturedInputs({"b.json": b"", "a": b"\xff\r\n"}), CONTEXT).content_sha256
    )
