"""registry_delta_log: the changes between successive snapshots of each registry."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="registry_delta_log",
    kind="built",
    title="The changes between successive snapshots of each registry: an append-only log with one line for each edge.",
    artifacts=("REGISTRY_DELTA_LOG_v0_1.jsonl",),
    schemas=(("REGISTRY_DELTA_LOG_v0_1.jsonl", "REGISTRY_registry_delta_log_v0_1.schema.json"),),
    operation_id="OP-QA11",
    tag="registry_delta_log_build",
    sources=("run_roots",),
    pointer=False,
    delta=False,
    append_only=True,
    record_key=("registry_id", "to_ref"),
    excluded_because="a log of what happened: nothing is built from it, so it is never active",
    reader=DeferredCall("registry_pipeline.registries.delta_log.read.read_delta_log_inputs"),
    builder=DeferredCall("registry_pipeline.registries.delta_log.build.build_delta_log"),
    rules=DeferredCall("registry_pipeline.registries.delta_log.read.check_sealed_log"),
    reads_chain=True,
)
