"""The registry table: one row a registry (SPEC 3). Assets, checks, command line and documents are made from it.

Holds rows, and looking them up. Keeps out logic: what a row names lives in its room.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from registry_pipeline.model.roles import ROLE_ARTIFACT, ROLE_REGISTRY
from registry_pipeline.model.spec import DeferredCall, RegistrySpec
from registry_pipeline.values import replace

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
    feeds_back=("run_registry",),
    sources=("run_roots",),
    reader=DeferredCall("registry_pipeline.sources.inputs.read_run_registry_inputs"),
    builder=DeferredCall("registry_pipeline.builders.run_registry.build_run_registry"),
)

EXPECTED_VERSIONS_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.captured.read_expected_versions_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

MIGRATION_LEDGER_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.captured.read_migration_ledger_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

THRESHOLD_PACKS_FILE_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.captured.read_threshold_packs_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

FINGERPRINT_INDEX_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.captured.read_fingerprint_index_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

DERIVED_VALIDATION_REPORTS_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.captured.read_derived_validation_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

MODULE_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="module_registry",
    kind="captured",
    title="Modules: their types, the modules that exist, how far they have come, and what they offer.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_module_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="module_registry_build",
    feeds_back=("module_registry",),
    sources=("entries.modules",),
    many_files=True,
    keeps_paths=True,
    rules_check="coordination",
    reader=DeferredCall("registry_pipeline.sources.entries.read_module_registry_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

ROUTE_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="route_registry",
    kind="captured",
    title="Routes: which documents to read for a topic, when, and at which stage of the work.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_route_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="route_registry_build",
    feeds_back=("route_registry",),
    sources=("entries.routes",),
    many_files=True,
    keeps_paths=True,
    rules_check="coordination",
    reader=DeferredCall("registry_pipeline.sources.entries.read_route_registry_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

ABILITY_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="ability_registry",
    kind="captured",
    title="Abilities that may be called: single operations, and the workflows and agents made of them.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_ability_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="ability_registry_build",
    feeds_back=("ability_registry",),
    sources=("entries.abilities_low", "entries.abilities_high"),
    many_files=True,
    keeps_paths=True,
    rules_check="coordination",
    reader=DeferredCall("registry_pipeline.sources.entries.read_ability_registry_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

HOOK_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="hook_registry",
    kind="captured",
    title="Hooks: what runs at which event, for which abilities, and whether it may stop them.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_hook_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="hook_registry_build",
    feeds_back=("hook_registry",),
    sources=("entries.hooks",),
    many_files=True,
    keeps_paths=True,
    rules_check="coordination",
    reader=DeferredCall("registry_pipeline.sources.entries.read_hook_registry_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

OVERRIDES_LOG_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.logs.read_overrides_log_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
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
    after=("overrides_log",),
    feeds_back=("run_index",),
    sources=("run_index.path", "run_index.overrides"),
    reader=DeferredCall("registry_pipeline.sources.logs.read_run_index_inputs"),
    builder=DeferredCall("registry_pipeline.builders.captured.build_captured"),
)

ROLE_REGISTRY_SPEC: Final = RegistrySpec(
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
    sealed_check=DeferredCall("registry_pipeline.roles.sealed.check_sealed_run"),
    reader=DeferredCall("registry_pipeline.sources.role_packs.read_role_registry_inputs"),
    builder=DeferredCall("registry_pipeline.roles.build.build_role_registry"),
)

OP_STATUS_TABLE_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.inputs.read_op_status_table_inputs"),
    builder=DeferredCall("registry_pipeline.builders.op_status_table.build_op_status_table"),
)

DRIFT_SIGNALS_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.inputs.read_drift_signals_inputs"),
    builder=DeferredCall("registry_pipeline.builders.drift_signals.build_drift_signals"),
)

DRIFT_SIGNALS_DAILY_SPEC: Final = RegistrySpec(
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
    builder=DeferredCall("registry_pipeline.builders.drift_signals_daily.build_drift_signals_daily"),
)

GOVERNANCE_SCORECARD_SPEC: Final = RegistrySpec(
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
    reader=DeferredCall("registry_pipeline.sources.scorecard.read_scorecard_inputs"),
    builder=DeferredCall("registry_pipeline.builders.scorecard.build_scorecard"),
)

SYSTEM_HEALTH_REPORT_SPEC: Final = RegistrySpec(
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
)

POINTER_ACTIVATION_SPEC: Final = RegistrySpec(
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
)

VALIDATION_RANGE_RESULTS_SPEC: Final = RegistrySpec(
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
)

EVIDENCE_PACK_REGISTRY_SPEC: Final = RegistrySpec(
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
)

THRESHOLD_REGISTRY_DB_SPEC: Final = RegistrySpec(
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
)

_ROWS: Final = (
    RUN_REGISTRY_SPEC,
    EXPECTED_VERSIONS_SPEC,
    MIGRATION_LEDGER_SPEC,
    THRESHOLD_PACKS_FILE_SPEC,
    FINGERPRINT_INDEX_SPEC,
    DERIVED_VALIDATION_REPORTS_SPEC,
    MODULE_REGISTRY_SPEC,
    ROUTE_REGISTRY_SPEC,
    ABILITY_REGISTRY_SPEC,
    HOOK_REGISTRY_SPEC,
    OVERRIDES_LOG_SPEC,
    RUN_INDEX_SPEC,
    ROLE_REGISTRY_SPEC,
    OP_STATUS_TABLE_SPEC,
    DRIFT_SIGNALS_SPEC,
    DRIFT_SIGNALS_DAILY_SPEC,
    GOVERNANCE_SCORECARD_SPEC,
    SYSTEM_HEALTH_REPORT_SPEC,
    POINTER_ACTIVATION_SPEC,
    VALIDATION_RANGE_RESULTS_SPEC,
    EVIDENCE_PACK_REGISTRY_SPEC,
    THRESHOLD_REGISTRY_DB_SPEC,
)

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
    reader=DeferredCall("registry_pipeline.sources.delta_log.read_delta_log_inputs"),
    builder=DeferredCall("registry_pipeline.builders.delta_log.build_delta_log"),
)

_TABLE: Final = (
    *(row for row in _ROWS if row.builder is not None),
    replace(
        REGISTRY_DELTA_LOG_SPEC,
        # It logs the snapshots of every other registry that a build makes.
        after=tuple(row.registry_id for row in _ROWS if row.delta and row.builder is not None and not row.partitioned),
    ),
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
