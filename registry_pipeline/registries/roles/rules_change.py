"""The rules for a change from a baseline: RR012, RR013, RR015, RR021, RR022 and RR026."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from registry_pipeline.registries.roles.json_text import format_id, quote_text
from registry_pipeline.registries.roles.rules_append_only import find_highest_versions
from registry_pipeline.registries.roles.snapshot import (
    DEFINITION_FIELDS,
    Problem,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
    Subject,
)

_DIGITS: Final = re.compile("[0-9]+")


def find_changes(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Problem]:
    """Return the rules that the change from `baseline` to `current` breaks."""
    return [
        *_check_new_contracts(current, baseline),
        *_check_roles(current, baseline),
        *_check_pack(current, baseline),
    ]


def _check_new_contracts(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> Iterator[Problem]:
    published = {contract.contract_id for contract in baseline.contracts}
    new = [contract for contract in current.contracts if contract.contract_id not in published]
    if not new:
        return
    highest = find_highest_versions(baseline.contracts)
    versions: dict[str, dict[int, RoleContractSurface]] = {}
    for contract in current.contracts:
        if contract.version is not None:
            versions.setdefault(contract.line, {}).setdefault(contract.version, contract)
    # A role that is published as deprecated may have contracts from the start.
    published_roles = {role.role_id for role in baseline.roles}
    deprecated = {role.role_id for role in current.roles if role.lifecycle == "deprecated"} & published_roles
    for contract in new:
        if contract.role_id in deprecated:
            yield _about_contract(contract, "RR022", {"role": format_id(contract.role_id)})
        if contract.version is not None and contract.version > highest.get(contract.line, 0):
            yield from _check_new_version(contract, contract.version, versions[contract.line], published)


def _check_new_version(
    contract: RoleContractSurface, version: int, versions: dict[int, RoleContractSurface], published: set[str]
) -> Iterator[Problem]:
    predecessor = f"{contract.line}:{version - 1}"
    if version > 1 and version - 1 not in versions and predecessor not in published:
        yield _about_contract(contract, "RR013", {"expected_id": predecessor})
    lower = max((number for number in versions if number < version), default=None)
    if lower is not None and contract.schema_hash is not None:
        other = versions[lower]
        if other.schema_hash == contract.schema_hash:
            yield _about_contract(contract, "RR015", {"other": other.contract_id})


def _about_contract(contract: RoleContractSurface, code: str, fillers: dict[str, str]) -> Problem:
    subject = Subject(contract_id=contract.contract_id, member="contract_id")
    fillers = {"id": format_id(contract.contract_id), **fillers}
    return Problem(code, (contract.role_id, contract.contract_id), fillers, subject=subject)


def _check_roles(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> Iterator[Problem]:
    published: dict[str, list[RoleSpecEntry]] = {}
    for role in baseline.roles:
        published.setdefault(role.role_id, []).append(role)
    for role in current.roles:
        # A duplicated role_id is compared with all its published roles, and may equal one of them.
        previous = published.get(role.role_id)
        if previous is None or role in previous:
            continue
        fillers = {"id": format_id(role.role_id)}
        if role.lifecycle == "active" and all(entry.lifecycle == "deprecated" for entry in previous):
            subject = Subject(role.role_id, member="lifecycle")
            yield Problem("RR012", (role.role_id,), fillers, subject=subject)
        changes = [_changed_fields(role, entry) for entry in previous]
        if all(changes):
            subject = Subject(role.role_id, member="role_id")
            yield Problem("RR026", (role.role_id,), fillers, key=",".join(changes[0]), subject=subject)


def _changed_fields(role: RoleSpecEntry, previous: RoleSpecEntry) -> list[str]:
    # A field that is missing or has the wrong type is RR020.
    pairs = zip(DEFINITION_FIELDS, role.definition, previous.definition, strict=True)
    return [name for name, new, old in pairs if new != old and new is not None and old is not None]


def _check_pack(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> Iterator[Problem]:
    new, old = current.pack_id, baseline.pack_id
    if new is not None and old is not None and new != old:
        yield _about_pack("pack_id", "changed", quote_text(old), quote_text(new))
    new, old = current.pack_version, baseline.pack_version
    if new is not None and old is not None and _is_lower(new, old):
        yield _about_pack("pack_version", "decreased", f"{quote_text(old)} or higher", quote_text(new))


def _about_pack(member: str, change: str, expected: str, got: str) -> Problem:
    fillers = {"member": member, "change": change}
    return Problem("RR021", (), fillers, key=member, expected=expected, got=got, subject=Subject(member=member))


def _is_lower(new: str, old: str) -> bool:
    if _DIGITS.fullmatch(new) is None or _DIGITS.fullmatch(old) is None:
        return False
    # Compared as text: Python refuses to convert very long integers.
    new, old = new.lstrip("0"), old.lstrip("0")
    return (len(new), new) < (len(old), old)
