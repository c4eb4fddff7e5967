"""Read a role pack strictly, with the hash of each contract surface (RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.registries.roles.json_text import JsonPath, format_id, format_pointer, format_value, quote_text
from registry_pipeline.registries.roles.snapshot import (
    CONTRACT_FIELDS,
    PACK_FIELDS,
    ROLE_FIELDS,
    ContractSurfaceHash,
    Problem,
    RoleContractKind,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
    ShapeCheck,
    contract_version,
)
from registry_pipeline.registries.roles.strict_json import JsonDefect, StrictJson

# For what orjson does not write. One encoder for all surfaces, because `JSONEncoder.encode` makes a new one for each.
# The C function that json itself calls; typeshed does not declare it. Its arguments: no check for cycles, no default,
# ..., sorted keys, no NaN.
_encode: Final[Callable[[object, int], tuple[str, ...]]] = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    *(None, None, json.encoder.encode_basestring, None), *(":", ","), *(True, False, False)
)
# Makes every digit and sign a zero and every `e` a point: then a number that RFC 8785 may write in another way than
# orjson or Python has 0.0 or sixteen zeros. A text inside a string may look like one, too.
_SHAPES: Final = bytes.maketrans(b"123456789-+e", b"00000000000.")
_SIXTEEN_DIGITS: Final = b"0" * 16
# The fraction of a number, or the begin of one whose exponent or size is a case for the library.
_SPECIAL_NUMBER: Final = re.compile(r"[0-9](?:\.([0-9]+)(e?)|e|[0-9]{15})")
_AFTER_SURROGATES: Final = re.compile("[\ue000-\uffff]")


def canonical_json_sha256(value: object) -> ContractSurfaceHash:
    """Return the sha256 of the RFC 8785 bytes of a JSON value, as 64 hexadecimal digits.

    Raises:
        ValueError: the value has no canonical bytes, such as NaN, an integer beyond 2^53-1, or a lone surrogate.
    """
    return ContractSurfaceHash(hashlib.sha256(_dump_by_library(value)).hexdigest())


def _dump_by_library(value: object) -> bytes:
    import rfc8785  # noqa: PLC0415 - most surfaces take the fast way below

    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parsed_json_sha256(value: dict[str, Any]) -> str:
    """Return the same as `canonical_json_sha256`, but several times faster, for an object from a JSON parser."""
    return hashlib.sha256(dump_parsed_json(value)).hexdigest()


def encode_compact(value: dict[str, Any]) -> bytes:
    """Return an object as JSON in UTF-8, without blanks and with sorted keys.

    Raises:
        ValueError: a number is NaN or infinite, or a text has a lone surrogate.
    """
    data = None if next(_surface_numbers) < _FEW_SURFACES else _encode_by_orjson(value)
    return "".join(_encode(value, 0)).encode("utf-8") if data is None else data


# Importing orjson takes as long as writing so many surfaces with json.
_FEW_SURFACES: Final = 400
_surface_numbers: Final = itertools.count()


def _encode_by_orjson(value: dict[str, Any]) -> bytes | None:
    """Return what `encode_compact` returns, or None if it is not sure."""
    import orjson  # noqa: PLC0415 - see above

    try:
        data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # An integer of more than 64 bits, a lone surrogate, or deep nesting: json writes or refuses these as stated.
        return None
    # A number that is not finite is written as null.
    return None if b"null" in data else data


def dump_parsed_json(value: dict[str, Any]) -> bytes:
    """Return the RFC 8785 bytes of an object from a JSON parser; raises as `canonical_json_sha256`."""
    data = encode_compact(value)
    shape = data.translate(_SHAPES)
    # RFC 8785 sorts keys by UTF-16 units, the encoders by code points. Only characters above U+FFFF get another order,
    # and only among those from U+E000 to U+FFFF.
    if not data.isascii() and _AFTER_SURROGATES.search(text := data.decode("utf-8")) and max(text) > "\uffff":
        return _dump_by_library(value)
    if b"0.0" not in shape and _SIXTEEN_DIGITS not in shape:
        return data
    rewritten = _rewrite_numbers(data.decode("utf-8"))
    return _dump_by_library(value) if rewritten is None else rewritten.encode("utf-8")


def _rewrite_numbers(text: str) -> str | None:
    """Return compact JSON with its numbers as RFC 8785 writes them, or None if that is not sure."""
    # Without this pair of characters every quote is the begin or the end of a string.
    if '\\"' in text:
        return None
    pieces: list[str] = []
    begin = counted = quotes = 0
    for match in _SPECIAL_NUMBER.finditer(text):
        point = match.start() + 1
        quotes += text.count('"', counted, point)
        counted = point
        if quotes % 2:
            continue  # inside a string
        if match[1] is None or match[2]:
            return None
        if match[1] == "0":
            # 1.0 is written as 1, and -0.0 as 0.
            pieces.append(text[begin : point - 2] + "0" if text.endswith("-0", 0, point) else text[begin:point])
            begin = match.end()
    return "".join(pieces) + text[begin:]


# How many problems of one code are listed; further ones are summed up in one.
MAX_PROBLEMS: Final = 50_000


class PackReader:
    """Reads a pack, or single roles of one, and collects roles, contracts and problems with their JSON paths."""

    def __init__(self, document: StrictJson | None = None) -> None:
        self.problems: list[Problem] = []
        self.roles: list[RoleSpecEntry] = []
        self.contracts: list[RoleContractSurface] = []
        self.role_paths: list[JsonPath] = []
        self.contract_paths: list[JsonPath] = []
        self._value = None if document is None else document.value
        self._text = "" if document is None else document.text
        self._counts: Counter[str] = Counter()
        self._occurrences: Counter[tuple[str, str]] = Counter()
        self._defective_surfaces: set[JsonPath] = set()
        # Defects of the text come first: they decide which surfaces have a hash.
        for defect in () if document is None else document.defects:
            self._add_defect(defect)

    def read_pack(self) -> RoleRegistrySnapshot | None:
        """Return the snapshot of the whole pack, or None if it has no array `roles`; problems are in `problems`."""
        pack = self._value
        if not isinstance(pack, dict):
            fillers = {"what": "the pack", "detail": "is not an object"}
            self._add(Problem("RR020", (), fillers, expected="an object", got=format_value(pack), path=()))
            return None
        self._check_fields("the pack", (), pack, (), PACK_FIELDS, "")
        roles = pack.get("roles")
        if not isinstance(roles, list):
            return None
        for index, role in enumerate(roles):
            if isinstance(role, dict):
                self.read_role(role, ("roles", index))
        self._add_unlisted()
        header = {key: _string_or_none(pack.get(key)) for key in ("pack_id", "pack_version", "spec_id")}
        return RoleRegistrySnapshot(tuple(self.roles), tuple(self.contracts), **header)

    def read_role(self, role: dict[str, Any], path: JsonPath) -> None:
        """Add a role and its contracts with their problems; a role without a role_id adds its problems only."""
        role_id = role.get("role_id")
        if not isinstance(role_id, str):
            pointer = format_pointer(path)
            self._check_fields(f"role {pointer}", (), role, path, ROLE_FIELDS, pointer)
            return
        key = self._count_occurrence("role", role_id)
        self._check_fields(f"role {format_id(role_id)}", (role_id,), role, path, ROLE_FIELDS, key)
        self.roles.append(read_entry(role_id, role))
        self.role_paths.append(path)
        for kind in RoleContractKind:
            contracts = role.get(kind.field)
            for index, contract in enumerate(contracts if isinstance(contracts, list) else ()):
                if isinstance(contract, dict):
                    self._read_contract(contract, (*path, kind.field, index), role_id, kind)

    def _read_contract(self, contract: dict[str, Any], path: JsonPath, role_id: str, kind: RoleContractKind) -> None:
        contract_id = contract.get("contract_id")
        if not isinstance(contract_id, str):
            label = f"a contract of role {format_id(role_id)}"
            self._check_fields(label, (role_id,), contract, path, CONTRACT_FIELDS, format_pointer(path[2:]))
            return
        key = self._count_occurrence("contract", contract_id)
        ids = (role_id, contract_id)
        self._check_fields(f"contract {format_id(contract_id)}", ids, contract, path, CONTRACT_FIELDS, key)
        version = contract_version(contract_id)
        schema, schema_path = contract.get("schema_json"), (*path, "schema_json")
        # A schema with a defect in its text has no canonical bytes.
        has_hash = isinstance(schema, dict) and schema_path not in self._defective_surfaces
        digest = parsed_json_sha256(schema) if isinstance(schema, dict) and has_hash else None
        self.contract_paths.append(path)
        self.contracts.append(RoleContractSurface(contract_id, role_id, kind, version, digest))
        if not isinstance(schema, dict) or digest is None or version is None or "contract_version" not in schema:
            return
        stated = schema["contract_version"]
        if not states_version(stated, version):
            got = format_value(stated)
            fillers = {"id": contract_id, "detail": got}
            stated_path = (*schema_path, "contract_version")
            self._add(Problem("RR016", ids, fillers, expected=str(version), got=got, path=stated_path))

    def _count_occurrence(self, kind: str, subject_id: str) -> str:
        """Count one more occurrence of an id; return `#2`, `#3` ... for a duplicate, and "" for the first."""
        self._occurrences[kind, subject_id] += 1
        count = self._occurrences[kind, subject_id]
        return f"#{count}" if count > 1 else ""

    def _add(self, problem: Problem) -> None:
        self._counts[problem.code] += 1
        if self._counts[problem.code] <= MAX_PROBLEMS:
            self.problems.append(problem)

    def _add_unlisted(self) -> None:
        digest = hashlib.sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()
        for code in sorted(code for code, count in self._counts.items() if count > MAX_PROBLEMS):
            detail = f"more than {MAX_PROBLEMS} findings of {code}; the rest is not listed"
            fillers = {"what": "the pack", "detail": detail}
            # The unlisted problems are unknown, so only the same text has the same ones.
            self.problems.append(Problem("RR020", (), fillers, key=f"more {code}", got=f"a text with sha256 {digest}"))

    def _add_defect(self, defect: JsonDefect) -> None:
        """Add a defect of the text, with the role and contract that contain it."""
        path = inner_path = defect.path
        ids: tuple[str, ...] = ()
        if len(path) >= 2 and path[0] == "roles":
            role_id = _find_value(self._value, (*path[:2], "role_id"))
            contract_id = _find_value(self._value, (*path[:4], "contract_id")) if len(path) > 4 else None
            if path[4:5] == ("schema_json",):
                self._defective_surfaces.add(path[:5])
            ids = tuple(subject_id for subject_id in (role_id, contract_id) if isinstance(subject_id, str))
            inner_path = path[4:] if isinstance(contract_id, str) else path[2:] if ids else path
        where = f" (in {', '.join(map(format_id, ids))})" if ids else ""
        # The identity distinguishes a new defect from an old one at the same path.
        key = f"{format_pointer(inner_path)} {defect.identity}"
        self._add(Problem(defect.code, ids, {"detail": defect.detail, "where": where}, key=key, offset=defect.offset))

    def _check_fields(
        self,
        label: str,
        ids: tuple[str, ...],
        value: dict[str, Any],
        path: JsonPath,
        fields: Mapping[str, ShapeCheck],
        key: str,
    ) -> None:
        """Add the missing, mistyped and unknown members of one object."""
        # The list is full: checking further fields would only cost time.
        if self._counts["RR020"] > MAX_PROBLEMS:
            return

        def add(
            pointer: str, inner: JsonPath, detail: str, expected: str | None = None, got: str | None = None
        ) -> None:
            fillers = {"what": label, "detail": detail}
            problem = Problem("RR020", ids, fillers, key + pointer, expected, got, path=(*path, *inner))
            self._add(problem)

        for name, check in fields.items():
            if name not in value:
                add(f"/{name}", (), f"{name} is missing")
                continue
            for inner, expected in check(value[name]):
                pointer = format_pointer((name, *inner))
                got = format_value(_find_value(value[name], inner))
                add(pointer, (name, *inner), f"{pointer[1:]} is not {expected}", expected, got)
        for name in sorted(value.keys() - fields.keys()):
            close = did_you_mean(name, fields)
            hint = f"; did you mean {close}?" if close else ""
            add(f"/{name}", (name,), f"unknown field {quote_text(name)}{hint}", got=quote_text(name))


def states_version(stated: Any, version: int) -> bool:
    """Return whether the `contract_version` of a surface is the version in its contract_id."""
    return not isinstance(stated, bool) and stated in (version, str(version))


def read_entry(role_id: str, role: dict[str, Any]) -> RoleSpecEntry:
    """Return a role without its contracts."""
    return RoleSpecEntry(
        role_id,
        _string_or_none(role.get("department_id")),
        _string_or_none(role.get("display_name")),
        _strings_or_none(role.get("aliases")) or (),
        _string_or_none(role.get("lifecycle")),
        _strings_or_none(role.get("modes_supported")),
        _strings_or_none(role.get("content_profiles_supported")),
        _strings_or_none(role.get("claim_features")),
        _strings_or_none(role.get("allowed_models")),
        _strings_or_none(role.get("allowed_tools")),
        _string_or_none(role.get("vocab_namespace")),
        _string_or_none(role.get("proposal_policy")),
    )


def _string_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _strings_or_none(value: Any) -> tuple[str, ...] | None:
    return tuple([item for item in value if isinstance(item, str)]) if isinstance(value, list) else None


def _find_value(value: Any, path: JsonPath) -> Any:
    """Return the value at a path, or None if there is none."""
    try:
        for part in path:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return None
    return value
