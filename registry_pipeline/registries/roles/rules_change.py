"""What a change should not do unseen: RR012, RR013, RR015, RR021, RR022 and RR026 (SPEC 9)."""

from __future__ import annotations

import re
from typing import Final

from registry_pipeline.registries.roles.json_positions import shown
from registry_pipeline.registries.roles.pack_fields import shown_id
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.snapshot import (
    DEFINITION_FIELDS,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)

_WHOLE: Final = re.compile("[0-9]+")


def find_changes(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Problem]:
    """Return in what the step from `baseline` to `current` breaks a rule of change."""
    return [
        *_new_versions(current, baseline),
        *_changed_roles(current, baseline),
        *_changed_pack(current, baseline),
    ]


def _new_versions(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Problem]:
    published = {contract.contract_id for contract in baseline.contracts}
    new = [contract for contract in current.contracts if contract.contract_id not in published]
    if not new:
        return []
    highest: dict[str, int] = {}
    for contract in baseline.contracts:
        highest[contract.line] = max(highest.get(contract.line, 0), contract.version or 0)
    lines: dict[str, dict[int, RoleContractSurface]] = {}
    for contract in current.contracts:
        if contract.version is not None:
            lines.setdefault(contract.line, {}).setdefault(contract.version, contract)
    roles_published = {role.role_id for role in baseline.roles}
    deprecated = {role.role_id for role in current.roles if role.lifecycle == "deprecated"} & roles_published
    found: list[Problem] = []
    for contract in new:
        found += _deprecated_owner(contract, deprecated)
        if contract.version is not None and contract.version > highest.get(contract.line, 0):
            found += _new_version(contract, contract.version, lines[contract.line], published)
    return found


def _deprecated_owner(contract: RoleContractSurface, deprecated: set[str]) -> list[Problem]:
    if contract.role_id not in deprecated:
        return []
    words = {"id": shown_id(contract.contract_id), "role": shown_id(contract.role_id)}
    return [_about(contract, "RR022", words)]


def _new_version(
    contract: RoleContractSurface, version: int, line: dict[int, RoleContractSurface], published: set[str]
) -> list[Problem]:
    found: list[Problem] = []
    words = {"id": shown_id(contract.contract_id)}
    predecessor = f"{contract.line}:{version - 1}"
    if version > 1 and version - 1 not in line and predecessor not in published:
        found.append(_about(contract, "RR013", words | {"expected_id": predecessor}))
    before = max((each for each in line if each < version), default=None)
    if before is not None and contract.schema_hash is not None and line[before].schema_hash == contract.schema_hash:
        found.append(_about(contract, "RR015", words | {"other": line[before].contract_id}))
    return found


def _about(contract: RoleContractSurface, code: str, words: dict[str, str]) -> Problem:
    subject = Subject(contract_id=contract.contract_id, member="contract_id")
    return Problem(code, (contract.role_id, contract.contract_id), words, subject=subject)


def _changed_roles(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Problem]:
    published: dict[str, list[RoleSpecEntry]] = {}
    for role in baseline.roles:
        published.setdefault(role.role_id, []).append(role)
    found: list[Problem] = []
    for role in current.roles:
        before = published.get(role.role_id)
        if before is None or role in before:
            continue
        if role.lifecycle == "active" and all(each.lifecycle == "deprecated" for each in before):
            subject = Subject(role.role_id, member="lifecycle")
            found.append(Problem("RR012", (role.role_id,), {"id": shown_id(role.role_id)}, subject=subject))
        changed = [changed_fields(role, each) for each in before]
        if all(changed):
            words = {"id": shown_id(role.role_id)}
            subject = Subject(role.role_id, member="role_id")
            found.append(Problem("RR026", (role.role_id,), words, key=",".join(changed[0]), subject=subject))
    return found


def changed_fields(role: RoleSpecEntry, before: RoleSpecEntry) -> list[str]:
    """Return the fields of the definition that changed; one that is missing or mistyped in either is told by RR020."""
    pairs = zip(DEFINITION_FIELDS, role.definition, before.definition, strict=True)
    return [name for name, new, old in pairs if new != old and new is not None and old is not None]


def _changed_pack(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Problem]:
    found: list[Problem] = []
    new, old = current.pack_id, baseline.pack_id
    if new is not None and old is not None and new != old:
        found.append(_about_pack("pack_id", "changed", shown(old), shown(new)))
    new, old = current.pack_version, baseline.pack_version
    if new is not None and old is not None and _went_back(new, old):
        found.append(_about_pack("pack_version", "went back", f"{shown(old)} or higher", shown(new)))
    return found


def _about_pack(member: str, what: str, expected: str, got: str) -> Problem:
    words = {"member": member, "change": what}
    return Problem("RR021", (), words, key=member, expected=expected, got=got, subject=Subject(member=member))


def _went_back(new: str, old: str) -> bool:
    if _WHOLE.fullmatch(new) is None or _WHOLE.fullmatch(old) is None:
        return False
    # Compared as text: Python refuses to make very long integers.
    new, old = new.lstrip("0"), old.lstrip("0")
    return (len(new), new) < (len(old), old)
