"""A manifest that a known root proves: what a sealed folder held, read without its payload (SPEC 4.5).

ROOT_SHA256 is the hash of every file's hash and of manifest.json's, so that whoever knows the root needs nothing else
to believe a manifest. It says what was sealed, and not that the files are still there: that is `verify`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.check_manifest import check_manifest
from registry_pipeline.runs.manifest import ManifestEntry

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_LARGEST: Final = 64 << 20


def read_entries_for_root(folder: Path, root_sha256: str) -> tuple[ManifestEntry, ...] | None:
    """Return the entries of a folder's manifest.json if they give this root; None if not, or if it cannot be read."""
    stated = _stated(_read(folder))
    return stated[1] if stated is not None and stated[0] == root_sha256 else None


def read_stated_root(folder: Path) -> str | None:
    """Return the root that a folder's manifest.json gives, whatever is left of the seal; None where it gives none."""
    stated = _stated(_read(folder))
    return None if stated is None else stated[0]


def _read(folder: Path) -> bytes | None:
    try:
        with os.fdopen(os.open(folder / "manifest.json", _OPEN), "rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= _LARGEST else None


def _stated(manifest_json: bytes | None) -> tuple[str, tuple[ManifestEntry, ...]] | None:
    """Return the root that these bytes give, and the entries that they state."""
    manifest = None if manifest_json is None else check_manifest(manifest_json, FindingCollector("manifest.json"))
    if manifest_json is None or manifest is None or not manifest.is_sound:
        return None
    lines = [f"{entry.sha256}  {entry.relpath}\n" for entry in manifest.whole]
    lines.append(f"{sha256_hex(manifest_json)}  manifest.json\n")
    return sha256_hex("".join(sorted(lines)).encode()), tuple(manifest.whole)
