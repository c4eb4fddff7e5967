"""`roles bump`: the next version of a role's contract, written into the pack and nowhere else (SPEC 9)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from registry_pipeline.config import Governed
from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.roles import AddedVersion, RoleContractKind, add_next_version
from registry_pipeline.sources.role_packs import read_pack_file


@dataclass(frozen=True, slots=True)
class Bumped:
    """What a bump did: the pack, as people name it, and what was added to it; `written` is false for a dry run."""

    pack: str
    added: AddedVersion
    written: bool


def bump_contract(governed: Governed, role_id: str, kind: RoleContractKind, *, write: bool = True) -> Bumped:
    """Add the next version of a role's contract to the configured pack; no other line of it changes.

    The pack is replaced whole, so that a reader sees the old one or the new one.

    Raises:
        NotFoundError: the pack cannot be read or written, or has no such role.
        RefusedError: the pack is too defective to be added to, or there is no next version.
        BusyError: the pack was changed by somebody else meanwhile; nothing was written.
    """
    shown = governed.config.roles.pack
    place = governed.path(shown)
    data = read_pack_file(place, shown, governed.root)
    added = add_next_version(data, role_id, kind, shown)
    if write:
        try:
            _replace(place, data, added.data)
        except OSError as error:
            raise NotFoundError(f"{shown} cannot be written: {error.strerror}", "mend its permissions") from None
    return Bumped(shown, added, write)


def _replace(place: Path, before: bytes, after: bytes) -> None:
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    mode = stat.S_IMODE(place.stat().st_mode)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        _refuse_changed(place, before)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refuse_changed(place: Path, before: bytes) -> None:
    if place.is_symlink() or place.read_bytes() != before:
        raise BusyError(f"{place.name} was changed meanwhile; nothing was written", "run the command again")
