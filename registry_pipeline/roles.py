"""Check role packs from Python: the content of a pack, its rules, and surface hashes.

The code is in `registry_pipeline.registries.roles`; this module is the public import path.
"""

from __future__ import annotations

from registry_pipeline.registries.roles.check import validate
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.pack_reader import canonical_json_sha256
from registry_pipeline.registries.roles.report import Violation
from registry_pipeline.registries.roles.snapshot import (
    RoleContractKind,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)

__all__ = [
    "ParsedPack",
    "RoleContractKind",
    "RoleContractSurface",
    "RoleRegistrySnapshot",
    "RoleSpecEntry",
    "Violation",
    "canonical_json_sha256",
    "parse_pack",
    "validate",
]
