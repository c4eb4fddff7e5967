"""The run index and the overrides log: two append-only logs, with their rules, queries and merge."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

OVERRIDES_LOG_SPEC: Final = RegistrySpec(
    registry_id="overrides_log",
    kind="captured",
    title="What people allowed runs that a policy forbids, and what became of it.",
    artifacts=("overrides-log.jsonl",),
    schemas=(("overrides-log.jsonl", "REGISTRY_overrides_log_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA17",
    tag="overrides_log_build",
    keeps_earlier=True,
    previous_inputs=("overrides_log",),
    sources=("run_index.overrides",),
    reader=DeferredCall("registry_pipeline.registries.run_index.scan.read_overrides_log_inputs"),
    builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
    rules=DeferredCall("registry_pipeline.registries.run_index.service.check_sealed_log"),
)
RUN_INDEX_SPEC: Final = RegistrySpec(
    registry_id="run_index",
    kind="captured",
    title="What happened in each run and what it made: an append-only index, captured.",
    artifacts=("run-index.jsonl",),
    schemas=(("run-index.jsonl", "REGISTRY_run_index_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA17",
    tag="run_index_build",
    # The rules of the run index read the overrides log, so that one is built first.
    after=("overrides_log",),
    keeps_earlier=True,
    previous_inputs=("run_index",),
    sources=("run_index.path", "run_index.overrides"),
    reader=DeferredCall("registry_pipeline.registries.run_index.scan.read_run_index_inputs"),
    builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
    rules=DeferredCall("registry_pipeline.registries.run_index.service.check_sealed_log"),
)
