"""The next version of a contract, written into a pack without touching another line (SPEC 9, `roles bump`)."""

from __future__ import annotations

import copy
import json
from typing import Any

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.registries.roles.json_positions import Place, find_spans
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.pack_fields import CONTRACT_ID, MAX_VERSION, SAFE_ID, contract_version, shown_id
from registry_pipeline.registries.roles.problem import Problem
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline.values import value_type

_TEXT_CODES = frozenset({"RR017", "RR018", "RR019", "RR027", "RR028", "RR029"})
_IN_THE_WAY = _TEXT_CODES | {"RR004", "RR005"}


@value_type
class AddedVersion:
    """A pack with one contract more: its bytes, the new contract_id, and the one that it was copied from, if any."""

    data: bytes
    contract_id: str
    after: str | None


def add_next_version(data: bytes, role_id: str, kind: RoleContractKind, path: str = "") -> AddedVersion:
    """Return the pack with the next contract of a role: a copy of the newest, behind it, to be edited.

    Its `contract_version` within schema_json, where there is one, is raised with it. Every other character of the file
    stays; only the end of the line before gets a comma where the newest is the last. The result is parsed to prove it.

    Raises:
        NotFoundError: the pack has no such role.
        RefusedError: the pack has defects that make it ambiguous, or the last version is taken.
    """
    pack = parse_pack(data, path)
    hurdle = next((each for each in pack.offences if each.code in _IN_THE_WAY), None)
    if pack.snapshot is None or hurdle is not None:
        why = "it declares no roles" if hurdle is None else f"it has {hurdle.code}"
        raise RefusedError(f"{path or 'the pack'} cannot be added to: {why}", "mend what `roles check` tells first")
    ids = [role.role_id for role in pack.snapshot.roles]
    if role_id not in ids:
        raise NotFoundError(
            f"there is no role {shown_id(role_id)} in {path or 'the pack'}", "see the role_ids of the pack"
        )
    role_place = pack.role_places[ids.index(role_id)]
    place: Place = (*role_place, kind.field)
    read = pack.read_again()
    role = read.value["roles"][role_place[1]]
    contracts = role.get(kind.field)
    if not isinstance(contracts, list) or SAFE_ID.fullmatch(role_id) is None:
        raise RefusedError(
            f"role {shown_id(role_id)} has no array {kind.field} or no safe id", "mend what `roles check` tells first"
        )
    newest = _newest(contracts, role_id, kind)
    version = 1 if newest is None else _following(contracts[newest]["contract_id"])
    contract_id = f"ROLE:{role_id}:{kind}:{version}"
    if newest is None:
        added = {"contract_id": contract_id, "schema_json": {}}
        text = _begun(read.text, place, len(contracts), added)
        made = AddedVersion(text.encode("utf-8"), contract_id, None)
    else:
        added = _raised(contracts[newest], contract_id, version)
        text = _copied(read.text, (*place, newest), added)
        made = AddedVersion(text.encode("utf-8"), contract_id, contracts[newest]["contract_id"])
    _prove(pack, made, place, len(contracts) if newest is None else newest + 1, added)
    return made


def _newest(contracts: list[Any], role_id: str, kind: RoleContractKind) -> int | None:
    """Return the index of the highest version of this role and kind."""
    versions: dict[int, int] = {}
    for index, contract in enumerate(contracts):
        contract_id = contract.get("contract_id") if isinstance(contract, dict) else None
        match = CONTRACT_ID.fullmatch(contract_id) if isinstance(contract_id, str) else None
        version = contract_version(match[0]) if match is not None else None
        if match is not None and version is not None and (match[1], match[2]) == (role_id, kind.value):
            versions[version] = index
    return versions[max(versions)] if versions else None


def _following(contract_id: str) -> int:
    version = contract_version(contract_id) or 0
    if version >= MAX_VERSION:
        raise RefusedError(f"{contract_id} is the last version that there can be", "publish a new role")
    return version + 1


def _raised(contract: dict[str, Any], contract_id: str, version: int) -> dict[str, Any]:
    """Return the copy of a contract that the text is to become."""
    added = copy.deepcopy(contract)
    added["contract_id"] = contract_id
    schema = added.get("schema_json")
    if isinstance(schema, dict) and "contract_version" in schema:
        schema["contract_version"] = str(version) if isinstance(schema["contract_version"], str) else version
    return added


def _copied(text: str, place: Place, added: dict[str, Any]) -> str:
    """Return the text with a copy of the contract at `place` behind it, in the same hand."""
    changed: list[Place] = [(*place, "contract_id")]
    schema = added.get("schema_json")
    if isinstance(schema, dict) and "contract_version" in schema:
        changed.append((*place, "schema_json", "contract_version"))
    spans = find_spans(text, [place, *changed])
    begin, end = spans[place]
    stub = text[begin:end]
    for each in sorted(changed, key=lambda one: spans[one][0], reverse=True):
        value = added["contract_id"] if each[-1] == "contract_id" else added["schema_json"]["contract_version"]
        first, last = spans[each]
        stub = stub[: first - begin] + json.dumps(value) + stub[last - begin :]
    blank = text[len(text[:begin].rstrip(" \t\r\n")) : begin]
    if not blank and place[-1] == 0:
        blank = " " if '": ' in stub else ""
    return f"{text[:end]},{blank}{stub}{text[end:]}"


def _begun(text: str, place: Place, count: int, added: dict[str, Any]) -> str:
    """Return the text with a first contract of its kind at the end of the array at `place`."""
    begin, end = find_spans(text, [place])[place]
    line = text.rfind("\n", 0, begin) + 1
    margin = text[line : len(text[line:begin]) - len(text[line:begin].lstrip(" \t")) + line]
    newline = "\r\n" if "\r\n" in text else "\n"
    if "\n" in text:
        unit = _unit(text)
        stub = json.dumps(added, indent=unit).replace("\n", newline + margin + unit)
        lead, tail = newline + margin + unit, newline + margin
    else:
        stub, lead, tail = json.dumps(added, separators=(",", ":")), "", ""
    inside = text[begin + 1 : end - 1].rstrip(" \t\r\n")
    comma = "," if count else ""
    return f"{text[:begin]}[{inside}{comma}{lead}{stub}{tail}]{text[end:]}"


def _unit(text: str) -> str:
    """Return what one level is indented by: the blanks before the first member of the pack."""
    for line in text.split("\n")[1:]:
        blank = line[: len(line) - len(line.lstrip(" \t"))]
        if blank and line.strip():
            return blank
    return "  "


def _prove(pack: ParsedPack, made: AddedVersion, place: Place, index: int, added: dict[str, Any]) -> None:
    """Parse the result: it says what the pack said and the new contract, and nothing else."""
    proof = parse_pack(made.data, pack.path)
    expected = copy.deepcopy(pack.read_again().value)
    expected["roles"][place[1]][place[2]].insert(index, added)
    before = {_known(each) for each in pack.offences}
    if proof.read_again().value != expected or any(
        _known(each) not in before for each in proof.offences if each.code != "RR016"
    ):
        raise RefusedError(
            f"{made.contract_id} cannot be added without changing more than it", "add it by hand, and run `roles check`"
        )


def _known(offence: Problem) -> tuple[object, ...]:
    # A copied contract brings the shape of what it was copied from with it.
    return ("RR020", offence.key) if offence.code == "RR020" else offence.identity
