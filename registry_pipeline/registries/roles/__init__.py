"""The role registry: parses a role pack, checks it against what was published, and seals its content.

Commands use `service` and `snapshot` only.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.capture_table import ROLE_ARTIFACT, ROLE_REGISTRY
from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

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
    previous_inputs=(ROLE_REGISTRY,),
    sources=("roles.pack",),
    multi_file=True,
    keeps_earlier=True,
    rules_check_name="append_only",
    sealed_check=DeferredCall("registry_pipeline.registries.roles.read.check_sealed_run"),
    reader=DeferredCall("registry_pipeline.registries.roles.read.read_role_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.roles.check.build_role_registry"),
    rules=DeferredCall("registry_pipeline.registries.roles.comparison.check_role_registry"),
)
