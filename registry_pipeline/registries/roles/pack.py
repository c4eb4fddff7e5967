"""A parsed role pack, and the rules that it must follow whatever was published before (RR004 to RR010).

Parsed roles are cached by the hash of their text, because two versions of a pack differ in few roles.
"""

from __future__ import annotations

import gc
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final

from registry_pipeline.registries.roles.json_text import JsonPath, Lines, find_spans, format_id, quote_text
from registry_pipeline.registries.roles.pack_reader import (
    MAX_PROBLEMS,
    PackReader,
    dump_parsed_json,
    encode_compact,
    read_entry,
    states_version,
)
from registry_pipeline.registries.roles.snapshot import (
    CONTRACT_FIELDS,
    CONTRACT_ID,
    ROLE_FIELDS,
    SAFE_ID,
    Problem,
    RoleContractKind,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
    Subject,
    contract_version,
    has_valid_fields,
)
from registry_pipeline.registries.roles.strict_json import (
    MAX_DEPTH,
    StrictJson,
    is_deep,
    parse_strict_bytes,
    parse_strict_text,
)
from registry_pipeline.values import replace, value_type

_FIRST_ROLE: Final = re.compile(
    rb'(?<!\\)"roles"[ \t\r\n]*:[ \t\r\n]*\[([ \t\r\n]*)(\{[ \t\r\n]*"[A-Za-z_]{1,64}"[ \t\r\n]*:)'
)
_NEXT_OBJECT: Final = re.compile(rb"\},[ \t\r\n]*\{")
_KINDS: Final = tuple((kind, kind.value, kind.field) for kind in RoleContractKind)
# A colon may also be written as \\u003a.
_ESCAPED_COLON: Final = "\\u003"
# How deep a surface may be nested, inside the pack, its list of roles, the role, its list and the contract.
_SURFACE_DEPTH: Final = MAX_DEPTH - 5
_PLAIN: Final = json.JSONDecoder()
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
# Bounds the memory of a long-running process. The cache is cleared as a whole: that is rare.
_MAX_CACHED: Final = 1 << 14


@value_type(eq=False)
class ParsedPack:
    """A role pack; `path` is what findings name, and `problems` are those that need no baseline."""

    path: str
    data: bytes
    # None if the bytes have no JSON value or no array `roles`
    snapshot: RoleRegistrySnapshot | None
    problems: tuple[Problem, ...]
    # the JSON paths of the snapshot's roles and contracts, in its order
    role_paths: tuple[JsonPath, ...]
    contract_paths: tuple[JsonPath, ...]
    # the text with its value; None if the pack was read role by role
    document: StrictJson | None = None
    # the begin and end of each role in the bytes, if the pack was read role by role
    role_spans: tuple[tuple[int, int], ...] = ()

    def load(self) -> ParsedPack:
        """Return the pack itself, as `PastPack.load` does."""
        return self

    @property
    def sha256(self) -> str:
        """The sha256 of the pack's bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def text(self) -> str:
        """The text without a byte order mark."""
        return self.data.decode("utf-8") if self.document is None else self.document.text

    def read_document(self) -> StrictJson:
        """Return the text with its value."""
        return parse_strict_bytes(self.data) if self.document is None else self.document

    def location_of(self, subject_id: str) -> str | None:
        """Return `line:column` of a role_id or contract_id in the file, or None if the pack lacks it.

        Of a duplicated id it is the first one.
        """
        if self.snapshot is None:
            return None
        roles = zip(self.snapshot.roles, self.role_paths, strict=True)
        contracts = zip(self.snapshot.contracts, self.contract_paths, strict=True)
        paths = [(*path, "role_id") for role, path in roles if role.role_id == subject_id]
        paths += [(*path, "contract_id") for contract, path in contracts if contract.contract_id == subject_id]
        if not paths:
            return None
        text = self.text
        return Lines(text).location(find_spans(text, paths[:1])[paths[0]][0])


@value_type(eq=False)
class PastPack:
    """The snapshot of a pack of the history without its text; `load` reads the text again for a finding."""

    snapshot: RoleRegistrySnapshot | None
    load: Callable[[], ParsedPack]


@contextmanager
def without_collection() -> Iterator[None]:
    """Collect no garbage inside: a pack is many objects without cycles, and collecting takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@without_collection()
