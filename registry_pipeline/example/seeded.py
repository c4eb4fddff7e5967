"""Chance that repeats itself: numbers drawn by hashing their own names.

`random` promises its numbers for one Python only; a hash gives the same example on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from registry_pipeline.canonical import json_document, sha256_hex


def draw(below: int, *names: object) -> int:
    """Return a number from 0 to `below` - 1 that depends on `names` alone."""
    return int(sha256_hex("\x1f".join(map(str, names)).encode())[:16], 16) % below


LineOrder = Literal["relpath", "manifest_last", "whole_line"]


def seal_as_older_tools(files: Mapping[str, bytes], order: LineOrder) -> dict[str, bytes]:
    """Return `files` (relpath to bytes) with the two seal files that an older tool wrote beside them."""
    entries = [{"relpath": p, "bytes": len(data), "sha256": sha256_hex(data)} for p, data in sorted(files.items())]
    manifest = json_document(entries)
    listed = [f"{entry['sha256']}  {entry['relpath']}" for entry in entries]
    lines = [*listed, f"{sha256_hex(manifest)}  manifest.json"]
    root = sha256_hex(("\n".join(sorted(lines)) + "\n").encode())
    if order == "whole_line":
        lines.sort()
    elif order == "relpath":
        lines.sort(key=lambda line: line.split("  ", 1)[1])
    text = "\n".join([*lines, f"ROOT_SHA256  {root}", ""])
    return {**files, "manifest.json": manifest, "MANIFEST.sha256": text.encode()}
