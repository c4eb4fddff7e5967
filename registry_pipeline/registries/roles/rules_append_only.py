"""What was published stays: a snapshot against a published one, or against all (SPEC 9; seed 002, DONE_MEANS)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from registry_pipeline.registries.roles.pack_fields import MAX_VERSION, shown_id
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.snapshot import RoleContractSurface, RoleRegistrySnapshot

Origin = TypeVar("Origin", bound=Hashable)
_UNKNOWN = ""  # stands for the hash of a surface without canonical bytes


class PublishedIds(Generic[Origin]):
    """All ids that were ever published, each with the first of its origins (a commit, or the one baseline)."""

    def __init__(self) -> None:
        self.roles: dict[str, Origin] = {}
        self.contracts: dict[str, RoleContractSurface] = {}
        self.surfaces: dict[str, dict[tuple[str, ...], Origin]] = {}
        self.aliases: dict[str, dict[str, Origin]] = {}
        self._entered: dict[int, object] = {}

    def add(self, snapshot: RoleRegistrySnapshot, origin: Origin) -> None:
        """Enter what a snapshot declares; what stands already keeps its first origin.

        Snapshots share the values of roles that are written alike: a value that was entered says nothing new.
        """
        for role in snapshot.roles:
            if id(role) not in self._entered:
                self._entered[id(role)] = role
                self.roles.setdefault(role.role_id, origin)
                for alias in role.aliases:
                    self.aliases.setdefault(alias, {}).setdefault(role.role_id, origin)
        doubled = len({contract.contract_id for contract in snapshot.contracts}) < len(snapshot.contracts)
        if doubled:
            fresh = snapshot.contracts
        else:
            fresh = tuple(each for each in snapshot.contracts if id(each) not in self._entered)
            self._entered |= {id(each): each for each in fresh}
        for contract in fresh:
            self.contracts.setdefault(contract.contract_id, contract)
        for contract_id, hashes in surfaces_of(fresh).items():
            self.surfaces.setdefault(contract_id, {}).setdefault(hashes, origin)

    def origin_of(self, contract_id: str) -> Origin:
        """Return who first published a contract_id."""
        return next(iter(self.surfaces[contract_id].values()))

    def highest(self) -> dict[str, RoleContractSurface]:
        """Return the highest version of every line of contracts."""
        made: dict[str, RoleContractSurface] = {}
        for contract in self.contracts.values():
            if contract.version is not None:
                there = made.get(contract.line)
                if there is None or contract.version > (there.version or 0):
                    made[contract.line] = contract
        return made


def surfaces_of(contracts: Iterable[RoleContractSurface]) -> dict[str, tuple[str, ...]]:
    """Return the surface hashes of every contract_id, sorted; more than one where the id stands more than once."""
    made: dict[str, tuple[str, ...]] = {}
    for contract in contracts:
        one = (contract.schema_hash or _UNKNOWN,)
        there = made.get(contract.contract_id)
        made[contract.contract_id] = one if there is None else tuple(sorted(there + one))
    return made


def find_append_only_violations(
    current: RoleRegistrySnapshot, ledger: PublishedIds[Origin]
) -> list[tuple[Origin, Problem]]:
    """Return RR001, RR002, RR003, RR010, RR011 and RR014, each with the origin of what was promised."""
    return [
        *_removed(current, ledger),
        *_drifted(current, ledger),
        *_moved_aliases(current, ledger),
        *_below_the_highest(current, ledger),
    ]


def _removed(current: RoleRegistrySnapshot, ledger: PublishedIds[Origin]) -> list[tuple[Origin, Problem]]:
    found: list[tuple[Origin, Problem]] = []
    there = {role.role_id for role in current.roles}
    for role_id, origin in ledger.roles.items():
        if role_id not in there:
            words = {"id": shown_id(role_id)}
            subject = Subject(role_id, member="role_id")
            found.append((origin, Problem("RR001", (role_id,), words, subject=subject)))
    kept = {contract.contract_id for contract in current.contracts}
    for contract_id, contract in ledger.contracts.items():
        if contract_id not in kept:
            subject = Subject(contract.role_id, contract_id, member="contract_id", kind=contract.kind)
            words = {"id": shown_id(contract_id)}
            found.append(
                (
                    ledger.origin_of(contract_id),
                    Problem("RR002", (contract.role_id, contract_id), words, subject=subject),
                )
            )
    return found


def _drifted(current: RoleRegistrySnapshot, ledger: PublishedIds[Origin]) -> list[tuple[Origin, Problem]]:
    found: list[tuple[Origin, Problem]] = []
    surfaces = surfaces_of(current.contracts)
    moved = {name for name, now in surfaces.items() if ledger.surfaces.get(name, {}).keys() - {now}}
    if not moved:
        return []
    here, published_highest = _highest(current), ledger.highest()
    for contract in _firsts(current):
        if contract.contract_id not in moved:
            continue
        now = surfaces[contract.contract_id]
        for published, origin in ledger.surfaces[contract.contract_id].items():
            if now == published or not _drifts(now, published):
                continue
            top = published_highest.get(contract.line)
            before = 0 if top is None else top.version or 0
            following = next_id(contract, max(here.get(contract.line, 0), before))
            found.append((origin, _drift(contract, published, now, following)))
            break
    return found


def _drifts(now: tuple[str, ...], published: tuple[str, ...]) -> bool:
    """Tell whether surfaces under one id are others than were published.

    An id that stood twice may be put right by taking one of the two out. A surface that cannot be known now is
    told by its own defect.
    """
    if _UNKNOWN in now and _UNKNOWN not in published:
        return False
    return bool(set(now) - set(published)) or len(now) == len(published)


def _drift(contract: RoleContractSurface, published: tuple[str, ...], now: tuple[str, ...], following: str) -> Problem:
    old = next((each for each in published if each not in now), published[0])
    new = next((each for each in now if each not in published), now[0])
    return Problem(
        "RR003",
        (contract.role_id, contract.contract_id),
        {
            "id": shown_id(contract.contract_id),
            "next": following,
            "kept": ":".join(contract.contract_id.split(":")[2:])
            if contract.version
            else shown_id(contract.contract_id),
        },
        expected=old or "unknown",
        got=new or "unknown",
        subject=Subject(contract.role_id, contract.contract_id, member="schema_json"),
    )


def _moved_aliases(current: RoleRegistrySnapshot, ledger: PublishedIds[Origin]) -> list[tuple[Origin, Problem]]:
    """RR011 for published aliases, RR010 for an alias that was the role_id of another role."""
    found: list[tuple[Origin, Problem]] = []
    roles = {role.role_id for role in current.roles}
    now: dict[str, list[str]] = {}
    for role in current.roles:
        for alias in role.aliases:
            now.setdefault(alias, []).append(role.role_id)
    for alias, owners in ledger.aliases.items():
        for owner, origin in owners.items():
            holders = now.get(alias, [])
            if owner in holders:
                continue
            if not holders and alias not in roles and owner not in roles:
                continue  # gone with its role, which is told
            taken = f"now belongs to role {shown_id(holders[0])}" if holders else "is gone"
            detail = "is a role_id now" if not holders and alias in roles else taken
            words = {"id": shown_id(alias), "role": shown_id(owner), "detail": detail}
            subject = Subject(owner, member="aliases", item=alias)
            found.append((origin, Problem("RR011", (owner, alias), words, subject=subject)))
    for role in current.roles:
        for alias in role.aliases:
            if alias in ledger.roles and alias not in roles:
                detail = "the role_id under which another role was published"
                words = {"id": shown_id(alias), "role": shown_id(role.role_id), "detail": detail}
                subject = Subject(role.role_id, member="aliases", item=alias)
                offence = Problem("RR010", (role.role_id, alias), words, key="published", subject=subject)
                found.append((ledger.roles[alias], offence))
    return found


def _below_the_highest(current: RoleRegistrySnapshot, ledger: PublishedIds[Origin]) -> list[tuple[Origin, Problem]]:
    found: list[tuple[Origin, Problem]] = []
    new = [each for each in _firsts(current) if each.contract_id not in ledger.contracts]
    if not new:
        return []
    here, published = _highest(current), ledger.highest()
    for contract in new:
        top = published.get(contract.line)
        if contract.version is None or top is None or top.version is None or contract.version >= top.version:
            continue
        words = {
            "id": shown_id(contract.contract_id),
            "highest": top.contract_id,
            "next": next_id(contract, max(top.version, here[contract.line])),
        }
        subject = Subject(contract_id=contract.contract_id, member="contract_id")
        offence = Problem("RR014", (contract.role_id, contract.contract_id), words, subject=subject)
        found.append((ledger.origin_of(top.contract_id), offence))
    return found


def next_id(contract: RoleContractSurface, highest: int) -> str:
    """Return the contract_id of the version after `highest`, or words where there is none."""
    if contract.version is None:
        return "a contract with a well-formed contract_id"
    return f"{contract.line}:{highest + 1}" if highest < MAX_VERSION else "a new role (the last version is taken)"


def _highest(snapshot: RoleRegistrySnapshot) -> dict[str, int]:
    made: dict[str, int] = {}
    for contract in snapshot.contracts:
        if contract.version is not None:
            made[contract.line] = max(contract.version, made.get(contract.line, 0))
    return made


def _firsts(snapshot: RoleRegistrySnapshot) -> list[RoleContractSurface]:
    """Return the contracts, each id once."""
    return list({contract.contract_id: contract for contract in reversed(snapshot.contracts)}.values())[::-1]
