"""The registry table: one row a registry (SPEC 3). Assets, checks, command line and documents are made from it.

Holds rows, and looking them up. Keeps out logic: what a row names lives in its room.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from registry_pipeline.builders.captured import build_captured
from registry_pipeline.builders.drift_signals import build_drift_signals
from registry_pipeline.builders.op_status_table import build_op_status_table
from registry_pipeline.builders.run_registry import build_run_registry
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.sources.inputs import (
    read_drift_signals_inputs,
    read_expected_versions_inputs,
    read_op_status_table_inputs,
    read_run_registry_inputs,
)

_ROWS: Final = (
    RegistrySpec(
        registry_id="run_registry",
        kind="built",
        title="Every run folder, one line each: what it says of itself, which files it holds, what is wrong with it.",
        artifacts=("RUN_REGISTRY_v0_1.jsonl",),
        schemas=(("RUN_REGISTRY_v0_1.jsonl", "REGISTRY_run_registry_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA07",
        tag="run_registry_build",
        feeds_back=("run_registry",),
        sources=("run_roots",),
        reader=read_run_registry_inputs,
        builder=build_run_registry,
    ),
    RegistrySpec(
        registry_id="expected_versions",
        kind="captured",
        title="The versions that the repository expects, captured from the governed document.",
        artifacts=("EXPECTED_VERSIONS_v0_1_snapshot.json",),
        schemas=(("EXPECTED_VERSIONS_v0_1_snapshot.json", "REGISTRY_expected_versions_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_expected_versions",
        feeds_back=("expected_versions",),
        sources=("expected_versions",),
        reader=read_expected_versions_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id="op_status_table",
        kind="built",
        title="Every allowed operation: its last run, the evidence of it, how old it is and whether it drifted.",
        artifacts=("OPERATION_STATUS_TABLE_v0_1.json", "OPERATION_STATUS_TABLE_v0_1.meta.json"),
        schemas=(
            ("OPERATION_STATUS_TABLE_v0_1.json", "REGISTRY_op_status_table_v0_1.schema.json"),
            ("OPERATION_STATUS_TABLE_v0_1.meta.json", "REGISTRY_op_status_table_meta_v0_1.schema.json"),
        ),
        version="0.1",
        operation_id="OP-QA08",
        tag="op_status_table_build",
        depends_on=("run_registry",),
        feeds_back=("drift_signals",),
        sources=("operations_catalog", "coverage_matrix"),
        reader=read_op_status_table_inputs,
        builder=build_op_status_table,
    ),
    RegistrySpec(
        registry_id="drift_signals",
        kind="built",
        title="What the repository is against what it expects to be: versions, thresholds, the tracked tree.",
        artifacts=("DRIFT_SIGNALS_v0_1.json",),
        schemas=(("DRIFT_SIGNALS_v0_1.json", "REGISTRY_drift_signals_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA09",
        tag="drift_signals_build",
        depends_on=("op_status_table", "run_registry", "expected_versions"),
        sources=("git", "threshold_sources", "envelope_standard"),
        reader=read_drift_signals_inputs,
        builder=build_drift_signals,
    ),
    RegistrySpec(
        registry_id="system_health_report",
        kind="rendered",
        title="What people read: the state of the system, from the active registries.",
        artifacts=("SYSTEM_HEALTH_SUMMARY_v0_1.json", "SYSTEM_HEALTH_REPORT_v0_1.md"),
        schemas=(("SYSTEM_HEALTH_SUMMARY_v0_1.json", "REGISTRY_system_health_report_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA10",
        tag="system_health_render",
        depends_on=("op_status_table", "drift_signals", "run_registry"),
        pointer=False,
        delta=False,
        excluded_because="presentation: rendered from the active registries, it is never active itself",
    ),
    RegistrySpec(
        registry_id="pointer_activation",
        kind="record",
        title="Who put which snapshot in force, when and why: the hash chain of changes of the pointer file.",
        artifacts=("POINTER_ACTIVATION_v0_1.json", "POINTERS_AFTER.json"),
        schemas=(
            ("POINTER_ACTIVATION_v0_1.json", "REGISTRY_pointer_activation_v0_1.schema.json"),
            ("POINTERS_AFTER.json", "ACTIVE_REGISTRY_POINTERS_v0_1.schema.json"),
        ),
        version="0.1",
        operation_id="OP-QA14",
        tag="pointer_activation",
        pointer=False,
        delta=False,
        excluded_because="a record of a change, not a snapshot that could be in force",
    ),
    RegistrySpec(
        registry_id="threshold_registry_db",
        kind="external",
        title="Thresholds in a database outside the repository.",
        artifacts=(),
        schemas=(),
        version="0.1",
        operation_id=None,
        tag=None,
        delta=False,
        excluded_because="an external database: nothing in the repository proves its content, so it stays unknown",
    ),
)

REGISTRIES: Final = MappingProxyType({row.registry_id: row for row in _ROWS})
"""Every registry by its id, in an order in which each stands behind what it depends on."""

STACK: Final = tuple(row for row in _ROWS if row.builder is not None and not row.partitioned)
"""The registries that a build makes, in dependency order."""


def with_dependants(registry_ids: Iterable[str]) -> tuple[RegistrySpec, ...]:
    """Return the named registries of the stack and all that is built from or after them, in dependency order."""
    chosen = set(registry_ids)
    for row in STACK:
        if chosen.intersection((*row.depends_on, *row.after)):
            chosen.add(row.registry_id)
    return tuple(row for row in STACK if row.registry_id in chosen)
