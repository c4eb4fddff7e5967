"""A small pack of three roles that tests change."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

Pack = dict[str, Any]
Change = Callable[[Pack], object]


PRODUCER, EDITOR, ARCHIVIST = 0, 1, 2


def contract(contract_id: str, **schema: Any) -> dict[str, Any]:
    return {"contract_id": contract_id, "schema_json": schema}


def role(role_id: str, **fields: Any) -> dict[str, Any]:
    """Return a whole role without contracts; `fields` are put in their place."""
    return {
        "role_id": role_id,
        "department_id": "post",
        "display_name": role_id.title(),
        "modes_supported": ["representational", "conceptual"],
        "content_profiles_supported": ["film", "series"],
        "claim_features": [],
        "extract_contracts": [],
        "produce_contracts": [],
        "allowed_models": ["small"],
        "allowed_tools": [],
        "vocab_namespace": "",
        "proposal_policy": "queue_only",
        "aliases": [],
        "lifecycle": "active",
        **fields,
    }


_BASE: Pack = {
    "pack_id": "digital_production_studio",
    "pack_version": "2",
    "spec_id": "6.3.3.5.7.23",
    "roles": [
        role(
            "producer",
            aliases=["line_producer"],
            extract_contracts=[
                contract("ROLE:producer:X:1", title="Brief", limit=1, ratio=0.5, tags=["a", "b"], nested={"on": True}),
                contract("ROLE:producer:X:2", title="Brief", limit=2, contract_version=2),
            ],
            produce_contracts=[contract("ROLE:producer:C:1", title="Plan", note="Café")],
        ),
        role(
            "editor",
            display_name="Éditeur 🎬",
            extract_contracts=[contract("ROLE:editor:X:1", title="Cut")],
            produce_contracts=[contract("ROLE:editor:C:1", title="Reel", contract_version=1)],
        ),
        role("archivist", lifecycle="deprecated", extract_contracts=[contract("ROLE:archivist:X:1", title="Shelf")]),
    ],
}


def base_pack() -> Pack:
    """Return a copy of the pack that may be changed."""
    return copy.deepcopy(_BASE)


def written(pack: object) -> bytes:
    """Return a pack as a person would keep it: indented, with its own letters."""
    return (json.dumps(pack, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def unchanged(pack: Pack) -> None:
    """Leave the pack as it is."""
    del pack


def several(*changes: Change) -> Change:
    """Return the change that makes all of these in turn."""

    def change(pack: Pack) -> None:
        for each in changes:
            each(pack)

    return change


def extract(pack: Pack, index: int) -> list[Any]:
    contracts: list[Any] = pack["roles"][index]["extract_contracts"]
    return contracts
