"""Read manifest.json of a sealed folder without its payload, authenticated by a known ROOT_SHA256.

The root hashes every file's digest and manifest.json itself, so it proves what was sealed. It does not prove that the
files still exist: `verify` does.
"""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.check_manifest import check_manifest
from registry_pipeline.runs.envelope_file import read_bytes_nofollow
from registry_pipeline.runs.manifest import ManifestEntry


def read_entries_for_root(folder: Path, root_sha256: str) -> tuple[ManifestEntry, ...] | None:
    """Return the entries of manifest.json if they hash to this root, else None."""
    root, entries = _read_manifest(folder)
    return entries if root == root_sha256 else None


def read_stated_root(folder: Path) -> str | None:
    """Return the root computed from manifest.json alone, or None if it cannot be read."""
    return _read_manifest(folder)[0]


def _read_manifest(folder: Path) -> tuple[str | None, tuple[ManifestEntry, ...]]:
    data = read_bytes_nofollow(str(folder / "manifest.json"))
    if data is None or len(data) > MAX_BYTES:
        return None, ()
    manifest = check_manifest(data, FindingCollector("manifest.json"))
    if manifest is None or not manifest.is_valid:
        return None, ()
    # The hash file's lines follow from the manifest, so the root does too.
    lines = [f"{entry.sha256}  {entry.relpath}\n" for entry in manifest.valid_entries]
    lines.append(f"{sha256_hex(data)}  manifest.json\n")
    return sha256_hex("".join(sorted(lines)).encode()), tuple(manifest.valid_entries)
