"""Check role packs from Python: the content of a pack, its rules, and surface hashes.

The code is in `registry_pipeline.registries.roles`; this module is the public import path.
"""

from __future__ import annotations

from registry_pipeline.registries.roles.check import RoleRegistryAppendOnlyValidator
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.pack_reader import canonical_json_sha256
from registry_pipeline.registries.roles.report import RoleRegistryViolation
from registry_pipeline.registries.roles.snapshot import (
    ContractSurfaceHash,
    DepartmentId,
    RoleContractKind,
    RoleContractSurface,
    RoleId,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)

__all__ = [
    "ContractSurfaceHash",
    "DepartmentId",
    "ParsedPack",
    "RoleContractKind",
    "RoleContractSurface",
    "RoleId",
    "RoleRegistryAppendOnlyValidator",
    "RoleRegistrySnapshot",
    "RoleRegistryViolation",
    "RoleSpecEntry",
    "canonical_json_sha256",
    "parse_pack",
]
