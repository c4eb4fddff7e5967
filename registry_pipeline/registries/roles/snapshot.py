"""The content of a role pack as values: roles, contract surfaces, and the snapshot of all of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from registry_pipeline.values import value_type

DEFINITION_FIELDS: Final = (
    "department_id",
    "modes_supported",
    "content_profiles_supported",
    "claim_features",
    "allowed_models",
    "allowed_tools",
    "vocab_namespace",
    "proposal_policy",
)
"""The fields whose change in a published role is reported (RR026); lists are compared as sets."""


class RoleContractKind(StrEnum):
    """The direction of a contract: what a role extracts (X) or produces (C)."""

    EXTRACT = "X"
    PRODUCE = "C"

    @property
    def field(self) -> str:
        """The field of a role that lists contracts of this kind."""
        return "extract_contracts" if self is RoleContractKind.EXTRACT else "produce_contracts"


@value_type
class RoleContractSurface:
    """One contract of a role.

    Attributes:
        role_id, kind: the role and the list that contain it; the id may disagree (RR008, RR009).
        version: None if the id does not have the form `ROLE:<role_id>:X|C:<ver>`.
        schema_hash: sha256 of the RFC 8785 bytes of schema_json as 64 hexadecimal digits; None if it has none.
    """

    contract_id: str
    role_id: str
    kind: RoleContractKind
    version: int | None
    schema_hash: str | None

    @property
    def line(self) -> str:
        """The id without its version, shared by all versions of a contract; the id itself if it has no version."""
        return self.contract_id if self.version is None else self.contract_id.rpartition(":")[0]


@value_type
class RoleSpecEntry:
    """One role without its contracts. A field that is missing or has the wrong type is empty or None."""

    role_id: str
    department_id: str | None = None
    display_name: str | None = None
    aliases: tuple[str, ...] = ()
    lifecycle: str | None = None
    modes_supported: tuple[str, ...] | None = None
    content_profiles_supported: tuple[str, ...] | None = None
    claim_features: tuple[str, ...] | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_tools: tuple[str, ...] | None = None
    vocab_namespace: str | None = None
    proposal_policy: str | None = None

    @property
    def definition(self) -> tuple[object, ...]:
        """The values of DEFINITION_FIELDS in their order, lists sorted."""
        values = (getattr(self, name) for name in DEFINITION_FIELDS)
        return tuple(tuple(sorted(value)) if isinstance(value, tuple) else value for value in values)


@value_type
class RoleRegistrySnapshot:
    """The roles and contracts of a pack in its order; duplicated ids appear twice."""

    roles: tuple[RoleSpecEntry, ...]
    contracts: tuple[RoleContractSurface, ...]
    pack_id: str | None = None
    pack_version: str | None = None
    spec_id: str | None = None
