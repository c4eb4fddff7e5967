"""run_registry against a plain pathlib script that writes the same bytes: python benchmarks/build.py [N].

The script in here is what anybody would write first; both run warm, in one process, and their bytes are compared.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from side_by_side import best_seconds, folders_wanted, make_run_folders, print_table

from registry_pipeline.git.values import GitState
from registry_pipeline.registries.run_registry.build import (
    ARTIFACT,
    RunRegistryInputs,
    build_run_registry,
    make_run_line,
)
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.scan import read_run_folders

RUN_ROOT = ".codex/RUNS"
FIELDS = ("run_type", "option", "operation_id", "git_commit", "working_tree_state")


def ours(root: Path) -> bytes:
    """Scan and build as the pipeline does."""
    lines = tuple(map(make_run_line, read_run_folders(root, [RUN_ROOT]).runs))
    context = BuildContext(datetime(2026, 1, 1, tzinfo=UTC), "", GitState(None, None))
    return build_run_registry(RunRegistryInputs(lines), context).files[ARTIFACT]


def plain(root: Path) -> bytes:
    """Scan and build with pathlib, file by file."""
    records = [plain_record(folder) for folder in sorted((root / RUN_ROOT).iterdir()) if folder.is_dir()]
    records.sort(key=lambda r: (r["created_utc"] is None, r["created_utc"] or "", r["run_id"]))
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records).encode()


def plain_record(folder: Path) -> dict[str, Any]:
    """Return the record of one run folder."""
    warnings: list[str] = []
    envelope: dict[str, Any] = {}
    run_json, hash_file, manifest = (folder / name for name in ("run.json", "MANIFEST.sha256", "manifest.json"))
    if run_json.is_file():
        try:
            value = json.loads(run_json.read_text(encoding="utf-8"))
            if isinstance(value, dict):
                envelope = value
            else:
                warnings.append("run.json top-level is not an object")
        except ValueError as error:
            warnings.append(f"Failed to parse run.json: {error}")
    else:
        warnings.append("missing run.json")
    root = None
    if hash_file.is_file():
        lines = [line.split() for line in hash_file.read_text(encoding="utf-8").splitlines()]
        root = next((words[-1] for words in lines if len(words) > 1 and words[0] == "ROOT_SHA256"), None)
    else:
        warnings.append("missing MANIFEST.sha256")
    if not manifest.is_file():
        warnings.append("missing manifest.json")
    return {
        "registry_version": "0.1",
        "run_id": folder.name,
        "run_root": RUN_ROOT,
        "run_key": f"{RUN_ROOT}::{folder.name}",
        "run_path": f"{RUN_ROOT}/{folder.name}/",
        "created_utc": envelope.get("created_utc") or envelope.get("created_at") or None,
        **{name: envelope.get(name) or None for name in FIELDS},
        "has_run_json": run_json.is_file(),
        "has_manifest_sha256": hash_file.is_file(),
        "has_manifest_json": manifest.is_file(),
        "manifest_root_sha256": root,
        "files": [
            {"relpath": item.name, "bytes": item.stat().st_size} for item in sorted(folder.iterdir()) if item.is_file()
        ],
        "warnings": warnings,
    }


def main() -> None:
    """Make the folders, time both, compare their bytes, print the ratio."""
    count = folders_wanted(__doc__, 10_000)
    with tempfile.TemporaryDirectory(prefix="bench-build-") as place:
        root = Path(place)
        make_run_folders(root, count)
        assert ours(root) == plain(root), "the two disagree"
        ways = {"straightforward script": lambda: plain(root), "scan and build_run_registry": lambda: ours(root)}
        print_table(f"build: run_registry of {count} run folders", best_seconds(ways), count, "folder")


if __name__ == "__main__":
    main()
