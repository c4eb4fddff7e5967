"""The manifest of a sealed folder as a value (SPEC 2.1)."""

from __future__ import annotations

from collections.abc import Iterable

from registry_pipeline.canonical import json_document, sha256_hex
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


def entry_of(relpath: str, data: bytes) -> ManifestEntry:
    """Return the manifest entry of a file with this content."""
    return ManifestEntry(relpath, len(data), sha256_hex(data))


def seal_manifest(entries: Iterable[ManifestEntry]) -> Manifest:
    """Return the seal of these files: manifest.json, MANIFEST.sha256 and ROOT_SHA256, in whatever order they came.

    The entries are every file of the folder but the two seal files themselves. The root is taken over the lines
    sorted as whole lines, which is why it does not depend on the order in which the hash file shows them.
    """
    ordered = tuple(sorted(entries, key=lambda entry: entry.relpath))
    manifest_json = json_document([{"relpath": e.relpath, "bytes": e.bytes, "sha256": e.sha256} for e in ordered])
    hashed = sorted([*ordered, entry_of("manifest.json", manifest_json)], key=lambda entry: entry.relpath)
    lines = [f"{e.sha256}  {e.relpath}\n" for e in hashed]
    root = sha256_hex("".join(sorted(lines)).encode())
    hash_file = "".join([*lines, f"ROOT_SHA256  {root}\n"]).encode()
    return Manifest(ordered, manifest_json, hash_file, root)
