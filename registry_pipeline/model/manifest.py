"""The manifest of a sealed folder as a value (SPEC 2.1)."""

from __future__ import annotations

from registry_pipeline.values import value_type


@value_type
class ManifestEntry:
    """One file of a sealed folder: where, how many bytes, which content."""

    relpath: str
    bytes: int
    sha256: str


@value_type
class Manifest:
    """The entries, the two seal files as bytes, and the root hash that stands for all of it."""

    entries: tuple[ManifestEntry, ...]
    manifest_json: bytes
    hash_file: bytes
    root_sha256: str
