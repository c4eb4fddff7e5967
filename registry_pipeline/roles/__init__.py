"""The role registry: append-only ids and immutable contracts of a RolePack (SPEC 9, seed 002).

Holds the strict parser with positions, the surface hashes, the rules, waivers, and the next version of a contract:
`check_` compares, `parse_` reads bytes, `add_` returns new bytes. Keeps out files, git, the clock and the diagnostics
store: bytes and days come in, violations and bytes go out. The registry's builder stands here too, as only this room
hashes surfaces. May import `model`, `canon`, `errors` and rfc8785, which is imported here and nowhere else.
"""

from __future__ import annotations

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
