"""What the rooms around the role registry must agree on without seeing each other (SPEC 9)."""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.captures import is_own_name
from registry_pipeline.model.path_policy import path_codes

ROLE_REGISTRY: Final = "role_registry"
ROLE_ARTIFACT: Final = "ROLE_REGISTRY_v0_1.json"
WAIVERS_PATH: Final = "docs/governance/ROLE_WAIVERS_v0_1.json"
DEFAULT_BASELINE: Final = "main"
ACTIVE_BASELINE: Final = "active"


def pack_path_problem(path: str) -> str | None:
    """Return why a role pack may not lie at a path, None where it may: a run folder holds it under its own name."""
    name = path.rpartition("/")[2]
    if not name.endswith(".json") or not path.isprintable():
        return "a role pack is a file whose name ends with .json"
    if is_own_name(name) or name.casefold() == ROLE_ARTIFACT.casefold():
        return "a run folder needs that name for itself"
    codes = path_codes(name)
    return f"no run folder may hold that name ({', '.join(codes)})" if codes else None
