"""The builder of the role registry: ROLE_REGISTRY_v0_1.json from a pack."""

from __future__ import annotations

from typing import Any

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.capture_table import ROLE_ARTIFACT
from registry_pipeline.registries.base.builder_inputs import CapturedInputs
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts


def make_registry_document(pack: ParsedPack) -> dict[str, Any]:
    """Return the roles of a pack and its contracts with the sha256 of their surfaces, in the order of the pack.

    Raises:
        ValueError: the pack has no snapshot.
    """
    if pack.snapshot is None:
        raise ValueError("the pack cannot be read")
    snapshot = pack.snapshot
    return {
        "registry_version": "0.1",
        "pack_id": snapshot.pack_id,
        "pack_version": snapshot.pack_version,
        "spec_id": snapshot.spec_id,
        "pack_sha256": pack.sha256,
        "roles": [
            {
                "role_id": role.role_id,
                "department_id": role.department_id,
                "display_name": role.display_name,
                "aliases": list(role.aliases),
                "lifecycle": role.lifecycle,
            }
            for role in snapshot.roles
        ],
        "contracts": [
            {
                "contract_id": contract.contract_id,
                "role_id": contract.role_id,
                "kind": contract.kind.value,
                "version": contract.version,
                "surface_sha256": contract.schema_hash,
            }
            for contract in snapshot.contracts
        ],
    }


def build_role_registry(inputs: CapturedInputs, context: BuildContext) -> Artifacts:
    """Return the captured pack under its own name, and ROLE_REGISTRY_v0_1.json; a record is a role.

    Raises:
        ValueError: the pack has no snapshot; its reader refuses to capture such a pack.
    """
    del context  # a pack has no time of its own
    ((name, data),) = inputs.files.items()
    document = make_registry_document(parse_pack(data, name))
    roles, contracts = len(document["roles"]), len(document["contracts"])
    files = {ROLE_ARTIFACT: json_document(document), name: data}
    return Artifacts(files, roles, sha256_hex(data), {"roles": roles, "contracts": contracts, "bytes": len(data)})
