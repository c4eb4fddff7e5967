"""From the value of a pack to what it declares: the shape of its fields (RR020), the hash of its surfaces (SPEC 9)."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.registries.roles.json_positions import JsonDefect, Place, json_pointer, shown
from registry_pipeline.registries.roles.pack_fields import (
    CONTRACT_FIELDS,
    PACK_FIELDS,
    ROLE_FIELDS,
    Judge,
    contract_version,
    shown_id,
    shown_value,
)
from registry_pipeline.registries.roles.problem import Problem
from registry_pipeline.registries.roles.snapshot import (
    RoleContractKind,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)
from registry_pipeline.registries.roles.strict_json import StrictJson
from registry_pipeline.registries.roles.surface import parsed_json_sha256

MAX_OFFENCES: Final = 50_000
"""Offences of one code against the shape of a pack that are told one by one; then, that there are more."""
_TEXTS: Final = ("modes_supported", "content_profiles_supported", "claim_features", "allowed_models", "allowed_tools")


class PackReader:
    """Reads the value of a pack into a snapshot and notes what is wrong with it."""

    def __init__(self, read: StrictJson | None = None) -> None:
        self.offences: list[Problem] = []
        self.roles: list[RoleSpecEntry] = []
        self.contracts: list[RoleContractSurface] = []
        self._value = None if read is None else read.value
        self._counts: dict[str, int] = {}
        self._full: set[str] = set()
        self._text = "" if read is None else read.text
        self.role_places: list[Place] = []
        self.contract_places: list[Place] = []
        self._role_times: dict[str, int] = {}
        self._contract_times: dict[str, int] = {}
        self._tainted: set[Place] = set()
        for defect in () if read is None else read.defects:
            self._defect(defect)

    def snapshot(self) -> RoleRegistrySnapshot | None:
        """Read the whole pack."""
        pack = self._value
        if not isinstance(pack, dict):
            self._shape("the pack", (), (), "", "is not an object", expected="an object", got=shown_value(pack))
            return None
        self._fields("the pack", (), pack, (), PACK_FIELDS, "")
        roles = pack.get("roles")
        if not isinstance(roles, list):
            return None
        for index, role in enumerate(roles):
            if isinstance(role, dict):
                self.read_role(role, ("roles", index))
        self._tell_rest()
        told = {key: _text(pack.get(key)) for key in ("pack_id", "pack_version", "spec_id")}
        return RoleRegistrySnapshot(tuple(self.roles), tuple(self.contracts), **told)

    def _note(self, offence: Problem) -> None:
        count = self._counts[offence.code] = self._counts.get(offence.code, 0) + 1
        if count <= MAX_OFFENCES:
            self.offences.append(offence)
        else:
            self._full.add(offence.code)

    def _tell_rest(self) -> None:
        """Note that there are offences that are not listed.

        Which these are is not known, so that the baseline has the same only where it is the same text.
        """
        digest = hashlib.sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()
        for code in sorted(self._full):
            words = {"what": "the pack", "detail": f"has more than {MAX_OFFENCES} of {code}; the rest is not listed"}
            self.offences.append(Problem("RR020", (), words, key=f"more {code}", got=f"a text with sha256 {digest}"))

    def _defect(self, defect: JsonDefect) -> None:
        """Note a defect of the text, with the role and contract in which it lies."""
        place = defect.place
        ids: tuple[str, ...] = ()
        rest = place
        if len(place) >= 2 and place[0] == "roles":
            role_id = _at(self._value, (*place[:2], "role_id"))
            contract_id = _at(self._value, (*place[:4], "contract_id")) if len(place) > 4 else None
            if len(place) > 4 and place[4] == "schema_json":
                self._tainted.add(place[:5])
            ids = tuple(each for each in (role_id, contract_id) if isinstance(each, str))
            rest = place[4:] if isinstance(contract_id, str) else place[2:] if ids else place
        where = f" (in {', '.join(map(shown_id, ids))})" if ids else ""
        words = {"detail": defect.detail, "where": where}
        # The detail tells a changed defect at an old place from the old one.
        self._note(Problem(defect.code, ids, words, key=f"{json_pointer(rest)} {defect.detail}", at=defect.at))

    def _shape(
        self,
        what: str,
        ids: tuple[str, ...],
        place: Place,
        key: str,
        detail: str,
        *,
        expected: str | None = None,
        got: str | None = None,
    ) -> None:
        told = what.format(*map(shown_id, ids)) if ids else what
        words = {"what": told, "detail": detail}
        self._note(Problem("RR020", ids, words, key=key, expected=expected, got=got, place=place))

    def _fields(
        self,
        what: str,
        ids: tuple[str, ...],
        value: dict[str, Any],
        place: Place,
        fields: Mapping[str, Judge],
        key: str,
    ) -> None:
        """Note missing, mistyped and unknown members of one object; `what` has places for its ids."""
        if "RR020" in self._full:
            return
        for name, judge in fields.items():
            if name not in value:
                self._shape(what, ids, place, f"{key}/{name}", f"{name} is missing")
                continue
            for inner, expected in judge(value[name]):
                at = json_pointer((name, *inner))
                self._shape(
                    what,
                    ids,
                    (*place, name, *inner),
                    key + at,
                    f"{at[1:]} is not {expected}",
                    expected=expected,
                    got=shown_value(_at(value[name], inner)),
                )
        if len(value) > len(fields) or value.keys() - fields.keys():
            for name in sorted(value.keys() - fields.keys()):
                close = difflib.get_close_matches(name[:64], fields, 1)
                meant = f"; did you mean {close[0]}?" if close else ""
                self._shape(
                    what, ids, (*place, name), f"{key}/{name}", f"{shown(name)} is no field{meant}", got=shown(name)
                )

    def read_role(self, role: dict[str, Any], place: Place) -> None:
        """Read the role at a place."""
        role_id = role.get("role_id")
        if not isinstance(role_id, str):
            self._fields(f"role {json_pointer(place)}", (), role, place, ROLE_FIELDS, json_pointer(place))
            return
        times = self._role_times[role_id] = self._role_times.get(role_id, 0) + 1
        key = f"#{times}" if times > 1 else ""
        self._fields("role {}", (role_id,), role, place, ROLE_FIELDS, key)
        self.roles.append(_entry(role_id, role))
        self.role_places.append(place)
        for kind in RoleContractKind:
            contracts = role.get(kind.field)
            for number, contract in enumerate(contracts if isinstance(contracts, list) else ()):
                if isinstance(contract, dict):
                    self._contract(contract, (*place, kind.field, number), role_id, kind)

    def _contract(self, contract: dict[str, Any], place: Place, role_id: str, kind: RoleContractKind) -> None:
        contract_id = contract.get("contract_id")
        if not isinstance(contract_id, str):
            self._fields(
                "a contract of role {}",
                (role_id,),
                contract,
                place,
                CONTRACT_FIELDS,
                json_pointer(place[2:]),
            )
            return
        times = self._contract_times[contract_id] = self._contract_times.get(contract_id, 0) + 1
        key = f"#{times}" if times > 1 else ""
        ids = (role_id, contract_id)
        self._fields("contract {1}", ids, contract, place, CONTRACT_FIELDS, key)
        version = contract_version(contract_id)
        self.contract_places.append(place)
        self._surface(contract, (*place, "schema_json"), RoleContractSurface(contract_id, role_id, kind, version, None))

    def _surface(self, contract: dict[str, Any], place: Place, bare: RoleContractSurface) -> None:
        schema = contract.get("schema_json")
        if not isinstance(schema, dict) or place in self._tainted:
            self.contracts.append(bare)
            return
        digest = parsed_json_sha256(schema)
        self.contracts.append(RoleContractSurface(bare.contract_id, bare.role_id, bare.kind, bare.version, digest))
        if "contract_version" in schema and bare.version is not None:
            stated = schema["contract_version"]
            right = not isinstance(stated, bool) and stated in (bare.version, str(bare.version))
            if not right:
                got = shown_value(stated)
                words = {"id": bare.contract_id, "detail": got}
                ids = (bare.role_id, bare.contract_id)
                self._note(
                    Problem(
                        "RR016", ids, words, expected=str(bare.version), got=got, place=(*place, "contract_version")
                    )
                )


def _entry(role_id: str, role: dict[str, Any]) -> RoleSpecEntry:
    aliases = role.get("aliases")
    return RoleSpecEntry(
        role_id=role_id,
        department_id=_text(role.get("department_id")),
        display_name=_text(role.get("display_name")),
        aliases=tuple(a for a in aliases if isinstance(a, str)) if isinstance(aliases, list) else (),
        lifecycle=_text(role.get("lifecycle")),
        vocab_namespace=_text(role.get("vocab_namespace")),
        proposal_policy=_text(role.get("proposal_policy")),
        **{name: _texts(role.get(name)) for name in _TEXTS},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> tuple[str, ...] | None:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else None


def _at(value: Any, place: Place) -> Any:
    """Return what stands at a place of a value, None where nothing does."""
    for part in place:
        if isinstance(part, int) and isinstance(value, list) and part < len(value):
            value = value[part]
        elif isinstance(part, str) and isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value
