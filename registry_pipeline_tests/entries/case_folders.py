"""Case folders of `cases/entries`: what is asked of a small repository, and what comes of it.

`before/` is the repository; `entry.yaml` maps types to entries that are added, or `options.json` names what is removed
(`remove`) or that everything is checked (`check`); other options are those of `entries add`. `expected.json` is the
outcome; `after/` holds the files that changed or are new, and `gone` in expected.json those that went.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_pipeline.cli.entry_input import read_given
from registry_pipeline.config import Governed, load_governed
from registry_pipeline.model.finding import Finding
from registry_pipeline.runbook.entries import (
    Asked,
    add_entries,
    check_entries,
    remove_entries,
)

CASES = Path(__file__).parents[1] / "cases" / "entries"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def repository_of(folder: Path, root: Path) -> Governed:
    """Return a copy of a case's repository."""
    shutil.copytree(folder / "before", root)
    return load_governed(root)


def files_of(root: Path) -> dict[str, bytes]:
    """Return every file but the writer's own state."""
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {path.as_posix(): (root / path).read_bytes() for path in paths if path.parts[0] != ".codex"}


def told(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Return findings without what their codes say anyway."""
    kept = ("code", "severity", "path", "location", "message", "expected", "got")
    return [{name: value for name, value in each.to_json().items() if name in kept} for each in found]


def outcome_of(folder: Path, root: Path) -> tuple[dict[str, Any], Path]:
    """Return what comes of a case, in the form of its expected.json, and the repository afterwards."""
    governed = repository_of(folder, root)
    before = files_of(root)
    place = folder / "options.json"
    options = json.loads(place.read_bytes()) if place.exists() else {}
    if options.pop("check", False):
        _, found, _ = check_entries(governed)
        return {"outcome": "checked", "findings": told(found)}, root
    removed = options.pop("remove", None)
    if removed is None:
        asked = Asked("Ada", NOON, **options)
        written = add_entries(governed, read_given((), ("entry.yaml",), (), folder), asked, dry_run=False)
    else:
        written = remove_entries(governed, [(name, key) for name, key in removed], dry_run=False)
    after = files_of(root)
    gone = sorted(before.keys() - after.keys())
    outcome = {
        "outcome": "written" if written.written else "refused",
        "findings": told(written.change.findings),
        "changed": sorted(path for path in after if after[path] != before.get(path)),
    }
    return outcome | ({"gone": gone} if gone else {}), root
