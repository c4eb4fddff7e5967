"""The registry document of a pack: ROLE_REGISTRY_v0_1.json (SPEC 9)."""

from __future__ import annotations

from typing import Any

from registry_pipeline.roles.pack import ParsedPack


def registry_document(pack: ParsedPack) -> dict[str, Any]:
    """Return what a pack declares, in its order: roles, and contracts with the sha256 of their surfaces.

    `surface_sha256` is null where the schema has no canonical bytes, `version` where the id has another form.

    Raises:
        ValueError: the pack declares nothing that can be read.
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
