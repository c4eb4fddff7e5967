"""A small registry table for the tests of `validate`, which may not know the catalog above it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.values import replace

POINTERS_SCHEMA = "ACTIVE_REGISTRY_POINTERS_v0_1.schema.json"


def _row(registry_id: str, tag: str | None, schemas: dict[str, str | None], **fields: Any) -> RegistrySpec:
    return RegistrySpec(
        registry_id=registry_id,
        kind=fields.pop("kind", "built"),
        title=registry_id,
        artifacts=tuple(schemas),
        schemas=tuple((artifact, name) for artifact, name in schemas.items() if name is not None),
        version="0.1",
        operation_id=None,
        tag=tag,
        **fields,
    )


def _schema(registry_id: str) -> str:
    return f"REGISTRY_{registry_id}_v0_1.schema.json"


ROWS = (
    _row("run_registry", "run_registry_build", {"RUN_REGISTRY_v0_1.jsonl": _schema("run_registry")}),
    _row(
        "op_status_table",
        "op_status_table_build",
        {
            "OPERATION_STATUS_TABLE_v0_1.json": _schema("op_status_table"),
            "OPERATION_STATUS_TABLE_v0_1.meta.json": _schema("op_status_table_meta"),
        },
    ),
    _row("drift_signals", "drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": _schema("drift_signals")}),
    _row(
        "expected_versions",
        "seal_expected_versions",
        {"EXPECTED_VERSIONS_v0_1_snapshot.json": _schema("expected_versions")},
        kind="captured",
    ),
    _row(
        "migration_ledger",
        "seal_migration_ledger",
        {"applied_migrations_snapshot.json": _schema("migration_ledger")},
        kind="captured",
    ),
    replace(
        _row("threshold_packs_file", "seal_threshold_packs", {}, kind="captured", multi_file=True),
        schemas=(("*.json", _schema("threshold_packs_file")),),
    ),
    _row(
        "fingerprint_index",
        "seal_fingerprint_index",
        {"fingerprint_index_snapshot.csv": _schema("fingerprint_index")},
        kind="captured",
    ),
    _row(
        "derived_validation_reports",
        "seal_derived_validation",
        {"derived_validation_report.json": _schema("derived_validation_reports")},
        kind="captured",
        multi_file=True,
    ),
    _row(
        "system_health_report",
        "system_health_render",
        {"SYSTEM_HEALTH_SUMMARY_v0_1.json": _schema("system_health_report"), "SYSTEM_HEALTH_REPORT_v0_1.md": None},
        kind="rendered",
        pointer=False,
    ),
    _row(
        "pointer_activation",
        "pointer_activation",
        {"POINTER_ACTIVATION_v0_1.json": _schema("pointer_activation"), "POINTERS_AFTER.json": POINTERS_SCHEMA},
        kind="record",
        pointer=False,
    ),
    _row("threshold_registry_db", None, {}, kind="external"),
)

SPECS = MappingProxyType({row.registry_id: row for row in ROWS})
