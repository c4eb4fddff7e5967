"""A parsed role pack, and a cache of parsed roles by the hash of their text: versions differ in few roles.

`benchmarks/roles_history.py` is six times faster with the cache, and a check against a baseline three times.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from registry_pipeline.registries.roles.json_text import JsonPath, Lines, find_spans
from registry_pipeline.registries.roles.pack_reader import MAX_PROBLEMS, PackReader
from registry_pipeline.registries.roles.rules_pack import (
    find_alias_problems,
    find_contract_problems,
    find_pack_problems,
    find_role_problems,
)
from registry_pipeline.registries.roles.snapshot import (
    Problem,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)
from registry_pipeline.registries.roles.strict_json import StrictJson, read_strict_json
from registry_pipeline.values import replace, value_type

_FIRST_ROLE: Final = re.compile(
    rb'(?<!\\)"roles"[ \t\r\n]*:[ \t\r\n]*\[([ \t\r\n]*)(\{[ \t\r\n]*"[A-Za-z_]{1,64}"[ \t\r\n]*:)'
)
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
# Bounds the memory of a long-running process. The cache is cleared as a whole: that is rare.
_MAX_CACHED: Final = 1 << 14
# A pack with more problems is parsed as a whole, which knows the limits of what is listed.
_MAX_PROBLEMS: Final = MAX_PROBLEMS // 2


@value_type(eq=False)
class ParsedRole:
    """The content and the problems of one role's text; its JSON paths start with ("roles", 0) wherever it is."""

    entry: RoleSpecEntry
    contracts: tuple[RoleContractSurface, ...]
    contract_paths: tuple[JsonPath, ...]
    shape_problems: tuple[Problem, ...]
    role_problems: tuple[Problem, ...]
    contract_problems: tuple[Problem, ...]


@value_type(eq=False)
class PackByRoles:
    """A pack that was read role by role; `spans` are the byte offsets of the roles."""

    snapshot: RoleRegistrySnapshot
    problems: tuple[Problem, ...]
    roles: tuple[ParsedRole, ...]
    spans: tuple[tuple[int, int], ...]

    def contract_paths(self) -> Iterator[JsonPath]:
        """Yield the JSON paths of the snapshot's contracts, in its order."""
        for index, role in enumerate(self.roles):
            for path in role.contract_paths:
                yield ("roles", index, *path[2:])


class RoleTexts:
    """The text and the value of single roles of a pack that was read role by role."""

    def __init__(self, data: bytes, spans: Sequence[tuple[int, int]]) -> None:
        self._data = data
        self._spans = spans
        self._begins: list[int] = []
        self._values: dict[int, Any] = {}

    def value(self, index: int) -> Any:
        """Return the value of a role."""
        if index not in self._values:
            self._values[index] = json.loads(self.text(index))
        return self._values[index]

    def text(self, index: int) -> str:
        """Return the text of a role."""
        begin, end = self._spans[index]
        return self._data[begin:end].decode("utf-8")

    def begin(self, index: int) -> int:
        """Return the offset of a role's first character in the text of the pack."""
        if not self._begins:
            characters = previous = 0
            for begin, _ in self._spans:
                characters += len(self._data[previous:begin].decode("utf-8"))
                previous = begin
                self._begins.append(characters)
        return self._begins[index]


_cache: dict[bytes, ParsedRole] = {}


def clear_role_cache() -> None:
    """Clear the cache, for measurements and tests."""
    _cache.clear()


def read_by_roles(data: bytes) -> PackByRoles | None:
    """Return a pack that was read role by role, or None if it must be parsed as a whole.

    None means: the text is not strict JSON or cannot be cut, an id is duplicated, or a role has none.
    """
    pieces = _cut_at_roles(data)
    if pieces is None:
        return None
    # (1) the text around the roles must be a strict pack with an empty list
    frame = read_strict_json(pieces[0])
    if frame.defects or not isinstance(frame.value, dict) or frame.value.get("roles") != []:
        return None
    # (2) each piece must be a strict object with a role_id
    roles: list[ParsedRole] = []
    problems = 0
    for begin, end in pieces[1]:
        role = _read_cached(data[begin:end])
        problems += 0 if role is None else len(role.shape_problems)
        if role is None or problems > _MAX_PROBLEMS:
            return None
        roles.append(role)
    # (3) the ids must be unique over the whole pack
    return _join(frame, roles, pieces[1])


def _cut_at_roles(data: bytes) -> tuple[bytes, list[tuple[int, int]]] | None:
    """Return the pack with an empty array of roles, and the likely spans of its roles; None if none are found."""
    match = _FIRST_ROLE.search(data)
    # The array must be in the outermost object: only one bracket is open before its key.
    if match is None or data.count(b"{", 0, match.start()) != 1:
        return None
    blanks, opening = match.groups()
    # In indented text a role starts on its own line. Otherwise its first key distinguishes it from a contract.
    if b"\n" not in blanks:
        blanks = b" " if b"}, " + opening in data else b""
    border = b"}," + blanks + (b"{" if b"\n" in blanks else opening)
    spans: list[tuple[int, int]] = []
    begin = match.start(2)
    while (end := data.find(border, begin)) >= 0:
        spans.append((begin, end + 1))
        begin = end + 2 + len(blanks)
    try:
        rest = data[begin:].decode("utf-8")
        length = len(rest[: _DECODER.raw_decode(rest)[1]].encode("utf-8"))
    except (ValueError, RecursionError):
        return None
    spans.append((begin, begin + length))
    return data[: match.start(2)] + data[begin + length :], spans


