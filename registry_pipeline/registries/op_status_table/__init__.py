"""op_status_table: the status of every allowed operation."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="op_status_table",
    kind="built",
    title="Every allowed operation: its last run, the evidence for it, its age and its drift.",
    artifacts=("OPERATION_STATUS_TABLE_v0_1.json", "OPERATION_STATUS_TABLE_v0_1.meta.json"),
    schemas=(
        ("OPERATION_STATUS_TABLE_v0_1.json", "REGISTRY_op_status_table_v0_1.schema.json"),
        ("OPERATION_STATUS_TABLE_v0_1.meta.json", "REGISTRY_op_status_table_meta_v0_1.schema.json"),
    ),
    operation_id="OP-QA08",
    tag="op_status_table_build",
    record_key=("operation_id",),
    depends_on=("run_registry",),
    previous_inputs=("drift_signals",),
    sources=("operations_catalog", "coverage_matrix"),
    reader=DeferredCall("registry_pipeline.registries.op_status_table.read.read_op_status_table_inputs"),
    builder=DeferredCall("registry_pipeline.registries.op_status_table.build.build_op_status_table"),
    says_same=DeferredCall("registry_pipeline.registries.op_status_table.build.is_same_meta"),
)
