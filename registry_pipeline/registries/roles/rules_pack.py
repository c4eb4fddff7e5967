"""The rules that a pack must follow whatever was published before: RR004 to RR010."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from registry_pipeline.registries.roles.json_text import format_id, quote_text
from registry_pipeline.registries.roles.snapshot import (
    CONTRACT_ID,
    SAFE_ID,
    Problem,
    RoleContractSurface,
    RoleRegistrySnapshot,
    Subject,
)


def find_pack_problems(snapshot: RoleRegistrySnapshot) -> list[Problem]:
    """Return the rules that a pack breaks by itself; each further occurrence of a duplicated id is reported again."""
    return [*_check_roles(snapshot), *_check_aliases(snapshot), *_check_contracts(snapshot)]


def _check_roles(snapshot: RoleRegistrySnapshot) -> Iterator[Problem]:
    """Yield RR004 (duplicated role_id) and RR006 (form of ids)."""
    counts: Counter[str] = Counter()
    for role in snapshot.roles:
        occurrence = counts[role.role_id]
        counts[role.role_id] += 1
        if occurrence:
            fillers = {"id": format_id(role.role_id), "times": _format_times(occurrence)}
            subject = Subject(role.role_id, member="role_id", occurrence=occurrence)
            yield Problem("RR004", (role.role_id,), fillers, key=_make_occurrence_key(occurrence), subject=subject)
        named_ids = [("role_id", role.role_id), ("department_id", role.department_id)]
        named_ids += [("alias", alias) for alias in role.aliases]
        for member, value in named_ids:
            if value is not None and SAFE_ID.fullmatch(value) is None:
                yield _make_unsafe_id_problem(role.role_id, member, value, occurrence)


def _make_unsafe_id_problem(role_id: str, member: str, value: str, occurrence: int) -> Problem:
    subject = Subject(role_id, member=member, occurrence=occurrence)
    if member == "alias":
        subject = Subject(role_id, member="aliases", item=value, occurrence=occurrence)
    ids = (role_id,) if member == "role_id" else (role_id, value)
    fillers = {"member": member, "id": format_id(value)}
    key = member + _make_occurrence_key(occurrence)
    return Problem("RR006", ids, fillers, key=key, got=quote_text(value), subject=subject)


def _check_aliases(snapshot: RoleRegistrySnapshot) -> Iterator[Problem]:
    """Yield RR010 within the pack: an alias that is a role_id, or an alias twice."""
    role_ids = {role.role_id for role in snapshot.roles}
    owners: dict[str, str] = {}
    for role in snapshot.roles:
        for alias in role.aliases:
            detail = ""
            if alias in role_ids:
                detail = "a role_id"
            elif alias in owners:
                detail = f"an alias of role {format_id(owners[alias])} already"
            owners.setdefault(alias, role.role_id)
            if detail:
                yield make_alias_problem(role.role_id, alias, detail, key=detail)


def make_alias_problem(role_id: str, alias: str, detail: str, key: str) -> Problem:
    """Return RR010: the alias of a role is taken."""
    fillers = {"id": format_id(alias), "role": format_id(role_id), "detail": detail}
    subject = Subject(role_id, member="aliases", item=alias)
    return Problem("RR010", (role_id, alias), fillers, key=key, subject=subject)


def _check_contracts(snapshot: RoleRegistrySnapshot) -> Iterator[Problem]:
    """Yield RR005 (duplicated contract_id) and RR007 to RR009 (form of the contract_id, its role, its list)."""
    counts: Counter[str] = Counter()
    for contract in snapshot.contracts:
        occurrence = counts[contract.contract_id]
        counts[contract.contract_id] += 1
        match = CONTRACT_ID.fullmatch(contract.contract_id) if contract.version is not None else None
        named = None if match is None else match.group(1, 2)
        # Nearly all contracts are valid: nothing is prepared for a message before this.
        if occurrence or named != (contract.role_id, contract.kind):
            yield from _check_contract(contract, named, occurrence)


def _check_contract(
    contract: RoleContractSurface, named: tuple[str | None, ...] | None, occurrence: int
) -> list[Problem]:
    """Return the problems of a contract; `named` are the role and the kind in its id."""
    fillers = {
        "id": format_id(contract.contract_id),
        "role": format_id(contract.role_id),
        "member": contract.kind.field,
        "times": _format_times(occurrence),
    }

    def problem(code: str, expected: str | None = None, got: str | None = None) -> Problem:
        ids = (contract.role_id, contract.contract_id)
        subject = Subject(contract_id=contract.contract_id, member="contract_id", occurrence=occurrence)
        key = _make_occurrence_key(occurrence)
        return Problem(code, ids, fillers, key=key, expected=expected, got=got, subject=subject)

    problems = [problem("RR005")] if occurrence else []
    if named is None:
        role_id = contract.role_id if SAFE_ID.fullmatch(contract.role_id) else "producer"
        fillers["example"] = f"ROLE:{role_id}:{contract.kind}:1"
        return [*problems, problem("RR007")]
    named_role, kind = named
    if named_role != contract.role_id:
        problems.append(problem("RR008", contract.role_id, named_role))
    if kind != contract.kind:
        problems.append(problem("RR009", contract.kind.value, kind))
    return problems


def _make_occurrence_key(occurrence: int) -> str:
    return f"#{occurrence + 1}" if occurrence else ""


def _format_times(occurrence: int) -> str:
    return "twice" if occurrence == 1 else f"{occurrence + 1} times"
