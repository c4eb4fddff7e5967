"""`roles bump`: the next version of a role's contract, written into the pack and nowhere else."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Final

from registry_pipeline.canon import sha256_hex
from registry_pipeline.config import Governed
from registry_pipeline.files.atomic_write import replace_file
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.roles.next_version import AddedVersion, add_next_version
from registry_pipeline.roles.snapshot import RoleContractKind
from registry_pipeline.sources.role_packs import read_pack_file
from registry_pipeline.values import value_type

WAIT_SECONDS: Final = 30.0
"""How long a bump waits for another one."""


@value_type
class Bumped:
    """What a bump did: the pack, as people name it, and what was added to it; `written` is false for a dry run."""

    pack: str
    added: AddedVersion
    written: bool


def bump_contract(governed: Governed, role_id: str, kind: RoleContractKind, *, write: bool = True) -> Bumped:
    """Add the next version of a role's contract to the configured pack; no other line of it changes.

    The lock is held from the read to the write, so that a second bump adds to what the first one wrote. It is in the
    cache folder beside publish_root, which git ignores: nothing appears beside the pack. A dry run takes no lock.

    Raises:
        NotFoundError: the pack cannot be read, or has no such role (exit 7).
        RefusedError: the pack is too defective to be added to, or there is no next version (exit 5).
        BusyError: another bump took longer than `WAIT_SECONDS`, or an editor changed the pack meanwhile (exit 6).
        WriteError: the disk refused; the pack is as it was (exit 1).
    """
    shown = governed.config.roles.pack
    path = governed.path(shown)
    lock = governed.state_root / "cache" / "role_pack.lock"
    with (
        hold_lock(lock, governed.root, "`roles bump`", wait_seconds=WAIT_SECONDS, make_folder=True)
        if write
        else nullcontext()
    ):
        data = read_pack_file(path, shown, governed.root)
        added = add_next_version(data, role_id, kind, shown)
        if write:
            replace_file(path, added.data, sha256_hex(data))
    return Bumped(shown, added, write)
