"""A pack, parsed once: what it declares, and the defects that its own bytes show (SPEC 9)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from registry_pipeline.roles.offence import Offence
from registry_pipeline.roles.own_rules import find_own_offences
from registry_pipeline.roles.pack_reader import PackReader
from registry_pipeline.roles.positions import Lines, Place, find_spans
from registry_pipeline.roles.snapshot import RoleRegistrySnapshot
from registry_pipeline.roles.strict_json import read_strict_json


@dataclass(frozen=True, slots=True, eq=False)
class ParsedPack:
    """A RolePack and all that its bytes alone tell.

    `path` is what findings name. `readable` is False where the bytes have no JSON value; `snapshot` is None there, and
    where there is no array `roles`: nothing is declared that could be compared. `offences` are the pack's own defects.
    `role_places` and `contract_places` are where the roles and contracts of the snapshot stand, in its order.
    """

    path: str
    data: bytes
    text: str
    readable: bool
    value: Any
    snapshot: RoleRegistrySnapshot | None
    offences: tuple[Offence, ...]
    role_places: tuple[Place, ...] = ()
    contract_places: tuple[Place, ...] = ()

    @property
    def sha256(self) -> str:
        """The sha256 of the pack's bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def location_of(self, subject_id: str) -> str | None:
        """Return `line:column` of a role_id or contract_id in the file, None where it does not stand there."""
        if self.snapshot is None:
            return None
        ids = [role.role_id for role in self.snapshot.roles] + [each.contract_id for each in self.snapshot.contracts]
        if subject_id not in ids:
            return None
        index, roles = ids.index(subject_id), len(self.role_places)
        place = (
            (*self.role_places[index], "role_id")
            if index < roles
            else (*self.contract_places[index - roles], "contract_id")
        )
        return Lines(self.text).location(find_spans(self.text, [place])[place][0])


def parse_pack(data: bytes, path: str) -> ParsedPack:
    """Parse a RolePack; `path` is what its findings name.

    Bad bytes are told and never raised. Time is linear in the size.
    """
    read = read_strict_json(data)
    reader = PackReader(read)
    snapshot = reader.snapshot() if read.readable else None
    own = find_own_offences(snapshot) if snapshot is not None else []
    return ParsedPack(
        path,
        data,
        read.text,
        read.readable,
        read.value,
        snapshot,
        (*reader.offences, *own),
        tuple(reader.role_places),
        tuple(reader.contract_places),
    )
