"""Short constructors of status rows, facts and report inputs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from registry_pipeline.canonical import utc_text
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift
from registry_pipeline.registries.system_health.build import HealthFacts, HealthInputs, HealthState
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline_tests.registries.builder_values import CONTEXT

FINE = SystemDrift(canon_dirty=False, schema_drift=False, threshold_drift=False)
REF = SealedRef("2026-03-01__000000__run_registry_build", ".codex/RUNS", "RUN_REGISTRY_v0_1.jsonl", "ab" * 32)


def status_row(operation_id: str = "OP-A01", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "status_version": "0.1",
        "option": "A",
        "operation_id": operation_id,
        "operation_name": f"Name of {operation_id}",
        "coverage_level": "C3",
        "last_run_id": "2026-02-28__000000__x",
        "last_run_created_utc": "2026-02-28T00:00:00Z",
        "run_evidence_state": "OBSERVED",
        "manifest_state": "PRESENT",
        "run_json_state": "PRESENT",
        "staleness_days": 0,
        "op_drift": False,
        "op_drift_reasons": [],
        "warnings": [],
    }
    values |= changes
    # The age is that at the moment of CONTEXT, unless a test states the time itself.
    if values["staleness_days"] is not None and "last_run_created_utc" not in changes:
        values["last_run_created_utc"] = utc_text(CONTEXT.as_of - timedelta(days=values["staleness_days"]))
    if values["staleness_days"] is None and "last_run_created_utc" not in changes:
        values["last_run_created_utc"] = None
    return values


def counts(**changes: int) -> OperationCounts:
    values = dict.fromkeys(
        ("total", "observed", "stale", "drifting", "legacy_only", "unobserved", "coverage_below_c3"), 0
    )
    return OperationCounts(**(values | {"total": 9} | changes))


def facts(**changes: Any) -> HealthFacts:
    values: dict[str, Any] = {
        "findings": (),
        "unknown_pointers": (),
        "system_drift": FINE,
        "operations": counts(),
        "working_tree_state": "clean",
    }
    return HealthFacts(**(values | changes))


def health_inputs(*rows: dict[str, Any], **changes: Any) -> HealthInputs:
    drift = {"canon_dirty": False, "schema_drift": None, "threshold_drift": True}
    values: dict[str, Any] = {
        "drift_signals": {"system_drift": drift | {"threshold_drift_computed": True}, "warnings": []},
        "runs_known": 31,
        "input_sources": {"run_registry": REF},
        "stale_limits": StaleLimits(),
        "health": HealthState("HEALTHY", ()),
    }
    return HealthInputs(status_rows=rows or (status_row(),), **(values | changes))
