"""The role registry as an artifact: the pack as it is, and what must never change of it (SPEC 3 and 9).

It stands here and not among the builders because a contract surface is hashed by RFC 8785, which only this room knows.
"""

from __future__ import annotations

from registry_pipeline.canon import json_document, sha256_hex
from registry_pipeline.model.envelope import BuildContext
from registry_pipeline.model.inputs import CapturedInputs
from registry_pipeline.model.roles import ROLE_ARTIFACT
from registry_pipeline.model.verdict import Artifacts
from registry_pipeline.roles.document import registry_document
from registry_pipeline.roles.pack import parse_pack


def build_role_registry(inputs: CapturedInputs, context: BuildContext) -> Artifacts:
    """Return the one captured pack under its own name and ROLE_REGISTRY_v0_1.json beside it; a record is a role.

    Raises:
        ValueError: no role can be read from the pack, which its reader refuses to capture.
    """
    del context  # a pack has no time of its own
    ((name, data),) = inputs.files.items()
    document = registry_document(parse_pack(data, name))
    roles, contracts = len(document["roles"]), len(document["contracts"])
    files = {ROLE_ARTIFACT: json_document(document), name: data}
    return Artifacts(files, roles, sha256_hex(data), {"roles": roles, "contracts": contracts, "bytes": len(data)})
