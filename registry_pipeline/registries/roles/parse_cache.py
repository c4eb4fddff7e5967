"""Roles that are read once: what stands in two packs in the same characters is not read again (SPEC 9).

A pack is cut where one role seems to end and the next to begin. No cut is trusted: each piece must be one strict object
by itself, and what is left around the pieces a strict pack without roles. Then the whole text is strict, too, and what
it says is what they say. Where that cannot be shown the pack is read whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from registry_pipeline.registries.roles.json_positions import Place
from registry_pipeline.registries.roles.pack_reader import MAX_OFFENCES, PackReader
from registry_pipeline.registries.roles.problem import Problem
from registry_pipeline.registries.roles.rules_pack import (
    find_alias_problems,
    find_contract_problems,
    find_role_problems,
)
from registry_pipeline.registries.roles.snapshot import RoleContractSurface, RoleRegistrySnapshot, RoleSpecEntry
from registry_pipeline.registries.roles.strict_json import StrictJson, read_strict_json
from registry_pipeline.values import replace, value_type

_FIRST_ROLE: Final = re.compile(
    rb'(?<!\\)"roles"[ \t\r\n]*:[ \t\r\n]*\[([ \t\r\n]*)(\{[ \t\r\n]*"[A-Za-z_]{1,64}"[ \t\r\n]*:)'
)
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
_REMEMBERED: Final = 1 << 14
"""Roles that are remembered: their values and no text."""
_MAX_DEFECTS: Final = MAX_OFFENCES // 2
"""Of a pack with more it is not told role by role what is left out."""


@value_type(eq=False)
class RoleReading:
    """What the text of one role tells, wherever it stands; places begin with `roles` and a number in its stead."""

    entry: RoleSpecEntry
    contracts: tuple[RoleContractSurface, ...]
    contract_places: tuple[Place, ...]
    shape: tuple[Problem, ...]
    of_role: tuple[Problem, ...]
    of_contracts: tuple[Problem, ...]


@value_type(eq=False)
class ReadByRoles:
    """A pack that was read role by role: what it declares, and its own defects."""

    snapshot: RoleRegistrySnapshot
    offences: tuple[Problem, ...]
    readings: tuple[RoleReading, ...]

    def contract_places(self) -> Iterator[Place]:
        """Yield where the contracts of the snapshot stand, in its order."""
        for index, reading in enumerate(self.readings):
            for place in reading.contract_places:
                yield ("roles", index, *place[2:])


class RoleParseCache:
    """A pack that was read role by role, of which single roles are read again."""

    def __init__(self, data: bytes) -> None:
        cut = cut_at_roles(data)
        self._data = data
        self._spans = [] if cut is None else cut[1]
        self._begins: list[int] = []
        self._values: dict[int, Any] = {}

    def value(self, index: int) -> Any:
        """Return the value of a role."""
        if index not in self._values:
            self._values[index] = json.loads(self.text(index))
        return self._values[index]

    def text(self, index: int) -> str:
        """Return the characters of a role."""
        begin, end = self._spans[index]
        return self._data[begin:end].decode("utf-8")

    def begin(self, index: int) -> int:
        """Return at which character of the pack a role begins."""
        if not self._begins:
            characters = before = 0
            for begin, _ in self._spans:
                characters += len(self._data[before:begin].decode("utf-8"))
                before = begin
                self._begins.append(characters)
        return self._begins[index]


_known: dict[bytes, RoleReading] = {}


def forget_roles() -> None:
    """Forget every role that was read: for measurements and tests."""
    _known.clear()


def read_by_roles(data: bytes) -> ReadByRoles | None:
    """Read a pack role by role; None where it has to be read whole.

    That is: its text is no strict JSON, cannot be cut, or has an id twice or a role without one.
    """
    cut = cut_at_roles(data)
    if cut is None:
        return None
    around = read_strict_json(cut[0])
    if around.defects or not isinstance(around.value, dict) or around.value.get("roles") != []:
        return None
    readings: list[RoleReading] = []
    defects = 0
    for begin, end in cut[1]:
        reading = _read_role(data[begin:end])
        defects += 0 if reading is None else len(reading.shape)
        if reading is None or defects > _MAX_DEFECTS:
            return None
        readings.append(reading)
    return _joined(around, readings)


def cut_at_roles(data: bytes) -> tuple[bytes, list[tuple[int, int]]] | None:
    """Return the pack with an empty array of roles, and where its roles seem to begin and end; None if none are seen.

    The array stands in the outermost object: no other bracket is open before its key.
    """
    found = _FIRST_ROLE.search(data)
    if found is None or data.count(b"{", 0, found.start()) != 1:
        return None
    blanks, opening = found.groups()
    # Indented, a role begins on a line of its own; else its first key tells it from a contract.
    if b"\n" not in blanks:
        blanks = b" " if b"}, " + opening in data else b""
    border = b"}," + blanks + (b"{" if b"\n" in blanks else opening)
    spans: list[tuple[int, int]] = []
    at = found.start(2)
    while (end := data.find(border, at)) >= 0:
        spans.append((at, end + 1))
        at = end + 2 + len(blanks)
    try:
        rest = data[at:].decode("utf-8")
        length = len(rest[: _DECODER.raw_decode(rest)[1]].encode("utf-8"))
    except (ValueError, RecursionError):
        return None
    spans.append((at, at + length))
    return data[: found.start(2)] + data[at + length :], spans


def _read_role(piece: bytes) -> RoleReading | None:
    digest = hashlib.sha256(piece).digest()
    there = _known.get(digest)
    if there is None:
        there = _newly_read(piece)
        if there is not None:
            if len(_known) >= _REMEMBERED:
                _known.clear()
            _known[digest] = there
    return there


def _newly_read(piece: bytes) -> RoleReading | None:
    # In two arrays it stands as deep as in its pack.
    read = read_strict_json(b"[[" + piece + b"]]")
    role = _only_object(read.value)
    if read.defects or role is None or not isinstance(role.get("role_id"), str):
        return None
    reader = PackReader()
    reader.read_role(role, ("roles", 0))
    entry, contracts = reader.roles[0], tuple(reader.contracts)
    return RoleReading(
        entry,
        contracts,
        tuple(reader.contract_places),
        tuple(reader.offences),
        tuple(find_role_problems([entry])),
        tuple(find_contract_problems(contracts)),
    )


def _only_object(value: Any) -> dict[str, Any] | None:
    for _ in range(2):
        if not isinstance(value, list) or len(value) != 1:
            return None
        value = value[0]
    return value if isinstance(value, dict) else None


def _joined(around: StrictJson, readings: Sequence[RoleReading]) -> ReadByRoles | None:
    roles = tuple(each.entry for each in readings)
    contracts = tuple(contract for each in readings for contract in each.contracts)
    if len({each.role_id for each in roles}) < len(roles) or len({c.contract_id for c in contracts}) < len(contracts):
        return None
    reader = PackReader(around)
    empty = reader.snapshot()
    if empty is None or len(reader.offences) > _MAX_DEFECTS:
        return None
    snapshot = replace(empty, roles=roles, contracts=contracts)
    shape = [_moved(offence, index) for index, each in enumerate(readings) for offence in each.shape]
    offences = (
        *reader.offences,
        *shape,
        *(offence for each in readings for offence in each.of_role),
        *find_alias_problems(roles),
        *(offence for each in readings for offence in each.of_contracts),
    )
    return ReadByRoles(snapshot, offences, tuple(readings))


def _moved(offence: Problem, index: int) -> Problem:
    place = offence.place
    return offence if place is None or index == 0 else replace(offence, place=("roles", index, *place[2:]))
