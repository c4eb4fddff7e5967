import pytest

from registry_pipeline.pipeline.init import (
    COVERAGE_ADDENDUM_PATH,
    LAYER_OPERATIONS,
    OPERATIONS_ADDENDUM_PATH,
    format_coverage_addendum,
    format_operations_addendum,
    list_git_attributes,
    list_git_ignores,
)
from registry_pipeline.registries.base.operations import parse_catalog_document, parse_matrix_document


def test_the_addendum_defines_the_eleven_operations_of_the_layer() -> None:
    found = parse_catalog_document(format_operations_addendum(), OPERATIONS_ADDENDUM_PATH)

    assert [o.operation_id for o in found] == [f"OP-QA{number:02d}" for number in range(7, 18)]
    assert [o.name for o in found] == [o.name for o in LAYER_OPERATIONS]
    assert {o.option for o in found} == {"QA"}


def test_the_coverage_addendum_states_a_level_for_each_of_them() -> None:
    rows = parse_matrix_document(format_coverage_addendum(), COVERAGE_ADDENDUM_PATH)

    assert {row.operation_id: row.level for row in rows} == {o.operation_id: o.level for o in LAYER_OPERATIONS}


def test_line_ends_of_evidence_and_pointers_are_left_alone() -> None:
    assert list_git_attributes(["ev/RUNS"], "ev/P.json") == ("ev/RUNS/** -text", "ev/P.json -text")


@pytest.mark.parametrize("track_runs", [True, False])
def test_state_is_always_ignored_and_evidence_unless_tracked(track_runs: bool) -> None:
    lines = list_git_ignores("ev/RUNS", "ev/P.json", track_runs=track_runs)

    assert {"/ev/.staging", "/ev/dagster", "/ev/P.json.lock", "/ev/P.json.intent"} < set(lines)
    assert ("/ev/RUNS/" in lines) is not track_runs
    assert ("/ev/P.json" in lines) is not track_runs
