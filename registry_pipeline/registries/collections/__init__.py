"""Collections: registries of many members, each sealed in a run folder of its own, and an index of all of them.

Nothing of a collection is ever active. Rules: docs/reference/specification.md, "Collections".
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

INDEX: Final = "COLLECTION_INDEX_v0_1.jsonl"
"""The artifact of an index run: one line for each sealed member run."""
PACK_ARTIFACT: Final = "EVIDENCE_PACK_v0_1.json"
"""The artifact of a sealed evidence pack that says how the pack was checked."""


def _make_spec(
    *, registry_id: str, title: str, tag: str, operation: str, schema: tuple[str, str], reader: str, builder: str
) -> RegistrySpec:
    return RegistrySpec(
        registry_id=registry_id,
        kind="collection",
        title=title,
        schemas=(schema, (INDEX, "REGISTRY_collection_index_v0_1.schema.json")),
        operation_id="OP-QA13",
        tag=tag,
        sources=(f"captured.{registry_id}",),
        pointer=False,
        delta=False,
        multi_file=True,
        record_key=("member_id", "sealed_ref"),
        source_operation_id=operation,
        excluded_because="a collection: many members, each sealed by itself, and no single active snapshot",
        reader=DeferredCall(f"registry_pipeline.registries.collections.read.{reader}"),
        builder=DeferredCall(f"registry_pipeline.registries.{builder}"),
        sealed_check=DeferredCall("registry_pipeline.registries.collections.check.check_report"),
        rules=DeferredCall("registry_pipeline.registries.collections.check.check_previous_index"),
    )


SPECS: Final = (
    _make_spec(
        registry_id="validation_range_results",
        title="Results of validation over ranges of days, one sealed folder for each range.",
        tag="seal_validation_range_results",
        operation="OP-D04",
        schema=("validate_range_*_days.jsonl", "REGISTRY_validation_range_results_v0_1.schema.json"),
        reader="read_range",
        builder="captured.build.build_captured",
    ),
    _make_spec(
        registry_id="evidence_pack_registry",
        title="Evidence packs, one sealed folder for each pack.",
        tag="seal_evidence_pack",
        operation="OP-D01",
        schema=(PACK_ARTIFACT, "REGISTRY_evidence_pack_registry_v0_1.schema.json"),
        reader="read_pack",
        builder="collections.build.build_pack",
    ),
)
