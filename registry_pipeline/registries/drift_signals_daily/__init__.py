"""drift_signals_daily: status and drift of one past day."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.spec import DeferredCall, RegistrySpec

DRIFT_SIGNALS_DAILY_SPEC: Final = RegistrySpec(
    registry_id="drift_signals_daily",
    kind="built",
    title="What the repository was on each past day against what it expected to be, and how its operations stood.",
    artifacts=("DRIFT_SIGNALS_v0_1.json", "OPERATION_STATUS_TABLE_v0_1.json"),
    schemas=(
        ("DRIFT_SIGNALS_v0_1.json", "REGISTRY_drift_signals_v0_1.schema.json"),
        ("OPERATION_STATUS_TABLE_v0_1.json", "REGISTRY_op_status_table_v0_1.schema.json"),
    ),
    version="0.1",
    operation_id="OP-QA09",
    tag="drift_signals_daily_build",
    sources=("run_roots", "git", "operations_catalog", "coverage_matrix", "expected_versions", "threshold_sources"),
    pointer=False,
    delta=False,
    partitioned=True,
    excluded_because="history: each snapshot describes a day that is over, and none is in force",
    builder=DeferredCall("registry_pipeline.registries.drift_signals_daily.build.build_drift_signals_daily"),
)
