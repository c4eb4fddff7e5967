"""registry_delta_log: the changes between successive snapshots of each registry."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.spec import DeferredCall, RegistrySpec

REGISTRY_DELTA_LOG_SPEC: Final = RegistrySpec(
    registry_id="registry_delta_log",
    kind="built",
    title="What changed between successive sealed snapshots of each registry: one line an edge, appended for good.",
    artifacts=("REGISTRY_DELTA_LOG_v0_1.jsonl",),
    schemas=(("REGISTRY_DELTA_LOG_v0_1.jsonl", "REGISTRY_registry_delta_log_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA11",
    tag="registry_delta_log_build",
    sources=("run_roots",),
    pointer=False,
    delta=False,
    append_only=True,
    record_key=("registry_id", "to_ref"),
    excluded_because="a record of its own: memory and not control, so that it is never in force",
    reader=DeferredCall("registry_pipeline.registries.delta_log.read.read_delta_log_inputs"),
    builder=DeferredCall("registry_pipeline.registries.delta_log.build.build_delta_log"),
)
