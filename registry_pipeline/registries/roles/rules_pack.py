"""What a pack must hold whatever was published before: RR004 to RR010 (SPEC 9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from registry_pipeline.registries.roles.json_positions import shown
from registry_pipeline.registries.roles.pack_fields import CONTRACT_ID, SAFE_ID, shown_id
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.snapshot import RoleContractSurface, RoleRegistrySnapshot, RoleSpecEntry


def find_pack_problems(snapshot: RoleRegistrySnapshot) -> list[Problem]:
    """Return in what a pack breaks its own rules; each id that stands again is told anew."""
    return [
        *find_role_problems(snapshot.roles),
        *find_alias_problems(snapshot.roles),
        *find_contract_problems(snapshot.contracts),
    ]


def find_role_problems(roles: Iterable[RoleSpecEntry]) -> list[Problem]:
    """RR004 and RR006: what each role by itself, and a role_id that stands again, breaks."""
    offences: list[Problem] = []
    times: dict[str, int] = {}
    for role in roles:
        count = times[role.role_id] = times.get(role.role_id, 0) + 1
        _check_role(role, count - 1, offences)
    return offences


def find_contract_problems(contracts: Iterable[RoleContractSurface]) -> list[Problem]:
    """RR005 and RR007 to RR009: what each contract by itself, and a contract_id that stands again, breaks."""
    offences: list[Problem] = []
    times: dict[str, int] = {}
    for contract in contracts:
        count = times[contract.contract_id] = times.get(contract.contract_id, 0) + 1
        _check_contract(contract, count - 1, offences)
    return offences


def _again(occurrence: int) -> str:
    return f"#{occurrence + 1}" if occurrence else ""


def _times(occurrence: int) -> str:
    return "twice" if occurrence == 1 else f"{occurrence + 1} times"


def _check_role(role: RoleSpecEntry, occurrence: int, offences: list[Problem]) -> None:
    key = _again(occurrence)
    if occurrence:
        words = {"id": shown_id(role.role_id), "times": _times(occurrence)}
        subject = Subject(role.role_id, member="role_id", occurrence=occurrence)
        offences.append(Problem("RR004", (role.role_id,), words, key=key, subject=subject))
    told = [("role_id", role.role_id)]
    told += [("department_id", role.department_id)] if role.department_id is not None else []
    told += [("alias", alias) for alias in role.aliases]
    for member, value in told:
        if SAFE_ID.fullmatch(value) is None:
            ids = (role.role_id,) if member == "role_id" else (role.role_id, value)
            subject = (
                Subject(role.role_id, member="aliases", item=value, occurrence=occurrence)
                if member == "alias"
                else Subject(role.role_id, member=member, occurrence=occurrence)
            )
            words = {"member": member, "id": shown_id(value)}
            offences.append(Problem("RR006", ids, words, key=member + key, got=shown(value), subject=subject))


def find_alias_problems(roles: Sequence[RoleSpecEntry]) -> list[Problem]:
    """RR010 within the pack: an alias that is a role_id, or stands more than once."""
    offences: list[Problem] = []
    role_ids = {role.role_id for role in roles}
    owners: dict[str, str] = {}
    for role in roles:
        for alias in role.aliases:
            detail = ""
            if alias in role_ids:
                detail = "a role_id"
            elif alias in owners:
                detail = f"an alias of role {shown_id(owners[alias])} already"
            owners.setdefault(alias, role.role_id)
            if detail:
                words = {"id": shown_id(alias), "role": shown_id(role.role_id), "detail": detail}
                subject = Subject(role.role_id, member="aliases", item=alias)
                offences.append(Problem("RR010", (role.role_id, alias), words, key=detail, subject=subject))
    return offences


def _check_contract(contract: RoleContractSurface, occurrence: int, offences: list[Problem]) -> None:
    match = CONTRACT_ID.fullmatch(contract.contract_id)
    formed = match is not None and contract.version is not None
    if match is not None and formed and not occurrence and match.group(1, 2) == (contract.role_id, contract.kind):
        return
    key = _again(occurrence)
    ids = (contract.role_id, contract.contract_id)
    subject = Subject(contract_id=contract.contract_id, member="contract_id", occurrence=occurrence)
    words = {
        "id": shown_id(contract.contract_id),
        "role": shown_id(contract.role_id),
        "member": contract.kind.field,
        "times": _times(occurrence),
    }
    if occurrence:
        offences.append(Problem("RR005", ids, words, key=key, subject=subject))
    if match is None or not formed:
        role_id = contract.role_id if SAFE_ID.fullmatch(contract.role_id) else "producer"
        words["example"] = f"ROLE:{role_id}:{contract.kind}:1"
        offences.append(Problem("RR007", ids, words, key=key, subject=subject))
        return
    if match[1] != contract.role_id:
        offences.append(Problem("RR008", ids, words, key=key, expected=contract.role_id, got=match[1], subject=subject))
    if match[2] != contract.kind:
        offences.append(
            Problem("RR009", ids, words, key=key, expected=contract.kind.value, got=match[2], subject=subject)
        )
