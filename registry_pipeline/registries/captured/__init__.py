"""Captured registries: documents of the repository, sealed unchanged."""

from __future__ import annotations

from typing import Any, Final

from registry_pipeline.capture_table import CAPTURES
from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec


def _make_spec(registry_id: str, reader: str, **fields: Any) -> RegistrySpec:
    artifact = CAPTURES[registry_id].artifact
    artifacts = () if artifact is None else (artifact,)
    return RegistrySpec(
        registry_id=registry_id,
        kind="captured",
        artifacts=artifacts,
        # Files that keep their own names are JSON documents.
        schemas=((artifact or "*.json", f"REGISTRY_{registry_id}_v0_1.schema.json"),),
        operation_id="OP-QA13",
        # The active snapshot shows removed entries and versions that were not increased.
        previous_inputs=(registry_id,),
        reader=DeferredCall(f"registry_pipeline.registries.captured.read.{reader}"),
        builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
        **fields,
    )


SPECS: Final = (
    _make_spec(
        "expected_versions",
        "read_expected_versions_inputs",
        title="The versions that the repository expects, captured from its document.",
        tag="seal_expected_versions",
        sources=("expected_versions",),
    ),
    _make_spec(
        "migration_ledger",
        "read_migration_ledger_inputs",
        title="The applied migrations, captured from the ledger.",
        tag="seal_migration_ledger",
        sources=("captured.migration_ledger",),
    ),
    _make_spec(
        "threshold_packs_file",
        "read_threshold_packs_inputs",
        title="The threshold packs of the repository, each under its own name.",
        tag="seal_threshold_packs",
        sources=("captured.threshold_packs_file",),
        multi_file=True,
        source_operation_id="OP-B07",
    ),
    _make_spec(
        "fingerprint_index",
        "read_fingerprint_index_inputs",
        title="The index of fingerprints, captured as its operation wrote it.",
        tag="seal_fingerprint_index",
        sources=("captured.fingerprint_index",),
        source_operation_id="OP-D08",
        record_key=("fingerprint_id",),
    ),
    _make_spec(
        "derived_validation_reports",
        "read_derived_validation_inputs",
        title="The newest validation report on derived data (see LATEST.txt), with the files beside it.",
        tag="seal_derived_validation",
        sources=("captured.derived_validation_reports",),
        multi_file=True,
        source_operation_id="OP-B08",
    ),
)