def parse_pack(data: bytes, path: str) -> ParsedPack:
    """Return a parsed role pack; `path` is what its findings name.

    Nothing is raised: invalid bytes are problems of the pack. Parsed roles are cached. Time is linear in the size.
    """
    return parse_pack_by_roles(data, path) or parse_whole_pack(data, path)


def parse_whole_pack(data: bytes, path: str) -> ParsedPack:
    """Return the same as `parse_pack`, without the cache of roles."""
    document = parse_strict_bytes(data)
    reader = PackReader(document)
    snapshot = reader.read_pack() if document.readable else None
    problems = (*reader.problems, *(find_pack_problems(snapshot) if snapshot is not None else ()))
    return ParsedPack(
        path, data, snapshot, problems, tuple(reader.role_paths), tuple(reader.contract_paths), document=document
    )


@value_type(eq=False)
class _Role:
    """A role that was read by itself; the JSON paths of its problems start with ("roles", 0) wherever it is."""

    entry: RoleSpecEntry
    contracts: tuple[RoleContractSurface, ...]
    # the field and the index of each contract
    contract_paths: tuple[tuple[str, int], ...]
    # those of its shape, and whether it breaks RR006 to RR009
    problems: tuple[Problem, ...]
    has_invalid_ids: bool


# Each role by the hash of its bytes.
_cache: dict[bytes, _Role] = {}


def clear_role_cache() -> None:
    """Clear the cache, for measurements and tests."""
    _cache.clear()


def parse_pack_by_roles(data: bytes, path: str) -> ParsedPack | None:
    """Return a pack that was read role by role, or None if it must be parsed as a whole.

    None means: the text is not strict JSON or cannot be cut, an id is duplicated or missing, or problems are too many.
    """
    spans = _find_role_spans(data)
    # (1) the text around the roles must be a strict pack with an empty list
    frame = parse_strict_bytes(data[: spans[0][0]] + data[spans[-1][1] :]) if spans else None
    if frame is None or frame.defects or not isinstance(frame.value, dict) or frame.value.get("roles") != []:
        return None
    # (2) each piece must be a strict object with a role_id
    read = [_read_cached(data[begin:end]) for begin, end in spans]
    roles = [role for role in read if role is not None]
    if len(roles) < len(read):
        return None
    # (3) problems of duplicated ids are numbered, which a role alone cannot know
    entries = tuple(role.entry for role in roles)
    contracts = tuple(contract for role in roles for contract in role.contracts)
    if len({entry.role_id for entry in entries}) < len(entries):
        return None
    if len({contract.contract_id for contract in contracts}) < len(contracts):
        return None
    reader = PackReader(frame)
    empty = reader.read_pack()
    problems = [
        *reader.problems,
        *(_move_to_index(item, index) for index, role in enumerate(roles) for item in role.problems),
    ]
    # Only a pack that is parsed as a whole limits how many problems of a code are listed.
    if empty is None or len(problems) >= MAX_PROBLEMS:
        return None
    snapshot = replace(empty, roles=entries, contracts=contracts)
    has_invalid_ids = any(role.has_invalid_ids for role in roles)
    return ParsedPack(
        path,
        data,
        snapshot,
        (*problems, *(find_pack_problems(snapshot) if has_invalid_ids else _check_aliases(snapshot))),
        tuple(("roles", index) for index in range(len(roles))),
        tuple(
            ("roles", index, field, number) for index, role in enumerate(roles) for field, number in role.contract_paths
        ),
        role_spans=tuple(spans),
    )


def _find_role_spans(data: bytes) -> list[tuple[int, int]]:
    """Return the likely begin and end of each role in the bytes of a pack; an empty list if they cannot be found."""
    match = _FIRST_ROLE.search(data)
    # The array must be in the outermost object: only one bracket is open before its key.
    if match is None or data.count(b"{", 0, match.start()) != 1:
        return []
    blanks, opening = match.groups()
    # In indented text a role starts on its own line. Otherwise its first key distinguishes it from a contract.
    if b"\n" not in blanks:
        blanks = b" " if b"}, " + opening in data else b""
    border = b"}," + blanks + (b"{" if b"\n" in blanks else opening)
    begin = match.start(2)
    # A pattern finds them twice as fast as `bytes.find`.
    ends = [found.start() + 1 for found in _NEXT_OBJECT.finditer(data, begin) if data.startswith(border, found.start())]
    begins = [begin, *(end + 1 + len(blanks) for end in ends)]
    try:
        last = data[begins[-1] :].decode("utf-8")
        ends.append(begins[-1] + len(last[: _DECODER.raw_decode(last)[1]].encode("utf-8")))
    except (ValueError, RecursionError):
        return []
    return list(zip(begins, ends, strict=True))