def _read_cached(piece: bytes) -> ParsedRole | None:
    digest = hashlib.sha256(piece).digest()
    role = _cache.get(digest)
    if role is None:
        role = _read_role(piece)
        if role is not None:
            if len(_cache) >= _MAX_CACHED:
                _cache.clear()
            _cache[digest] = role
    return role


def _read_role(piece: bytes) -> ParsedRole | None:
    # Inside two arrays the role is nested as deep as in its pack.
    document = read_strict_json(b"[[" + piece + b"]]")
    value = document.value
    for _ in range(2):
        value = value[0] if isinstance(value, list) and len(value) == 1 else None
    if document.defects or not isinstance(value, dict) or not isinstance(value.get("role_id"), str):
        return None
    reader = PackReader()
    reader.read_role(value, ("roles", 0))
    return ParsedRole(
        reader.roles[0],
        tuple(reader.contracts),
        tuple(reader.contract_paths),
        tuple(reader.problems),
        tuple(find_role_problems(reader.roles)),
        tuple(find_contract_problems(reader.contracts)),
    )


def _join(frame: StrictJson, roles: Sequence[ParsedRole], spans: Sequence[tuple[int, int]]) -> PackByRoles | None:
    entries = tuple(role.entry for role in roles)
    contracts = tuple(contract for role in roles for contract in role.contracts)
    # Problems of duplicated ids are numbered, which a role alone cannot know.
    if len({entry.role_id for entry in entries}) < len(entries):
        return None
    if len({contract.contract_id for contract in contracts}) < len(contracts):
        return None
    reader = PackReader(frame)
    empty = reader.read_pack()
    if empty is None or len(reader.problems) > _MAX_PROBLEMS:
        return None
    # The order of `parse_whole_pack`: shape, then the rules of roles, aliases and contracts.
    problems = (
        *reader.problems,
        *(_move(problem, index) for index, role in enumerate(roles) for problem in role.shape_problems),
        *(problem for role in roles for problem in role.role_problems),
        *find_alias_problems(entries),
        *(problem for role in roles for problem in role.contract_problems),
    )
    snapshot = replace(empty, roles=entries, contracts=contracts)
    return PackByRoles(snapshot, problems, tuple(roles), tuple(spans))


def _move(problem: Problem, index: int) -> Problem:
    path = problem.path
    return problem if path is None or index == 0 else replace(problem, path=("roles", index, *path[2:]))


@value_type(eq=False)
class ParsedPack:
    """A role pack.

    Attributes:
        path: the path that findings name.
        snapshot: None if the bytes have no JSON value or no array `roles`.
        problems: the problems that need no baseline.
        document, paths: the text with its value, and the paths of roles and of contracts; only if read as a whole.
        by_roles: the pack as it was read role by role; then the text is parsed again when it is needed.
    """

    path: str
    data: bytes
    snapshot: RoleRegistrySnapshot | None
    problems: tuple[Problem, ...]
    document: StrictJson | None = None
    by_roles: PackByRoles | None = None
    paths: tuple[tuple[JsonPath, ...], tuple[JsonPath, ...]] = ((), ())

    def load(self) -> ParsedPack:
        """Return the pack itself, as `PastPack.load` does."""
        return self

    @property
    def sha256(self) -> str:
        """The sha256 of the pack's bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def readable(self) -> bool:
        """Whether the bytes have a JSON value."""
        return self.document is None or self.document.readable

    def read_document(self) -> StrictJson:
        """Return the text with its value."""
        return read_strict_json(self.data) if self.document is None else self.document

    @property
    def role_paths(self) -> tuple[JsonPath, ...]:
        """The JSON paths of the snapshot's roles, in its order."""
        if self.by_roles is None:
            return self.paths[0]
        return tuple(("roles", index) for index in range(len(self.by_roles.roles)))

    @property
    def contract_paths(self) -> tuple[JsonPath, ...]:
        """The JSON paths of the snapshot's contracts, in its order."""
        return self.paths[1] if self.by_roles is None else tuple(self.by_roles.contract_paths())

    def location_of(self, subject_id: str) -> str | None:
        """Return `line:column` of a role_id or contract_id in the file, or None if the pack does not contain it."""
        if self.snapshot is None:
            return None
        roles = zip(self.snapshot.roles, self.role_paths, strict=True)
        contracts = zip(self.snapshot.contracts, self.contract_paths, strict=True)
        paths = [(*path, "role_id") for role, path in roles if role.role_id == subject_id]
        paths += [(*path, "contract_id") for contract, path in contracts if contract.contract_id == subject_id]
        if not paths:
            return None
        text = self.read_document().text
        return Lines(text).location(find_spans(text, paths[:1])[paths[0]][0])


@value_type(eq=False)
class PastPack:
    """The snapshot of a pack of the history without its text; `load` reads the text again for a finding."""

    snapshot: RoleRegistrySnapshot | None
    load: Callable[[], ParsedPack]


def parse_pack(data: bytes, path: str) -> ParsedPack:
    """Return a parsed role pack; `path` is what its findings name.

    Nothing is raised: invalid bytes are problems of the pack. Time is linear in the size.
    """
    by_roles = read_by_roles(data)
    if by_roles is not None:
        return ParsedPack(path, data, by_roles.snapshot, by_roles.problems, by_roles=by_roles)
    return parse_whole_pack(data, path)


def parse_whole_pack(data: bytes, path: str) -> ParsedPack:
    """Return the same as `parse_pack`, without the cache of roles."""
    document = read_strict_json(data)
    reader = PackReader(document)
    snapshot = reader.read_pack() if document.readable else None
    problems = (*reader.problems, *(find_pack_problems(snapshot) if snapshot is not None else ()))
    paths = (tuple(reader.role_paths), tuple(reader.contract_paths))
    return ParsedPack(path, data, snapshot, problems, document, paths=paths)
