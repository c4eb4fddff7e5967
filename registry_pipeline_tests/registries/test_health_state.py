from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.findings.codes import finding
from registry_pipeline.registries.base.values import SystemDrift
from registry_pipeline.registries.system_health.build import SEVERITY, find_health_state
from registry_pipeline_tests.registries.health_values import FINE, counts, facts

POINTERS = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"


def found(code: str) -> Any:
    return finding(code, POINTERS, detail="x", registry="y")


CAUSES = [
    ("HEALTHY", {}),
    ("HEALTHY", {"findings": (found("CHAIN_NOT_STARTED"),)}),
    ("HEALTHY", {"working_tree_state": None}),
    ("HEALTHY", {"operations": counts(stale=3, legacy_only=1, unobserved=2)}),
    ("DEGRADED_NON_BLOCKING", {"working_tree_state": "dirty"}),
    ("DEGRADED_NON_BLOCKING", {"unknown_pointers": ("run_registry",)}),
    ("DEGRADED_NON_BLOCKING", {"operations": counts(drifting=1)}),
    ("DEGRADED_NON_BLOCKING", {"operations": counts(coverage_below_c3=1)}),
    (
        "DEGRADED_NON_BLOCKING",
        {"system_drift": SystemDrift(canon_dirty=True, schema_drift=False, threshold_drift=False)},
    ),
    (
        "DEGRADED_NON_BLOCKING",
        {"system_drift": SystemDrift(canon_dirty=False, schema_drift=True, threshold_drift=False)},
    ),
    (
        "DEGRADED_NON_BLOCKING",
        {"system_drift": SystemDrift(canon_dirty=False, schema_drift=False, threshold_drift=True)},
    ),
    (
        "DEGRADED_NON_BLOCKING",
        {"system_drift": SystemDrift(canon_dirty=False, schema_drift=None, threshold_drift=False)},
    ),
    ("UNKNOWN", {"system_drift": None}),
    ("UNKNOWN", {"operations": None}),
    ("UNKNOWN", {"findings": (found("POINTER_FILE_MISSING"),)}),
    ("DEGRADED_BLOCKING", {"findings": (found("HASH_MISMATCH"),)}),
    ("DEGRADED_BLOCKING", {"findings": (found("POINTER_RUN_MISSING"),)}),
    ("DEGRADED_BLOCKING", {"findings": (found("POINTER_ROOT_MISMATCH"),)}),
    ("DEGRADED_BLOCKING", {"findings": (found("SCHEMA_UNKNOWN"),)}),
    ("RECOVERY_REQUIRED", {"findings": (found("POINTER_SHAPE"),)}),
    ("RECOVERY_REQUIRED", {"findings": (found("POINTER_DUPLICATE_KEY"),)}),
    ("RECOVERY_REQUIRED", {"findings": (found("CHAIN_RECORD_MISSING"),)}),
    ("RECOVERY_REQUIRED", {"findings": (found("CHAIN_PENDING"),)}),
    ("RECOVERY_REQUIRED", {"findings": (found("POINTER_EDITED"),)}),
]


@pytest.mark.parametrize(("state", "cause"), CAUSES)
def test_each_condition_causes_its_state_and_is_named(state: str, cause: dict[str, Any]) -> None:
    result = find_health_state(facts(**cause))

    assert result.state == state
    assert [condition.state for condition in result.conditions] == ([] if state == "HEALTHY" else [state])


@given(st.lists(st.sampled_from(CAUSES), max_size=5))
def test_the_most_severe_condition_decides_and_is_first(causes: list[tuple[str, dict[str, Any]]]) -> None:
    merged: dict[str, Any] = {}
    for _, cause in causes:
        together = merged.get("findings", ()) + cause.get("findings", ())
        merged = merged | cause | ({"findings": together} if together else {})

    state = find_health_state(facts(**merged))

    ranks = [SEVERITY.index(condition.state) for condition in state.conditions]
    assert ranks == sorted(ranks, reverse=True)
    assert state.state == (state.conditions[0].state if state.conditions else "HEALTHY")


def test_a_version_that_drifts_is_named_with_the_expected_one_and_the_document_that_expects_it() -> None:
    drift = SystemDrift(canon_dirty=False, schema_drift=True, threshold_drift=True)
    versions = {
        "schema_version": {
            "expected": "0.2",
            "observed": {"run_registry": "0.1", "op_status_table": "0.2", "run_envelope": "0.1"},
            "source_path": "docs/EXPECTED.json",
        },
        "threshold_pack": {"expected": "v0.3", "observed": "v0.2", "source_path": "docs/EXPECTED.json"},
    }

    state = find_health_state(facts(system_drift=drift, versions=versions))

    assert [condition.reason for condition in state.conditions] == [
        "the schema version drifts: run_envelope has 0.1, run_registry has 0.1, 0.2 is expected",
        "the threshold version drifts: v0.2 is used, v0.3 is expected",
    ]
    assert state.conditions[1].next_step == "change to threshold version v0.3, or correct docs/EXPECTED.json"


def test_a_dirty_tree_is_reported_once() -> None:
    drift = SystemDrift(canon_dirty=True, schema_drift=FINE.schema_drift, threshold_drift=FINE.threshold_drift)

    assert len(find_health_state(facts(system_drift=drift, working_tree_state="dirty")).conditions) == 1


def test_blocking_weighs_more_than_unknown_and_unknown_more_than_degraded() -> None:
    assert find_health_state(facts(system_drift=None, working_tree_state="dirty")).state == "UNKNOWN"
    assert find_health_state(facts(system_drift=None, findings=(found("HASH_MISMATCH"),))).state == "DEGRADED_BLOCKING"
