"""A role pack that was published before roles had `aliases` and `lifecycle`: 38 roles, 76 contracts, 76 defects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from registry_pipeline_tests.registries.repositories import commit, repository
from registry_pipeline_tests.role_packs import PACK, role

ROLES = 38
DEFECTS = 2 * ROLES
"""Two fields are missing in each role."""

_YOUNGER_FIELDS = ("aliases", "lifecycle")


def old_role(role_id: str, without: Sequence[str] = _YOUNGER_FIELDS) -> dict[str, Any]:
    """Return a role with two contracts and without some of its fields."""
    return {name: value for name, value in role(role_id, X=(1,), C=(1,)).items() if name not in without}


def old_roles() -> list[dict[str, Any]]:
    """Return the roles of the published pack."""
    return [old_role(f"role_{number:02}") for number in range(ROLES)]


def pack_of(roles: Sequence[dict[str, Any]]) -> str:
    """Return the text of a pack of these roles."""
    document = {"pack_id": "old", "pack_version": "1", "spec_id": "s", "roles": list(roles)}
    return json.dumps(document, indent=2) + "\n"


OLD = pack_of(old_roles())
WITH_VALID_ROLE = pack_of([*old_roles(), role("newcomer")])
WITH_NEW_DEFECT = pack_of([*old_roles(), old_role("newcomer", without=("lifecycle",))])
WITHOUT_A_ROLE = pack_of(old_roles()[:-1])


def publish(root: Path, toml: str = "") -> Path:
    """Make a repository whose main published the pack, and adopted this program in its last commit."""
    repository(root)
    commit(root, {PACK: OLD})
    commit(root, {"registry-pipeline.toml": toml, ".gitignore": "/.codex/\n"})
    return root
