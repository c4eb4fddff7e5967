"""Small role packs for tests: `pack(role("producer", X=(1, 2)))`, as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

PACK = "assets/atelier_rolepack_digital_production_studio_v1.json"
"""Where a pack lies if the toml says nothing."""


def schema(role_id: str, kind: str, version: int, **more: Any) -> dict[str, Any]:
    """Return a contract's surface; `more` makes it another one."""
    return {"type": "object", "title": f"{role_id} {kind} {version}", "contract_version": version, **more}


def role(role_id: str, X: Sequence[int] = (), C: Sequence[int] = (1,), **changes: Any) -> dict[str, Any]:  # noqa: N803
    """Return a role with these versions of what it extracts (X) and produces (C)."""

    def contracts(kind: str, versions: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"contract_id": f"ROLE:{role_id}:{kind}:{version}", "schema_json": schema(role_id, kind, version)}
            for version in versions
        ]

    return {
        "role_id": role_id,
        "department_id": "studio",
        "display_name": role_id,
        "modes_supported": ["conceptual"],
        "content_profiles_supported": [],
        "claim_features": [],
        "extract_contracts": contracts("X", X),
        "produce_contracts": contracts("C", C),
        "allowed_models": [],
        "allowed_tools": [],
        "vocab_namespace": "",
        "proposal_policy": "disabled",
        "aliases": [],
        "lifecycle": "active",
        **changes,
    }


def pack(*roles: dict[str, Any], **changes: Any) -> str:
    """Return the text of a pack."""
    document = {"pack_id": "studio", "pack_version": "1", "spec_id": "s", "roles": list(roles), **changes}
    return json.dumps(document, indent=2) + "\n"


SMALL = pack(role("producer", X=(1,)), role("chart_designer", C=(1, 2)))
"""Two roles and four contracts."""

DRIFTED = SMALL.replace("producer C 1", "something else")
"""The same, with another surface of ROLE:producer:C:1 (RR003)."""

SHRUNK = pack(role("producer", X=(1,)))
"""The same without chart_designer (RR001) and its two contracts (RR002)."""

GROWN = pack(role("producer", X=(1, 2)), role("chart_designer", C=(1, 2)), role("editor"))
"""The same, grown by a role and a version."""
