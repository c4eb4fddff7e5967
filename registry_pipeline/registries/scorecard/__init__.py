"""governance_scorecard: figures about operations, executables and registries."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="governance_scorecard",
    kind="built",
    title="Governance figures: operations and their coverage, executables, sealed and active registries.",
    artifacts=("GOVERNANCE_SCORECARD_v0_2.json",),
    schemas=(("GOVERNANCE_SCORECARD_v0_2.json", "REGISTRY_governance_scorecard_v0_2.schema.json"),),
    version="0.2",
    operation_id="OP-QA12",
    tag="governance_scorecard_build",
    depends_on=("op_status_table",),
    optional_upstream=("op_status_table",),
    previous_inputs=("governance_scorecard",),
    sources=("operations_catalog", "coverage_matrix", "git", "pointers"),
    reader=DeferredCall("registry_pipeline.registries.scorecard.read.read_scorecard_inputs"),
    builder=DeferredCall("registry_pipeline.registries.scorecard.build.build_scorecard"),
    says_same=DeferredCall("registry_pipeline.registries.scorecard.build.are_same_figures"),
    reads_chain=True,
)
