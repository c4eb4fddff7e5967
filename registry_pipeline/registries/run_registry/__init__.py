"""run_registry: one line for every run folder."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="run_registry",
    kind="built",
    title="One line for each run folder: what its run.json states, the files it contains, and warnings.",
    artifacts=("RUN_REGISTRY_v0_1.jsonl",),
    schemas=(("RUN_REGISTRY_v0_1.jsonl", "REGISTRY_run_registry_v0_1.schema.json"),),
    operation_id="OP-QA07",
    tag="run_registry_build",
    keeps_earlier=True,
    record_key=("run_key",),
    previous_inputs=("run_registry",),
    sources=("run_roots",),
    reader=DeferredCall("registry_pipeline.registries.run_registry.read.read_run_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.run_registry.build.build_run_registry"),
    rules=DeferredCall("registry_pipeline.registries.run_registry.read.check_run_registry"),
    says_same=DeferredCall("registry_pipeline.registries.run_registry.build.adds_own_runs_only"),
)
