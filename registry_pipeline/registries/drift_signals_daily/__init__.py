"""drift_signals_daily: drift signals and operation status of one past day."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="drift_signals_daily",
    kind="built",
    title="Drift signals and operation status of each past day.",
    artifacts=("DRIFT_SIGNALS_v0_1.json", "OPERATION_STATUS_TABLE_v0_1.json"),
    schemas=(
        ("DRIFT_SIGNALS_v0_1.json", "REGISTRY_drift_signals_v0_1.schema.json"),
        ("OPERATION_STATUS_TABLE_v0_1.json", "REGISTRY_op_status_table_v0_1.schema.json"),
    ),
    operation_id="OP-QA09",
    tag="drift_signals_daily_build",
    sources=("run_roots", "git", "operations_catalog", "coverage_matrix", "expected_versions", "threshold_sources"),
    pointer=False,
    delta=False,
    partitioned=True,
    excluded_because="history: each snapshot describes a past day, so none can be active",
    builder=DeferredCall("registry_pipeline.registries.drift_signals_daily.build.build_drift_signals_daily"),
)