def _read_cached(data: bytes) -> _Role | None:
    # The hash instead of the text: the schemas of a role take far more memory than what is kept of it.
    digest = hashlib.sha256(data).digest()
    role = _cache.get(digest)
    if role is None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return None
        role = _read_valid_role(text) or _read_role(text)
        if role is None:
            return None
        if len(_cache) >= _MAX_CACHED:
            _cache.clear()
        _cache[digest] = role
    return role


def _read_valid_role(text: str) -> _Role | None:
    """Return the same as `_read_role` for a role without any problem; None if it has one, or if that is not proven.

    The text is strict because its surfaces and the rest of it have canonical bytes: numbers are in range, and no
    surrogate is alone. Canonical bytes have a colon for each key, and a duplicated key makes them fewer than in the
    text.
    """
    contracts: list[RoleContractSurface] = []
    paths: list[tuple[str, int]] = []
    colons = 0
    try:
        role, end = _PLAIN.raw_decode(text)
        if end < len(text) or ("\\" in text and _ESCAPED_COLON in text) or not isinstance(role, dict):
            return None
        if not has_valid_fields(role, ROLE_FIELDS):
            return None
        role_id = role["role_id"]
        if not all(map(SAFE_ID.fullmatch, (role_id, role["department_id"], *role["aliases"]))):
            return None
        for kind, letter, field in _KINDS:
            prefix = f"ROLE:{role_id}:{letter}:"
            for index, contract in enumerate(role[field]):
                if not has_valid_fields(contract, CONTRACT_FIELDS):
                    return None
                # Without the surface only the rest of the role is left to be proven.
                contract_id, schema = contract["contract_id"], contract.pop("schema_json")
                version = contract_version(contract_id)
                if version is None or not contract_id.startswith(prefix):
                    return None
                if "contract_version" in schema and not states_version(schema["contract_version"], version):
                    return None
                canonical = dump_parsed_json(schema)
                if canonical.count(b"{") + canonical.count(b"[") > _SURFACE_DEPTH and is_deep(schema, _SURFACE_DEPTH):
                    return None
                colons += canonical.count(b":") + 1
                digest = hashlib.sha256(canonical).hexdigest()
                contracts.append(RoleContractSurface(contract_id, role_id, kind, version, digest))
                paths.append((field, index))
        # Valid fields are texts and lists of texts.
        rest = encode_compact(role)
    except (ValueError, RecursionError):
        return None
    if colons + rest.count(b":") != text.count(":"):
        return None
    return _Role(read_entry(role_id, role), tuple(contracts), tuple(paths), (), has_invalid_ids=False)


def _read_role(text: str) -> _Role | None:
    """Return one role, or None if the text is no strict object with a role_id."""
    # Inside two arrays the role is nested as deep as in its pack.
    document = parse_strict_text(f"[[{text}]]")
    value = document.value
    for _ in range(2):
        value = value[0] if isinstance(value, list) and len(value) == 1 else None
    if document.defects or not isinstance(value, dict) or not isinstance(value.get("role_id"), str):
        return None
    reader = PackReader()
    reader.read_role(value, ("roles", 0))
    alone = RoleRegistrySnapshot(tuple(reader.roles), tuple(reader.contracts))
    has_invalid_ids = any(True for _ in chain(_check_roles(alone), _check_contracts(alone)))
    paths = tuple((str(path[2]), int(path[3])) for path in reader.contract_paths)
    return _Role(reader.roles[0], alone.contracts, paths, tuple(reader.problems), has_invalid_ids)


def _move_to_index(problem: Problem, index: int) -> Problem:
    path = problem.path
    return problem if path is None or index == 0 else replace(problem, path=("roles", index, *path[2:]))


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
