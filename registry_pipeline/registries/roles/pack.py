"""A parsed role pack: its snapshot and the problems that need no baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from registry_pipeline.registries.roles.json_positions import JsonPath, Lines, find_spans
from registry_pipeline.registries.roles.pack_reader import PackReader
from registry_pipeline.registries.roles.parse_cache import PackByRoles, read_by_roles
from registry_pipeline.registries.roles.problem import Problem
from registry_pipeline.registries.roles.rules_pack import find_pack_problems
from registry_pipeline.registries.roles.snapshot import RoleRegistrySnapshot
from registry_pipeline.registries.roles.strict_json import StrictJson, read_strict_json
from registry_pipeline.values import value_type


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
