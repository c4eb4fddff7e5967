"""The role pack of the example: forty roles of the studio that draws and films the tides, grown in five steps.

`data/roles.toml` lists the roles. Roles and contracts are only added: a changed contract gets a new version, and a role
that is not used any more is deprecated.
"""

from __future__ import annotations

from typing import Any, Final

from registry_pipeline.canonical import json_document
from registry_pipeline.example.data_files import read_table
from registry_pipeline.example.schedule import draw

PACK_PATH: Final = "assets/atelier_rolepack_digital_production_studio_v1.json"
STEPS: Final = 5
"""How many versions of the pack were published."""
_POLICIES: Final = ("disabled", "queue_only", "queue_only", "auto_accept_with_threshold")
_TOOLS: Final = ("frame_grab", "tide_table", "transcript", "glossary", "chart_render", "reel_index")
_PROFILES: Final = ("tide_film", "bulletin", "tide_table", "harbour_notice")


def make_role_pack(step: int) -> bytes:
    """Return the pack as the studio published it in a step, from 1 to `STEPS`."""
    roles = [_format_role(role, step) for role in read_table("roles.toml")["roles"] if role["added_in"] <= step]
    return json_document(
        {
            "pack_id": "digital_production_studio",
            "pack_version": str(step),
            "spec_id": "studio_roles_v1",
            "roles": roles,
        }
    )


def _format_role(role: dict[str, Any], step: int) -> dict[str, Any]:
    role_id, department = role["role_id"], role["department"]
    return {
        "role_id": role_id,
        "department_id": department,
        "display_name": role_id.replace("_", " ").title(),
        "modes_supported": ["representational", "conceptual"][draw(2, role_id, "modes") :],
        "content_profiles_supported": [name for name in _PROFILES if draw(2, role_id, name)] or [_PROFILES[0]],
        "claim_features": [f"{department}.{name}" for name in role["extracts"]],
        "extract_contracts": _format_contracts(role, "X", step),
        "produce_contracts": _format_contracts(role, "C", step),
        "allowed_models": ["studio-large", "studio-small"][draw(2, role_id, "models") :],
        "allowed_tools": [name for name in _TOOLS if draw(3, role_id, name) == 0],
        "vocab_namespace": f"studio.{department}",
        "proposal_policy": _POLICIES[draw(len(_POLICIES), role_id, "policy")],
        "aliases": role.get("aliases", []),
        "lifecycle": "deprecated" if role.get("deprecated_in", STEPS + 1) <= step else "active",
    }


def _format_contracts(role: dict[str, Any], kind: str, step: int) -> list[dict[str, Any]]:
    """Return every version of a contract (`kind` X or C) that was published up to a step; empty if there is none."""
    role_id = role["role_id"]
    verb = "extracts" if kind == "X" else "produces"
    names = role.get(verb)
    if not names:
        return []
    title = f"What the {role_id.replace('_', ' ')} {verb}"
    bumps = [at for at in role.get("new_versions_in", {}).get(kind, ()) if at <= step]
    return [
        {"contract_id": f"ROLE:{role_id}:{kind}:{version}", "schema_json": _format_schema(title, names, version)}
        for version in range(1, len(bumps) + 2)
    ]


def _format_schema(title: str, names: list[str], version: int) -> dict[str, Any]:
    """Return a contract's schema; each version has more properties than the previous one."""
    texts = {"type": "array", "items": {"type": "string", "minLength": 1}}
    properties: dict[str, Any] = dict.fromkeys(names, texts)
    required = list(names)
    if version > 1:
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
        required.append("confidence")
    if version > 2:
        properties["evidence"] = texts
    return {
        "title": title,
        "contract_version": version,
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }
