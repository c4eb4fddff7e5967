"""The role registry: append-only ids and immutable contracts of a RolePack (SPEC 9, seed 002).

Holds the strict parser with positions, the surface hashes, the rules, waivers, and the next version of a contract:
`check_` compares, `parse_` reads bytes, `add_` returns new bytes. Keeps out files, git, the clock and the diagnostics
store: bytes and days come in, violations and bytes go out. The registry's builder stands here too, as only this room
hashes surfaces. May import `model`, `canon`, `errors` and rfc8785, which is imported here and nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from registry_pipeline.roles.check import check_against, could_not_check, find_own_violations, validate
    from registry_pipeline.roles.difference import Difference
    from registry_pipeline.roles.document import registry_document
    from registry_pipeline.roles.history import PublishedCommit, check_history, publishers
    from registry_pipeline.roles.next_version import AddedVersion, add_next_version
    from registry_pipeline.roles.pack import ParsedPack, PastPack, parse_pack
    from registry_pipeline.roles.sealed import (
        SealedCheck,
        check_sealed_run,
        comparison_record,
        find_pack,
        read_sealed_check,
    )
    from registry_pipeline.roles.snapshot import (
        RoleContractKind,
        RoleContractSurface,
        RoleRegistrySnapshot,
        RoleSpecEntry,
    )
    from registry_pipeline.roles.surface import canonical_json_sha256
    from registry_pipeline.roles.violation import Published, Violation, lowered, sorted_violations
    from registry_pipeline.roles.waivers import Waived, Waiver, Waivers, apply_waivers, parse_waivers

_HOMES: Final = {
    "AddedVersion": "registry_pipeline.roles.next_version",
    "Difference": "registry_pipeline.roles.difference",
    "ParsedPack": "registry_pipeline.roles.pack",
    "PastPack": "registry_pipeline.roles.pack",
    "Published": "registry_pipeline.roles.violation",
    "PublishedCommit": "registry_pipeline.roles.history",
    "RoleContractKind": "registry_pipeline.roles.snapshot",
    "RoleContractSurface": "registry_pipeline.roles.snapshot",
    "RoleRegistrySnapshot": "registry_pipeline.roles.snapshot",
    "RoleSpecEntry": "registry_pipeline.roles.snapshot",
    "SealedCheck": "registry_pipeline.roles.sealed",
    "Violation": "registry_pipeline.roles.violation",
    "Waived": "registry_pipeline.roles.waivers",
    "Waiver": "registry_pipeline.roles.waivers",
    "Waivers": "registry_pipeline.roles.waivers",
    "add_next_version": "registry_pipeline.roles.next_version",
    "apply_waivers": "registry_pipeline.roles.waivers",
    "canonical_json_sha256": "registry_pipeline.roles.surface",
    "check_against": "registry_pipeline.roles.check",
    "check_history": "registry_pipeline.roles.history",
    "check_sealed_run": "registry_pipeline.roles.sealed",
    "comparison_record": "registry_pipeline.roles.sealed",
    "could_not_check": "registry_pipeline.roles.check",
    "find_own_violations": "registry_pipeline.roles.check",
    "find_pack": "registry_pipeline.roles.sealed",
    "lowered": "registry_pipeline.roles.violation",
    "parse_pack": "registry_pipeline.roles.pack",
    "parse_waivers": "registry_pipeline.roles.waivers",
    "publishers": "registry_pipeline.roles.history",
    "read_sealed_check": "registry_pipeline.roles.sealed",
    "registry_document": "registry_pipeline.roles.document",
    "sorted_violations": "registry_pipeline.roles.violation",
    "validate": "registry_pipeline.roles.check",
}


def __getattr__(name: str) -> object:
    """Import a public name where it is first used, so that importing the package imports no module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


__all__ = [
    "AddedVersion",
    "Difference",
    "ParsedPack",
    "PastPack",
    "Published",
    "PublishedCommit",
    "RoleContractKind",
    "RoleContractSurface",
    "RoleRegistrySnapshot",
    "RoleSpecEntry",
    "SealedCheck",
    "Violation",
    "Waived",
    "Waiver",
    "Waivers",
    "add_next_version",
    "apply_waivers",
    "canonical_json_sha256",
    "check_against",
    "check_history",
    "check_sealed_run",
    "comparison_record",
    "could_not_check",
    "find_own_violations",
    "find_pack",
    "lowered",
    "parse_pack",
    "parse_waivers",
    "publishers",
    "read_sealed_check",
    "registry_document",
    "sorted_violations",
    "validate",
]
