"""The role pack of the example: forty roles of the studio that draws and films the tides, grown in five steps.

Roles and contracts are only added; what a role answers with changes by a new version, and who left is deprecated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_document
from registry_pipeline.example.schedule import draw
from registry_pipeline.values import value_type

PACK_PATH: Final = "assets/atelier_rolepack_digital_production_studio_v1.json"
STEPS: Final = 5
"""How many versions of the pack were published."""


@value_type
class _Role:
    """One role: the step that declares it; `seen` and `made` are what it extracts and produces, if anything.

    `bumped` maps a kind of contract to the steps that gave it another version; `left` is the step that deprecates it.
    """

    role_id: str
    department: str
    step: int
    seen: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    bumped: Mapping[str, tuple[int, ...]] | None = None
    left: int | None = None
    aliases: tuple[str, ...] = ()


_R = _Role
_ROLES: Final = (
    _R("producer", "direction", 1, ("budget", "schedule"), ("brief", "milestones"), {"C": (3, 5)}),
    _R("director", "direction", 1, ("intent", "tone"), ("direction_notes",), {"X": (4,)}),
    _R("script_editor", "story", 1, ("beats", "claims"), ("outline",), {"X": (3,)}),
    _R("tide_consultant", "story", 1, ("tide_claims", "datum"), ("corrections",), {"C": (4,)}),
    _R("storyboard_artist", "story", 1, ("frames",), ("boards",)),
    _R("camera_operator", "camera", 1, ("framing", "lens"), ("shot_list",), {"X": (5,)}),
    _R("gaffer", "light", 1, ("light_sources",), ("light_plan",)),
    _R("location_scout", "camera", 1, ("place", "access"), ("location_sheet",)),
    _R("sound_recordist", "sound", 1, ("sources", "noise_floor"), ("sound_sheet",)),
    _R("editor", "edit", 1, ("rhythm", "cuts"), ("edit_list",), {"C": (3,)}),
    _R("chart_designer", "design", 1, ("axes", "series"), ("chart_spec",), {"C": (2, 4)}),
    _R("archivist", "archive", 1, ("provenance",), ("catalogue_entry",), {"X": (4,)}),
    _R("assistant_director", "direction", 2, ("call_times",), ("call_sheet",)),
    _R("focus_puller", "camera", 2, ("focus_marks",), ()),
    _R("drone_pilot", "camera", 2, ("flight_path", "wind"), ("flight_log",), {"C": (5,)}),
    _R("colourist", "edit", 2, ("palette", "contrast"), ("grade",), aliases=("colorist",)),
    _R("sound_designer", "sound", 2, ("texture",), ("cue_sheet",)),
    _R("composer", "sound", 2, ("mood", "tempo"), ("score",)),
    _R("map_designer", "design", 2, ("projection", "labels"), ("map_spec",), {"X": (4,)}),
    _R("caption_writer", "publication", 2, ("speech",), ("captions",), {"C": (3,)}),
    _R("tape_operator", "archive", 2, ("reel_marks",), (), left=4),
    _R("fact_checker", "quality", 2, ("claims", "sources"), ("verdicts",), {"C": (4,)}),
    _R("animator", "design", 3, ("motion", "timing"), ("animation",)),
    _R("title_designer", "design", 3, ("type", "hierarchy"), ("titles",)),
    _R("model_maker", "design", 3, ("scale", "materials"), ("model_sheet",), left=5),
    _R("narrator", "sound", 3, ("voice",), ("narration",)),
    _R("foley_artist", "sound", 3, ("gestures",), ("foley_list",)),
    _R("continuity", "direction", 3, ("props", "tide_state"), ("continuity_log",), aliases=("script_supervisor",)),
    _R("grip", "light", 3, ("rigging",), ()),
    _R("translator", "publication", 3, ("terms",), ("translation",)),
    _R("rights_clerk", "archive", 3, ("owners", "licences"), ("clearance",), {"X": (5,)}),
    _R("web_editor", "publication", 4, ("links", "summary"), ("page",)),
    _R("accessibility_reviewer", "quality", 4, ("contrast", "reading_order"), ("access_report",)),
    _R("forecast_presenter", "publication", 4, ("warnings", "confidence"), ("bulletin_script",)),
    _R("gauge_photographer", "camera", 4, ("gauge_board", "water_line"), ("photo_set",)),
    _R("harbour_liaison", "direction", 4, ("notices",), ("access_request",)),
    _R("data_wrangler", "edit", 4, ("cards", "checksums"), ("ingest_log",)),
    _R("stills_retoucher", "edit", 4, ("blemishes",), ("retouch_list",)),
    _R("quality_lead", "quality", 4, ("defects", "severity"), ("release_verdict",)),
    _R("preservation_officer", "archive", 5, ("formats", "risks"), ("migration_plan",)),
)
_POLICIES: Final = ("disabled", "queue_only", "queue_only", "auto_accept_with_threshold")
_TOOLS: Final = ("frame_grab", "tide_table", "transcript", "glossary", "chart_render", "reel_index")
_PROFILES: Final = ("tide_film", "bulletin", "tide_table", "harbour_notice")


def role_pack(step: int) -> bytes:
    """Return the pack as the studio published it in a step, from 1 to `STEPS`."""
    roles = [_told(role, step) for role in _ROLES if role.step <= step]
    return json_document(
        {
            "pack_id": "digital_production_studio",
            "pack_version": str(step),
            "spec_id": "studio_roles_v1",
            "roles": roles,
        }
    )


def _told(role: _Role, step: int) -> dict[str, Any]:
    profiles = [name for name in _PROFILES if draw(2, role.role_id, name)] or [_PROFILES[0]]
    return {
        "role_id": role.role_id,
        "department_id": role.department,
        "display_name": role.role_id.replace("_", " ").title(),
        "modes_supported": ["representational", "conceptual"][draw(2, role.role_id, "modes") :],
        "content_profiles_supported": profiles,
        "claim_features": [f"{role.department}.{name}" for name in role.seen],
        "extract_contracts": _contracts(role, "X", role.seen, step),
        "produce_contracts": _contracts(role, "C", role.made, step),
        "allowed_models": ["studio-large", "studio-small"][draw(2, role.role_id, "models") :],
        "allowed_tools": [name for name in _TOOLS if draw(3, role.role_id, name) == 0],
        "vocab_namespace": f"studio.{role.department}",
        "proposal_policy": _POLICIES[draw(len(_POLICIES), role.role_id, "policy")],
        "aliases": list(role.aliases),
        "lifecycle": "deprecated" if role.left is not None and role.left <= step else "active",
    }


def _contracts(role: _Role, kind: str, names: tuple[str, ...], step: int) -> list[dict[str, Any]]:
    """Return every version of a contract that was published up to a step: what once was there stays."""
    bumps = [at for at in (role.bumped or {}).get(kind, ()) if at <= step]
    versions = range(1, len(bumps) + 2) if names else ()
    return [
        {"contract_id": f"ROLE:{role.role_id}:{kind}:{version}", "schema_json": _schema(role, kind, names, version)}
        for version in versions
    ]


def _schema(role: _Role, kind: str, names: tuple[str, ...], version: int) -> dict[str, Any]:
    """Return a contract's schema; each version asks for more than the one before."""
    text = {"type": "string", "minLength": 1}
    properties: dict[str, Any] = {name: {"type": "array", "items": text} for name in names}
    if version > 1:
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
    if version > 2:
        properties["evidence"] = {"type": "array", "items": text}
    verb = "extracts" if kind == "X" else "produces"
    return {
        "title": f"What the {role.role_id.replace('_', ' ')} {verb}",
        "contract_version": version,
        "type": "object",
        "required": [*names, *(["confidence"] if version > 1 else [])],
        "properties": properties,
        "additionalProperties": False,
    }
