"""The values of a role registry, named as the seed names them (seed 002, SKELETON; SPEC 9)."""

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
"""What a published role may not change unseen (RR026); `display_name` is free, lists are read as sets."""


class RoleContractKind(StrEnum):
    """Which way a contract goes: `X` stands in extract_contracts, `C` (compose) in produce_contracts."""

    EXTRACT = "X"
    PRODUCE = "C"

    @property
    def field(self) -> str:
        """The list of a role in which contracts of this kind stand."""
        return "extract_contracts" if self is RoleContractKind.EXTRACT else "produce_contracts"


@value_type
class RoleContractSurface:
    """One contract of a role, and the sha256 of the RFC 8785 bytes of its schema_json.

    `role_id` is the role in which it stands and `kind` tells in which list; what the id says of both is judged (RR008,
    RR009). `version` is None where the id has not the form `ROLE:<role_id>:X|C:<ver>`. `schema_hash` is 64 hexadecimal
    digits, None where the schema has no canonical bytes (RR018, RR019, RR020 or RR027): its surface is unknown.
    """

    contract_id: str
    role_id: str
    kind: RoleContractKind
    version: int | None
    schema_hash: str | None

    @property
    def line(self) -> str:
        """The contract of which this is one version: its id without the version, the id itself in another form."""
        return self.contract_id if self.version is None else self.contract_id.rpartition(":")[0]


@value_type
class RoleSpecEntry:
    """One role without its contracts. A field that is missing or mistyped in the pack is empty or None here."""

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
        """Return the values of DEFINITION_FIELDS in their order; lists sorted, since they are sets."""
        values = (getattr(self, name) for name in DEFINITION_FIELDS)
        return tuple(tuple(sorted(each)) if isinstance(each, tuple) else each for each in values)


@value_type
class RoleRegistrySnapshot:
    """What a pack declares, in the order of the pack; ids that stand twice stand here twice."""

    roles: tuple[RoleSpecEntry, ...]
    contracts: tuple[RoleContractSurface, ...]
    pack_id: str | None = None
    pack_version: str | None = None
    spec_id: str | None = None
