"""Captured registries: documents of the repository, sealed unchanged.

Contains five rows, their readers, and the builder that all captured registries share. Captures with rules of their own
(entries, run index, roles) have their own packages. May import `registries.base` and below.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

_OPERATION_ID: Final = "OP-QA13"
_BUILDER: Final = DeferredCall("registry_pipeline.registries.captured.build.build_captured")
# Each reads its own active snapshot as `previous`, to find removed entries and versions that were not increased.
SPECS: Final = (
    RegistrySpec(
        registry_id="expected_versions",
        kind="captured",
        title="The versions that the repository expects, captured from its document.",
        artifacts=("EXPECTED_VERSIONS_v0_1_snapshot.json",),
        schemas=(("EXPECTED_VERSIONS_v0_1_snapshot.json", "REGISTRY_expected_versions_v0_1.schema.json"),),
        operation_id=_OPERATION_ID,
        tag="seal_expected_versions",
        previous_inputs=("expected_versions",),
        sources=("expected_versions",),
        reader=DeferredCall("registry_pipeline.registries.captured.read.read_expected_versions_inputs"),
        builder=_BUILDER,
    ),
    RegistrySpec(
        registry_id="migration_ledger",
        kind="captured",
        title="The applied migrations, captured from the ledger.",
        artifacts=("applied_migrations_snapshot.json",),
        schemas=(("applied_migrations_snapshot.json", "REGISTRY_migration_ledger_v0_1.schema.json"),),
        operation_id=_OPERATION_ID,
        tag="seal_migration_ledger",
        previous_inputs=("migration_ledger",),
        sources=("captured.migration_ledger",),
        reader=DeferredCall("registry_pipeline.registries.captured.read.read_migration_ledger_inputs"),
        builder=_BUILDER,
    ),
    RegistrySpec(
        registry_id="threshold_packs_file",
        kind="captured",
        title="The threshold packs of the repository, each under its own name.",
        schemas=(("*.json", "REGISTRY_threshold_packs_file_v0_1.schema.json"),),
        operation_id=_OPERATION_ID,
        tag="seal_threshold_packs",
        previous_inputs=("threshold_packs_file",),
        sources=("captured.threshold_packs_file",),
        multi_file=True,
        source_operation_id="OP-B07",
        reader=DeferredCall("registry_pipeline.registries.captured.read.read_threshold_packs_inputs"),
        builder=_BUILDER,
    ),
    RegistrySpec(
        registry_id="fingerprint_index",
        kind="captured",
        title="The index of fingerprints, captured as its operation wrote it.",
        artifacts=("fingerprint_index_snapshot.csv",),
        schemas=(("fingerprint_index_snapshot.csv", "REGISTRY_fingerprint_index_v0_1.schema.json"),),
        operation_id=_OPERATION_ID,
        tag="seal_fingerprint_index",
        previous_inputs=("fingerprint_index",),
        sources=("captured.fingerprint_index",),
        source_operation_id="OP-D08",
        record_key=("fingerprint_id",),
        reader=DeferredCall("registry_pipeline.registries.captured.read.read_fingerprint_index_inputs"),
        builder=_BUILDER,
    ),
    RegistrySpec(
        registry_id="derived_validation_reports",
        kind="captured",
        title="The newest validation report on derived data (see LATEST.txt), with the files beside it.",
        artifacts=("derived_validation_report.json",),
        schemas=(("derived_validation_report.json", "REGISTRY_derived_validation_reports_v0_1.schema.json"),),
        operation_id=_OPERATION_ID,
        tag="seal_derived_validation",
        previous_inputs=("derived_validation_reports",),
        sources=("captured.derived_validation_reports",),
        multi_file=True,
        source_operation_id="OP-B08",
        reader=DeferredCall("registry_pipeline.registries.captured.read.read_derived_validation_inputs"),
        builder=_BUILDER,
    ),
)
