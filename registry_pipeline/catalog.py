"""The registry table: one row a registry (SPEC 3). Assets, checks, command line and documents are made from it.

Holds rows, and looking them up. Keeps out logic: what a row names lives in its room.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from registry_pipeline.builders.captured import build_captured
from registry_pipeline.builders.delta_log import build_delta_log
from registry_pipeline.builders.drift_signals import build_drift_signals
from registry_pipeline.builders.drift_signals_daily import build_drift_signals_daily
from registry_pipeline.builders.op_status_table import build_op_status_table
from registry_pipeline.builders.run_registry import build_run_registry
from registry_pipeline.builders.scorecard import build_scorecard
from registry_pipeline.model.roles import ROLE_ARTIFACT, ROLE_REGISTRY
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.roles.build import build_role_registry
from registry_pipeline.sources.captured import (
    read_derived_validation_inputs,
    read_expected_versions_inputs,
    read_fingerprint_index_inputs,
    read_migration_ledger_inputs,
    read_threshold_packs_inputs,
)
from registry_pipeline.sources.delta_log import read_delta_log_inputs
from registry_pipeline.sources.inputs import (
    read_drift_signals_inputs,
    read_op_status_table_inputs,
    read_run_registry_inputs,
)
from registry_pipeline.sources.logs import read_overrides_log_inputs, read_run_index_inputs
from registry_pipeline.sources.role_packs import read_role_registry_inputs
from registry_pipeline.sources.scorecard import read_scorecard_inputs

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
        record_key=("run_key",),
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
        registry_id="migration_ledger",
        kind="captured",
        title="The migrations that were applied, captured from the ledger that people keep.",
        artifacts=("applied_migrations_snapshot.json",),
        schemas=(("applied_migrations_snapshot.json", "REGISTRY_migration_ledger_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_migration_ledger",
        feeds_back=("migration_ledger",),
        sources=("captured.migration_ledger",),
        reader=read_migration_ledger_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id="threshold_packs_file",
        kind="captured",
        title="The threshold packs of the repository, every one under its own name.",
        artifacts=(),
        schemas=(("*.json", "REGISTRY_threshold_packs_file_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_threshold_packs",
        feeds_back=("threshold_packs_file",),
        sources=("captured.threshold_packs_file",),
        many_files=True,
        source_operation_id="OP-B07",
        reader=read_threshold_packs_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id="fingerprint_index",
        kind="captured",
        title="The index of fingerprints, captured as the operation that makes them left it.",
        artifacts=("fingerprint_index_snapshot.csv",),
        schemas=(("fingerprint_index_snapshot.csv", "REGISTRY_fingerprint_index_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_fingerprint_index",
        feeds_back=("fingerprint_index",),
        sources=("captured.fingerprint_index",),
        source_operation_id="OP-D08",
        record_key=("fingerprint_id",),
        reader=read_fingerprint_index_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id="derived_validation_reports",
        kind="captured",
        title="The newest report on derived data, by LATEST.txt, with the files beside it.",
        artifacts=("derived_validation_report.json",),
        schemas=(("derived_validation_report.json", "REGISTRY_derived_validation_reports_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_derived_validation",
        feeds_back=("derived_validation_reports",),
        sources=("captured.derived_validation_reports",),
        many_files=True,
        source_operation_id="OP-B08",
        reader=read_derived_validation_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id="overrides_log",
        kind="captured",
        title="What people allowed runs that a policy forbids, and what became of it.",
        artifacts=("overrides-log.jsonl",),
        schemas=(("overrides-log.jsonl", "REGISTRY_overrides_log_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA17",
        tag="overrides_log_build",
        feeds_back=("overrides_log",),
        sources=("run_index.overrides",),
        reader=read_overrides_log_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id="run_index",
        kind="captured",
        title="What happened in each run and what it made: an append-only index, captured.",
        artifacts=("run-index.jsonl",),
        schemas=(("run-index.jsonl", "REGISTRY_run_index_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA17",
        tag="run_index_build",
        after=("overrides_log",),
        feeds_back=("run_index",),
        sources=("run_index.path", "run_index.overrides"),
        reader=read_run_index_inputs,
        builder=build_captured,
    ),
    RegistrySpec(
        registry_id=ROLE_REGISTRY,
        kind="captured",
        title="The roles of the role pack and the surfaces of their contracts, which are only ever added to.",
        artifacts=(ROLE_ARTIFACT,),
        schemas=(
            (ROLE_ARTIFACT, "REGISTRY_role_registry_v0_1.schema.json"),
            ("*.json", "ROLE_PACK_v0_1.schema.json"),
        ),
        version="0.1",
        operation_id="OP-QA15",
        tag="role_registry_build",
        feeds_back=(ROLE_REGISTRY,),
        sources=("roles.pack",),
        many_files=True,
        rules_check="append_only",
        reader=read_role_registry_inputs,
        builder=build_role_registry,
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
        record_key=("operation_id",),
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
        builder=build_drift_signals_daily,
    ),
    RegistrySpec(
        registry_id="governance_scorecard",
        kind="built",
        title="Figures of governance: operations and their coverage, executables, registries sealed and in force.",
        artifacts=("GOVERNANCE_SCORECARD_v0_2.json",),
        schemas=(("GOVERNANCE_SCORECARD_v0_2.json", "REGISTRY_governance_scorecard_v0_2.schema.json"),),
        version="0.2",
        operation_id="OP-QA12",
        tag="governance_scorecard_build",
        feeds_back=("governance_scorecard", "op_status_table"),
        sources=("operations_catalog", "coverage_matrix", "pointers"),
        reader=read_scorecard_inputs,
        builder=build_scorecard,
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
        registry_id="validation_range_results",
        kind="collection",
        title="What validation found in ranges of days, one sealed folder a range.",
        artifacts=(),
        schemas=(),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_validation_range_results",
        sources=("reports/validation",),
        pointer=False,
        delta=False,
        source_operation_id="OP-D04",
        excluded_because="a collection: many members, each sealed by itself, and no single active snapshot",
    ),
    RegistrySpec(
        registry_id="evidence_pack_registry",
        kind="collection",
        title="Evidence packs, one sealed folder a pack.",
        artifacts=(),
        schemas=(),
        version="0.1",
        operation_id="OP-QA13",
        tag="seal_evidence_pack",
        sources=("reports/path1/evidence/runs",),
        pointer=False,
        delta=False,
        source_operation_id="OP-D01",
        excluded_because="a collection: many members, each sealed by itself, and no single active snapshot",
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

# What it logs, and behind which registries of a build run it stands, is the table above.
_DELTA_LOG: Final = RegistrySpec(
    registry_id="registry_delta_log",
    kind="built",
    title="What changed between successive sealed snapshots of each registry: one line an edge, appended for good.",
    artifacts=("REGISTRY_DELTA_LOG_v0_1.jsonl",),
    schemas=(("REGISTRY_DELTA_LOG_v0_1.jsonl", "REGISTRY_registry_delta_log_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA11",
    tag="registry_delta_log_build",
    after=tuple(row.registry_id for row in _ROWS if row.delta and row.builder is not None and not row.partitioned),
    sources=("run_roots",),
    pointer=False,
    delta=False,
    append_only=True,
    record_key=("registry_id", "to_ref"),
    excluded_because="a record of its own: memory and not control, so that it is never in force",
    reader=read_delta_log_inputs,
    builder=build_delta_log,
)

_TABLE: Final = (
    *(row for row in _ROWS if row.builder is not None),
    _DELTA_LOG,
    *(row for row in _ROWS if row.builder is None),
)

REGISTRIES: Final = MappingProxyType({row.registry_id: row for row in _TABLE})
"""Every registry by its id, in an order in which each stands behind what it depends on."""

STACK: Final = tuple(row for row in _TABLE if row.builder is not None and not row.partitioned)
"""The registries that a build makes, in dependency order."""


def with_dependants(registry_ids: Iterable[str]) -> tuple[RegistrySpec, ...]:
    """Return the named registries of the stack and all that is built from or after them, in dependency order."""
    chosen = set(registry_ids)
    for row in STACK:
        if chosen.intersection((*row.depends_on, *row.after)):
            chosen.add(row.registry_id)
    return tuple(row for row in STACK if row.registry_id in chosen)
