"""A pack, parsed once: what it declares, and the defects that its own bytes show (SPEC 9)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from registry_pipeline.registries.roles.json_positions import Lines, Place, find_spans
from registry_pipeline.registries.roles.pack_reader import PackReader
from registry_pipeline.registries.roles.parse_cache import ReadByRoles, read_by_roles
from registry_pipeline.registries.roles.problem import Problem
from registry_pipeline.registries.roles.rules_pack import find_pack_problems
from registry_pipeline.registries.roles.snapshot import RoleRegistrySnapshot
from registry_pipeline.registries.roles.strict_json import StrictJson, read_strict_json
from registry_pipeline.values import value_type


@value_type(eq=False)
class ParsedPack:
    """A RolePack and all that its bytes alone tell.

    `path` is what findings name. `snapshot` is None where the bytes have no JSON value, and where there is no array
    `roles`: nothing is declared that could be compared. `offences` are the pack's own defects. `read` is None where
    the pack was read role by role: what is wanted of its text is then read again.
    """

    path: str
    data: bytes
    snapshot: RoleRegistrySnapshot | None
    offences: tuple[Problem, ...]
    read: StrictJson | None = None
    by_roles: ReadByRoles | None = None
    places: tuple[tuple[Place, ...], tuple[Place, ...]] = ((), ())

    def whole(self) -> ParsedPack:
        """Return the pack itself, as `PastPack` does."""
        return self

    @property
    def sha256(self) -> str:
        """The sha256 of the pack's bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def readable(self) -> bool:
        """Whether the bytes have a JSON value."""
        return self.read is None or self.read.readable

    def read_again(self) -> StrictJson:
        """Return the text and its value."""
        return read_strict_json(self.data) if self.read is None else self.read

    @property
    def role_places(self) -> tuple[Place, ...]:
        """Return where the roles of the snapshot stand, in its order."""
        if self.by_roles is None:
            return self.places[0]
        return tuple(("roles", index) for index in range(len(self.by_roles.readings)))

    @property
    def contract_places(self) -> tuple[Place, ...]:
        """Return where the contracts of the snapshot stand, in its order."""
        return self.places[1] if self.by_roles is None else tuple(self.by_roles.contract_places())

    def location_of(self, subject_id: str) -> str | None:
        """Return `line:column` of a role_id or contract_id in the file, None where it does not stand there."""
        if self.snapshot is None:
            return None
        ids = [role.role_id for role in self.snapshot.roles] + [each.contract_id for each in self.snapshot.contracts]
        if subject_id not in ids:
            return None
        index, roles = ids.index(subject_id), len(self.snapshot.roles)
        place = (
            (*self.role_places[index], "role_id")
            if index < roles
            else (*self.contract_places[index - roles], "contract_id")
        )
        text = self.read_again().text
        return Lines(text).location(find_spans(text, [place])[place][0])


@value_type(eq=False)
class PastPack:
    """A pack of the past: what it declared, without its text; `whole` reads it again where something is told of it."""

    snapshot: RoleRegistrySnapshot | None
    whole: Callable[[], ParsedPack]


def parse_pack(data: bytes, path: str) -> ParsedPack:
    """Parse a RolePack; `path` is what its findings name.

    Bad bytes are told and never raised. Time is linear in the size.
    """
    by_roles = read_by_roles(data)
    if by_roles is not None:
        return ParsedPack(path, data, by_roles.snapshot, by_roles.offences, by_roles=by_roles)
    return parse_whole_pack(data, path)


def parse_whole_pack(data: bytes, path: str) -> ParsedPack:
    """Parse a RolePack at once, as `parse_pack` does where it cannot be read role by role."""
    read = read_strict_json(data)
    reader = PackReader(read)
    snapshot = reader.snapshot() if read.readable else None
    own = find_pack_problems(snapshot) if snapshot is not None else []
    places = (tuple(reader.role_places), tuple(reader.contract_places))
    return ParsedPack(path, data, snapshot, (*reader.offences, *own), read, places=places)
