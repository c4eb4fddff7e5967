"""How older tools sealed a run folder: the same hashes as ours, the lines of MANIFEST.sha256 in three orders.

Imitated here for the example only; what is sealed today goes through the runbook (SPEC 2.1, 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from registry_pipeline.canon import json_document, sha256_hex

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
