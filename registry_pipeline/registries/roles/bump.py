"""The next version of a contract, inserted into the text of a pack without changing another line."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.registries.roles.json_text import JsonPath, find_spans, format_id
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.snapshot import (
    MAX_VERSION,
    SAFE_ID,
    Problem,
    RoleContractKind,
)
from registry_pipeline.values import value_type

# With defects of the text or duplicated ids it is not clear where to insert.
_OBSTACLES: Final = frozenset({"RR017", "RR018", "RR019", "RR027", "RR028", "RR029", "RR004", "RR005"})
_FIX_FIRST: Final = "fix what `roles check` reports first"


@value_type
class AddedVersion:
    """The bytes of a pack with one more contract, its contract_id, and the contract that it is a copy of, if any."""

    data: bytes
    contract_id: str
    after: str | None


def add_next_version(data: bytes, role_id: str, kind: RoleContractKind, path: str = "") -> AddedVersion:
    """Return the pack with the next contract of a role: a copy of the newest one, inserted after it.

    A role without one gets version 1 with an empty schema_json, at the end of the list. A `contract_version` in the
    copied schema_json is increased. All other characters stay, apart from the comma between both.

    Raises:
        NotFoundError: the pack has no such role.
        RefusedError: the pack cannot be parsed without doubt, the role is malformed, the newest version is the last
            possible one, or the result has another change or a new problem.
    """
    pack = parse_pack(data, path)
    label = path or "the pack"
    # (1) find the list of contracts
    obstacle = next((problem for problem in pack.problems if problem.code in _OBSTACLES), None)
    if pack.snapshot is None or obstacle is not None:
        reason = "it declares no roles" if obstacle is None else f"it has {obstacle.code}"
        raise RefusedError(f"{label} cannot be extended: {reason}", _FIX_FIRST)
    role_ids = [role.role_id for role in pack.snapshot.roles]
    if role_id not in role_ids:
        raise NotFoundError(f"there is no role {format_id(role_id)} in {label}", "see the role_ids of the pack")
    role_path = pack.role_paths[role_ids.index(role_id)]
    list_path: JsonPath = (*role_path, kind.field)
    document = pack.read_document()
    contracts = document.value["roles"][role_path[1]].get(kind.field)
    if not isinstance(contracts, list) or SAFE_ID.fullmatch(role_id) is None:
        raise RefusedError(f"role {format_id(role_id)} has no array {kind.field} or no safe id", _FIX_FIRST)
    # (2) make the contract, and insert its text
    line = f"ROLE:{role_id}:{kind}"
    indexes = _find_versions(pack, list_path, line)
    if not indexes:
        after, index = None, len(contracts)
        contract: dict[str, Any] = {"contract_id": f"{line}:1", "schema_json": {}}
        text = _append_first(document.text, list_path, len(contracts), contract)
    else:
        version = max(indexes)
        after, index = f"{line}:{version}", indexes[version] + 1
        if version == MAX_VERSION:
            raise RefusedError(f"{after} is the last possible version", "publish a new role")
        contract = _copy_contract(contracts[index - 1], line, version + 1)
        text = _insert_copy(document.text, (*list_path, index - 1), contract)
    added = AddedVersion(text.encode("utf-8"), contract["contract_id"], after)
    # (3) parse the result, and refuse it if anything else changed
    _refuse_other_changes(pack, added, list_path, index, contract)
    return added


def _find_versions(pack: ParsedPack, list_path: JsonPath, line: str) -> dict[int, int]:
    """Return the index of each version of a contract in the array at `list_path`."""
    contracts = () if pack.snapshot is None else pack.snapshot.contracts
    return {
        contract.version: int(path[3])
        for contract, path in zip(contracts, pack.contract_paths, strict=True)
        if contract.version is not None and contract.line == line and path[:3] == list_path
    }


def _copy_contract(contract: dict[str, Any], line: str, version: int) -> dict[str, Any]:
    """Return a copy of a contract with another version in its id and, if stated, in its schema_json."""
    copied = copy.deepcopy(contract)
    copied["contract_id"] = f"{line}:{version}"
    schema = copied.get("schema_json")
    if isinstance(schema, dict) and "contract_version" in schema:
        schema["contract_version"] = str(version) if isinstance(schema["contract_version"], str) else version
    return copied


def _insert_copy(text: str, path: JsonPath, contract: dict[str, Any]) -> str:
    """Return the text with `contract` after the contract at `path`, in the same layout."""
    values = {(*path, "contract_id"): contract["contract_id"]}
    schema = contract.get("schema_json")
    if isinstance(schema, dict) and "contract_version" in schema:
        values[*path, "schema_json", "contract_version"] = schema["contract_version"]
    spans = find_spans(text, [path, *values])
    begin, end = spans[path]
    copied = text[begin:end]
    # From the end, so that earlier offsets stay valid.
    for value_path in sorted(values, key=lambda value_path: spans[value_path], reverse=True):
        first, last = spans[value_path]
        copied = copied[: first - begin] + json.dumps(values[value_path]) + copied[last - begin :]
    blank = text[len(text[:begin].rstrip(" \t\r\n")) : begin]
    if not blank and path[-1] == 0:
        # The first item of an array on one line: the style of the object shows whether commas have a space.
        blank = " " if '": ' in copied else ""
    return f"{text[:end]},{blank}{copied}{text[end:]}"


def _append_first(text: str, path: JsonPath, count: int, contract: dict[str, Any]) -> str:
    """Return the text with the first contract of its kind at the end of the array at `path`."""
    begin, end = find_spans(text, [path])[path]
    line_begin = text.rfind("\n", 0, begin) + 1
    margin = _find_leading_blanks(text[line_begin:begin])
    newline = "\r\n" if "\r\n" in text else "\n"
    if "\n" in text:
        unit = _find_indentation(text)
        added = json.dumps(contract, indent=unit).replace("\n", newline + margin + unit)
        before, after = newline + margin + unit, newline + margin
    else:
        added, before, after = json.dumps(contract, separators=(",", ":")), "", ""
    items = text[begin + 1 : end - 1].rstrip(" \t\r\n")
    comma = "," if count else ""
    return f"{text[:begin]}[{items}{comma}{before}{added}{after}]{text[end:]}"


def _find_indentation(text: str) -> str:
    """Return the blanks of one level: those before the first member of the pack."""
    lines = (line for line in text.split("\n")[1:] if line.strip())
    return next(filter(None, map(_find_leading_blanks, lines)), "  ")


def _find_leading_blanks(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _refuse_other_changes(
    pack: ParsedPack, added: AddedVersion, path: JsonPath, index: int, contract: dict[str, Any]
) -> None:
    """Raise RefusedError if the new bytes have more changes than `contract` at an index, or a new problem."""
    result = parse_pack(added.data, pack.path)
    expected = copy.deepcopy(pack.read_document().value)
    expected["roles"][path[1]][path[2]].insert(index, contract)
    known = {_make_identity(problem) for problem in pack.problems}
    new = any(_make_identity(problem) not in known for problem in result.problems if problem.code != "RR016")
    if result.read_document().value != expected or new:
        message = f"{added.contract_id} cannot be added without another change"
        raise RefusedError(message, "add it by hand, and run `roles check`")


def _make_identity(problem: Problem) -> tuple[object, ...]:
    # A copied contract has the shape problems of its original.
    return ("RR020", problem.key) if problem.code == "RR020" else problem.identity
