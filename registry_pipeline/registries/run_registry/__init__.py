"""run_registry: one line for every run folder."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.spec import DeferredCall, RegistrySpec

RUN_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="run_registry",
    kind="built",
    title="Every run folder, one line each: what it says of itself, which files it holds, what is wrong with it.",
    artifacts=("RUN_REGISTRY_v0_1.jsonl",),
    schemas=(("RUN_REGISTRY_v0_1.jsonl", "REGISTRY_run_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA07",
    tag="run_registry_build",
    record_key=("run_key",),
    previous_inputs=("run_registry",),
    sources=("run_roots",),
    reader=DeferredCall("registry_pipeline.registries.run_registry.read.read_run_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.run_registry.build.build_run_registry"),
)
