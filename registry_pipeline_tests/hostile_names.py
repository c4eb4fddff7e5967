"""Names that control a terminal, reorder a line or inject markup, and a repository with many of them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from registry_pipeline.findings.display import is_hidden

HOSTILE = "x\x1b[2J\u202egpj.exe\u2066\u3164\x9b1m|<img src=x>`[a](b)"
"""In one name: ESC, a bidirectional override and isolate, an invisible letter, a C1 control, and Markdown."""

FOLDER = HOSTILE.replace("/", "")
CATALOG = "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md"


def make_hostile(root: Path) -> None:
    """Give an operation, an old run folder, a file, a registry note, git's author and a threshold pack such names."""
    catalog = root / CATALOG
    catalog.write_text(catalog.read_text().replace("OP-A01: Ingest Orders", f"OP-A01: {HOSTILE}"))
    folder = root / "reports/runs" / FOLDER
    folder.mkdir(parents=True)
    envelope = {"run_id": FOLDER, "created_utc": "2026-02-28T00:00:00Z", "option": "A", "operation_id": "OP-A01"}
    (folder / "run.json").write_text(json.dumps(envelope))
    (folder / FOLDER).write_bytes(b"a file with such a name")
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for name, value in (("user.name", HOSTILE), ("user.email", "a@example.invalid")):
        subprocess.run(["git", "config", name, value], cwd=root, env=os.environ | settings, check=True)


def hidden_in(text: str) -> list[str]:
    """Return the hidden characters of a text of several lines."""
    return [f"U+{ord(c):04X}" for c in text if is_hidden(c) and c not in "\n\t"]
