"""Retired ids: they were published, and the pack does not declare them any more. They are never used again. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.json_text import format_id
from registry_pipeline.registries.roles.rules_change import PublishedIds, find_misused_ids
from registry_pipeline.registries.roles.snapshot import (
    Problem,
    RoleContractKind,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
    Subject,
)
from registry_pipeline.values import field, replace, value_type


@value_type
class RetiredIds:
    """Roles with the hash of their last definition, contracts with their surface, and aliases with their role."""

    roles: Mapping[str, str] = field(default_factory=dict)
    contracts: Mapping[str, RoleContractSurface] = field(default_factory=dict)
    # pairs of an alias and the role that had it
    aliases: frozenset[tuple[str, str]] = frozenset()

    @property
    def count(self) -> int:
        """The number of all ids."""
        return len(self.roles) + len(self.contracts) + len(self.aliases)

    def to_json(self) -> dict[str, Any]:
        """Return the member `retired` of the registry document, sorted by id."""
        return {
            "roles": [{"role_id": name, "definition_sha256": digest} for name, digest in sorted(self.roles.items())],
            "contracts": [format_contract(self.contracts[name]) for name in sorted(self.contracts)],
            "aliases": [{"alias": alias, "role_id": role_id} for alias, role_id in sorted(self.aliases)],
        }

    @classmethod
    def from_json(cls, document: Any) -> RetiredIds:
        """Return the retired ids of a registry document; none if it has no `retired`. ValueError for another shape."""
        if isinstance(document, dict) and "retired" not in document:
            return cls()
        try:
            value = document["retired"]
            contracts = [_parse_contract(row) for row in value["contracts"]]
            retired = cls(
                {row["role_id"]: row["definition_sha256"] for row in value["roles"]},
                {contract.contract_id: contract for contract in contracts},
                frozenset((row["alias"], row["role_id"]) for row in value["aliases"]),
            )
            if retired.to_json() == value:
                return retired
        except (KeyError, TypeError, AttributeError):
            pass
        raise ValueError("not the retired ids of a role registry")


NO_RETIRED_IDS: Final = RetiredIds()


def format_contract(contract: RoleContractSurface) -> dict[str, Any]:
    """Return a contract as the registry document lists it."""
    return {
        "contract_id": contract.contract_id,
        "role_id": contract.role_id,
        "kind": contract.kind.value,
        "version": contract.version,
        "surface_sha256": contract.schema_hash,
    }


def _parse_contract(row: Mapping[str, Any]) -> RoleContractSurface:
    kind = RoleContractKind(row["kind"])
    return RoleContractSurface(row["contract_id"], row["role_id"], kind, row["version"], row["surface_sha256"])


def collect_retired_ids(
    current: RoleRegistrySnapshot, past: Iterable[RoleRegistrySnapshot], previous: RetiredIds
) -> RetiredIds:
    """Return the ids of past snapshots, oldest first, and those retired before, that the current one does not declare.

    Of a role the last definition counts, of a contract the last surface.
    """
    entries: dict[str, RoleSpecEntry] = {}
    contracts = dict(previous.contracts)
    aliases = set(previous.aliases)
    for snapshot in past:
        entries |= {role.role_id: role for role in snapshot.roles}
        contracts |= {contract.contract_id: contract for contract in snapshot.contracts}
        aliases |= {(alias, role.role_id) for role in snapshot.roles for alias in role.aliases}
    role_ids = {role.role_id for role in current.roles}
    contract_ids = {contract.contract_id for contract in current.contracts}
    used_names = role_ids.union(*(role.aliases for role in current.roles))
    definitions = {name: digest for name, digest in previous.roles.items() if name not in entries}
    definitions |= {name: hash_definition(entry) for name, entry in entries.items() if name not in role_ids}
    return RetiredIds(
        {name: digest for name, digest in definitions.items() if name not in role_ids},
        {name: contract for name, contract in contracts.items() if name not in contract_ids},
        frozenset((alias, role_id) for alias, role_id in aliases if alias not in used_names),
    )


def hash_definition(role: RoleSpecEntry) -> str:
    """Return the sha256 of the fields whose change is reported (RR026); equal for a role that came back unchanged."""
    return sha256_hex(json.dumps(role.definition, separators=(",", ":")).encode("ascii"))


def list_declared_ids(snapshot: RoleRegistrySnapshot) -> set[str]:
    """Return every role_id, contract_id and alias of a snapshot."""
    ids = {contract.contract_id for contract in snapshot.contracts}
    return ids.union(*((role.role_id, *role.aliases) for role in snapshot.roles))


def find_reused_ids(current: RoleRegistrySnapshot, retired: RetiredIds, source: str) -> list[Problem]:
    """Return RR003, RR010, RR011 and RR035 for each retired id that is used again; `source` is the document with them.

    A role that came back unchanged is a warning, a contract that came back with its surface no problem.
    """
    # Without retired ids, which is the rule, nothing of a large pack is looked at.
    if not retired.count:
        return []
    problems: list[Problem] = []
    for role in {role.role_id: role for role in reversed(current.roles)}.values():
        digest = retired.roles.get(role.role_id)
        if digest is not None:
            is_same = hash_definition(role) == digest
            fillers = {"id": format_id(role.role_id), "detail": "unchanged" if is_same else "as another role"}
            subject, severity = Subject(role.role_id, member="role_id"), Severity.WARNING if is_same else None
            problems.append(Problem("RR035", (role.role_id,), fillers, subject=subject, severity=severity))
    published = PublishedIds()
    names = tuple(RoleSpecEntry(role_id) for role_id in retired.roles)
    published.add(RoleRegistrySnapshot(names, tuple(retired.contracts.values())), 0)
    for alias, role_id in retired.aliases:
        published.aliases.setdefault(alias, {})[role_id] = 0
    problems += find_misused_ids(current, published)
    return [replace(problem, fillers={**problem.fillers, "published": f" ({source})"}) for problem in problems]
