"""The manifest of a sealed folder, and how it is computed from the files. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.values import value_type


@value_type
class ManifestEntry:
    """Path, size and hash of one file of a sealed folder."""

    relpath: str
    bytes: int
    sha256: str


@value_type
class Manifest:
    """The entries, the bytes of the two seal files, and the root hash."""

    entries: tuple[ManifestEntry, ...]
    manifest_json: bytes
    hash_file: bytes
    root_sha256: str


def make_entry(relpath: str, data: bytes) -> ManifestEntry:
    """Return the manifest entry of a file with this content."""
    return ManifestEntry(relpath, len(data), sha256_hex(data))


def build_manifest(entries: Iterable[ManifestEntry]) -> Manifest:
    """Return the manifest of these files, given in any order; the seal files themselves are not among them."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.relpath))
    manifest_json = json_document([{"relpath": e.relpath, "bytes": e.bytes, "sha256": e.sha256} for e in ordered])
    hashed = sorted([*ordered, make_entry("manifest.json", manifest_json)], key=lambda entry: entry.relpath)
    lines = [f"{e.sha256}  {e.relpath}\n" for e in hashed]
    # The root is taken over the lines sorted as whole lines, so the order in the hash file does not matter.
    root = sha256_hex("".join(sorted(lines)).encode())
    hash_file = "".join([*lines, f"ROOT_SHA256  {root}\n"]).encode()
    return Manifest(ordered, manifest_json, hash_file, root)
