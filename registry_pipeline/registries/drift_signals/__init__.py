"""drift_signals: the differences between the repository and what it expects."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="drift_signals",
    kind="built",
    title="Expected and observed versions, the hash of the tracked files, and the drift between them.",
    artifacts=("DRIFT_SIGNALS_v0_1.json",),
    schemas=(("DRIFT_SIGNALS_v0_1.json", "REGISTRY_drift_signals_v0_1.schema.json"),),
    operation_id="OP-QA09",
    tag="drift_signals_build",
    depends_on=("op_status_table", "run_registry", "expected_versions"),
    sources=("git", "threshold_sources", "envelope_standard"),
    reader=DeferredCall("registry_pipeline.registries.drift_signals.read.read_drift_signals_inputs"),
    builder=DeferredCall("registry_pipeline.registries.drift_signals.build.build_drift_signals"),
    says_same=DeferredCall("registry_pipeline.registries.drift_signals.build.are_same_signals"),
)
