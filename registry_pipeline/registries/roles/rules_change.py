"""The rules between two versions of a pack: what was published stays, and what may change how (RR001 to RR014)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from registry_pipeline.registries.roles.json_text import format_id, quote_text
from registry_pipeline.registries.roles.pack import make_alias_problem
from registry_pipeline.registries.roles.snapshot import (
    DEFINITION_FIELDS,
    MAX_VERSION,
    Problem,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
    Subject,
)

_DIGITS: Final = re.compile("[0-9]+")
_UNKNOWN: Final = ""  # replaces the hash of a surface without canonical bytes


class PublishedIds:
    """All ids that were ever published, each with the number of the version that published it first."""

    def __init__(self) -> None:
        self.roles: dict[str, int] = {}
        self.contracts: dict[str, RoleContractSurface] = {}
        self.surfaces: dict[str, dict[tuple[str, ...], int]] = {}
        self.aliases: dict[str, dict[str, int]] = {}

    def add(self, snapshot: RoleRegistrySnapshot, number: int) -> None:
        """Add the ids of the next version; an id that is known keeps its first number."""
        for role in snapshot.roles:
            self.roles.setdefault(role.role_id, number)
            for alias in role.aliases:
                self.aliases.setdefault(alias, {}).setdefault(role.role_id, number)
        for contract in snapshot.contracts:
            self.contracts.setdefault(contract.contract_id, contract)
        for contract_id, hashes in _group_surfaces(snapshot).items():
            known = self.surfaces.get(contract_id)
            if known is None:
                self.surfaces[contract_id] = {hashes: number}
            else:
                known.setdefault(hashes, number)

    def find_number(self, contract_id: str) -> int:
        """Return the number of the version that first published a contract_id."""
        return next(iter(self.surfaces[contract_id].values()))


def find_append_only_violations(current: RoleRegistrySnapshot, published: PublishedIds) -> list[tuple[int, Problem]]:
    """Return RR001, RR002, RR003, RR010, RR011 and RR014, each with the number of the version that published the id."""
    return [
        *_find_removed(current, published),
        *_find_changed_surfaces(current, published),
        *_find_changed_aliases(current, published),
        *_find_reused_role_ids(current, published),
        *_find_low_versions(current, published),
    ]


def find_misused_ids(current: RoleRegistrySnapshot, retired: PublishedIds) -> list[Problem]:
    """Return RR003, RR010 and RR011 for published ids that may be missing, where the current snapshot uses them."""
    names = {role.role_id for role in current.roles}.union(*(role.aliases for role in current.roles))
    changed = [problem for _, problem in _find_changed_aliases(current, retired) if problem.ids[-1] in names]
    found = (*_find_changed_surfaces(current, retired), *_find_reused_role_ids(current, retired))
    return [*(problem for _, problem in found), *changed]


def _find_removed(current: RoleRegistrySnapshot, published: PublishedIds) -> Iterator[tuple[int, Problem]]:
    role_ids = {role.role_id for role in current.roles}
    for role_id, number in published.roles.items():
        if role_id not in role_ids:
            subject = Subject(role_id, member="role_id")
            yield number, Problem("RR001", (role_id,), {"id": format_id(role_id)}, subject=subject)
    contract_ids = {contract.contract_id for contract in current.contracts}
    for contract_id, contract in published.contracts.items():
        if contract_id not in contract_ids:
            ids = (contract.role_id, contract_id)
            subject = Subject(contract.role_id, contract_id, member="contract_id", kind=contract.kind)
            problem = Problem("RR002", ids, {"id": format_id(contract_id)}, subject=subject)
            yield published.find_number(contract_id), problem


def _find_changed_surfaces(current: RoleRegistrySnapshot, published: PublishedIds) -> Iterator[tuple[int, Problem]]:
    surfaces = _group_surfaces(current)
    past = published.surfaces
    changed = {name for name, hashes in surfaces.items() if name in past and past[name].keys() != {hashes}}
    if not changed:
        return
    # The next free version is above what was published and what the pack itself adds.
    lines = {contract.line for contract in current.contracts if contract.contract_id in changed}
    highest = find_highest_versions(
        contract
        for contract in chain(published.contracts.values(), current.contracts)
        if contract.contract_id.rpartition(":")[0] in lines
    )
    for contract in _drop_duplicate_contracts(current):
        if contract.contract_id not in changed:
            continue
        hashes = surfaces[contract.contract_id]
        for old_hashes, number in published.surfaces[contract.contract_id].items():
            if hashes != old_hashes and _is_changed(hashes, old_hashes):
                old = next((digest for digest in old_hashes if digest not in hashes), old_hashes[0])
                new = next((digest for digest in hashes if digest not in old_hashes), hashes[0])
                yield number, make_changed_surface(contract, old, new, highest.get(contract.line, 0))
                break


def _is_changed(hashes: tuple[str, ...], old_hashes: tuple[str, ...]) -> bool:
    # A surface that is unknown now is reported as a defect of its text. A duplicated id may be corrected by removing
    # one of the two contracts.
    if _UNKNOWN in hashes and _UNKNOWN not in old_hashes:
        return False
    return bool(set(hashes) - set(old_hashes)) or len(hashes) == len(old_hashes)


def make_changed_surface(contract: RoleContractSurface, old: str, new: str, highest: int) -> Problem:
    """Return RR003; `old` and `new` are hashes, empty if unknown. `highest` is the highest version of the contract."""
    contract_id = format_id(contract.contract_id)
    short_id = ":".join(contract_id.split(":")[2:]) if contract.version else contract_id
    fillers = {"id": contract_id, "next": _format_next_id(contract, highest), "kept": short_id}
    subject = Subject(contract.role_id, contract.contract_id, member="schema_json")
    ids = (contract.role_id, contract.contract_id)
    return Problem("RR003", ids, fillers, expected=old or "unknown", got=new or "unknown", subject=subject)


def _find_changed_aliases(current: RoleRegistrySnapshot, published: PublishedIds) -> Iterator[tuple[int, Problem]]:
    role_ids = {role.role_id for role in current.roles}
    owners_now: dict[str, list[str]] = {}
    for role in current.roles:
        for alias in role.aliases:
            owners_now.setdefault(alias, []).append(role.role_id)
    for alias, owners in published.aliases.items():
        new_owners = owners_now.get(alias, [])
        for owner, number in owners.items():
            if owner in new_owners:
                continue
            if new_owners:
                detail = f"now belongs to role {format_id(new_owners[0])}"
            else:
                detail = "is now a role_id" if alias in role_ids else "is missing"
            fillers = {"id": format_id(alias), "role": format_id(owner), "detail": detail}
            subject = Subject(owner, member="aliases", item=alias)
            yield number, Problem("RR011", (owner, alias), fillers, subject=subject)


def _find_reused_role_ids(current: RoleRegistrySnapshot, published: PublishedIds) -> Iterator[tuple[int, Problem]]:
    """Yield RR010 for each alias that was published as a role_id and is none in the current pack.

    Each comes with the number of the version that published the role_id first.
    """
    role_ids = {role.role_id for role in current.roles}
    for role in current.roles:
        for alias in role.aliases:
            if alias in published.roles and alias not in role_ids:
                detail = "the published role_id of another role"
                yield published.roles[alias], make_alias_problem(role.role_id, alias, detail, key="published")


def _find_low_versions(current: RoleRegistrySnapshot, published: PublishedIds) -> Iterator[tuple[int, Problem]]:
    new = [
        contract for contract in _drop_duplicate_contracts(current) if contract.contract_id not in published.contracts
    ]
    if not new:
        return
    highest_published = find_highest_versions(published.contracts.values())
    highest = find_highest_versions([*published.contracts.values(), *current.contracts])
    for contract in new:
        top = highest_published.get(contract.line)
        if contract.version is None or top is None or contract.version >= top:
            continue
        top_id = f"{contract.line}:{top}"
        fillers = {"highest": top_id, "next": _format_next_id(contract, highest[contract.line])}
        yield published.find_number(top_id), _make_contract_problem(contract, "RR014", fillers)


def _format_next_id(contract: RoleContractSurface, highest: int) -> str:
    if contract.version is None:
        return "a contract with a well-formed contract_id"
    return f"{contract.line}:{highest + 1}" if highest < MAX_VERSION else "a new role (the last version is taken)"


def find_highest_versions(contracts: Iterable[RoleContractSurface]) -> dict[str, int]:
    """Return the highest version of each contract by its line (the id without the version)."""
    highest: dict[str, int] = {}
    for contract in contracts:
        if contract.version is not None:
            highest[contract.line] = max(contract.version, highest.get(contract.line, 0))
    return highest


def _group_surfaces(snapshot: RoleRegistrySnapshot) -> dict[str, tuple[str, ...]]:
    """Return the sorted surface hashes by contract_id; a duplicated id has several."""
    single: dict[str, tuple[str, ...]] = {
        contract.contract_id: (contract.schema_hash or _UNKNOWN,) for contract in snapshot.contracts
    }
    if len(single) == len(snapshot.contracts):
        return single
    surfaces: dict[str, list[str]] = {}
    for contract in snapshot.contracts:
        surfaces.setdefault(contract.contract_id, []).append(contract.schema_hash or _UNKNOWN)
    return {contract_id: tuple(sorted(hashes)) for contract_id, hashes in surfaces.items()}


def _drop_duplicate_contracts(snapshot: RoleRegistrySnapshot) -> Iterable[RoleContractSurface]:
    # Of a duplicated id the first contract counts.
    return {contract.contract_id: contract for contract in reversed(snapshot.contracts)}.values()


def find_changes(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Problem]:
    """Return RR012, RR013, RR015, RR021, RR022 and RR026: what the change from `baseline` to `current` breaks."""
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
            yield _make_contract_problem(contract, "RR022", {"role": format_id(contract.role_id)})
        if contract.version is not None and contract.version > highest.get(contract.line, 0):
            yield from _check_new_version(contract, contract.version, versions[contract.line], published)


def _check_new_version(
    contract: RoleContractSurface, version: int, versions: dict[int, RoleContractSurface], published: set[str]
) -> Iterator[Problem]:
    predecessor = f"{contract.line}:{version - 1}"
    if version > 1 and version - 1 not in versions and predecessor not in published:
        yield _make_contract_problem(contract, "RR013", {"expected_id": predecessor})
    lower = max((number for number in versions if number < version), default=None)
    if lower is not None and contract.schema_hash is not None and versions[lower].schema_hash == contract.schema_hash:
        yield _make_contract_problem(contract, "RR015", {"other": versions[lower].contract_id})


def _make_contract_problem(contract: RoleContractSurface, code: str, fillers: dict[str, str]) -> Problem:
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
        changes = [_find_changed_fields(role, entry) for entry in previous]
        if all(changes):
            subject = Subject(role.role_id, member="role_id")
            yield Problem("RR026", (role.role_id,), fillers, key=",".join(changes[0]), subject=subject)


def _find_changed_fields(role: RoleSpecEntry, previous: RoleSpecEntry) -> list[str]:
    # A field that is missing or has the wrong type is RR020.
    pairs = zip(DEFINITION_FIELDS, role.definition, previous.definition, strict=True)
    return [name for name, new, old in pairs if new != old and new is not None and old is not None]


def _check_pack(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> Iterator[Problem]:
    new, old = current.pack_id, baseline.pack_id
    if new is not None and old is not None and new != old:
        yield _make_pack_problem("pack_id", "changed", quote_text(old), quote_text(new))
    new, old = current.pack_version, baseline.pack_version
    if new is not None and old is not None and _is_lower(new, old):
        yield _make_pack_problem("pack_version", "decreased", f"{quote_text(old)} or higher", quote_text(new))


def _make_pack_problem(member: str, change: str, expected: str, got: str) -> Problem:
    fillers = {"member": member, "change": change}
    return Problem("RR021", (), fillers, key=member, expected=expected, got=got, subject=Subject(member=member))


def _is_lower(new: str, old: str) -> bool:
    if _DIGITS.fullmatch(new) is None or _DIGITS.fullmatch(old) is None:
        return False
    # Compared as text: Python refuses to convert very long integers.
    new, old = new.lstrip("0"), old.lstrip("0")
    return (len(new), new) < (len(old), old)
