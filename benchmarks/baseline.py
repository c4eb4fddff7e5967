"""The reference of the benchmarks: a straightforward script of the same jobs, in one process.

    python benchmarks/baseline.py verify REPOSITORY
    python benchmarks/baseline.py index REPOSITORY OUT
    python benchmarks/baseline.py build REPOSITORY OUT

It is what a careful colleague writes in an hour with pathlib, json and hashlib. `verify` checks the seal of every run
folder: manifest.json against the files, then MANIFEST.sha256 against the files, as two separate validators do. `index`
writes the lines of run_registry, byte for byte. `build` writes three registries roughly; it seals nothing, keeps no
pointers and renders no report.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

RUN_ROOT: Final = ".codex/RUNS"
_FIELDS: Final = ("run_type", "option", "operation_id", "git_commit", "working_tree_state")
_SEAL_FILES: Final = {"manifest.json", "MANIFEST.sha256"}


def sha256_file(path: Path) -> str:
    """Return the hash of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(65536), b""):
            digest.update(chunk)
    return digest.hexdigest()


def verify_folder(folder: Path) -> bool:
    """Return whether the seal of a folder is valid."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        *lines, root_line = (folder / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    if not isinstance(run, dict) or run.get("run_id") != folder.name or not run.get("created_utc"):
        return False
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if found != {entry["relpath"] for entry in entries} | _SEAL_FILES:
        return False
    for entry in entries:
        path = folder / entry["relpath"]
        if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
            return False
    listed = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    if set(listed) != {entry["relpath"] for entry in entries} | {"manifest.json"} or len(listed) != len(lines):
        return False
    if any(sha256_file(folder / relpath) != digest for relpath, digest in listed.items()):
        return False
    root = hashlib.sha256(("\n".join(sorted(lines)) + "\n").encode()).hexdigest()
    return root_line == f"ROOT_SHA256  {root}"


def list_folders(repository: Path) -> list[Path]:
    """Return the run folders by name."""
    return sorted(path for path in (repository / RUN_ROOT).iterdir() if path.is_dir())


def make_index(repository: Path) -> bytes:
    """Return the lines of run_registry."""
    records = [_make_record(folder) for folder in list_folders(repository)]
    records.sort(key=lambda r: (r["created_utc"] is None, r["created_utc"] or "", r["run_id"]))
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records).encode()


def _make_record(folder: Path) -> dict[str, Any]:
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
        **{name: envelope.get(name) or None for name in _FIELDS},
        "has_run_json": run_json.is_file(),
        "has_manifest_sha256": hash_file.is_file(),
        "has_manifest_json": manifest.is_file(),
        "manifest_root_sha256": root,
        "files": [
            {"relpath": item.name, "bytes": item.stat().st_size} for item in sorted(folder.iterdir()) if item.is_file()
        ],
        "warnings": warnings,
    }


def build(repository: Path, out: Path) -> None:
    """Write run_registry, and a status table and drift signals that are roughly those of the pipeline."""
    lines = make_index(repository)
    rows = [json.loads(line) for line in lines.splitlines()]
    counts = Counter(row["operation_id"] for row in rows)
    latest = {row["operation_id"]: row["run_id"] for row in rows}
    names = sorted(filter(None, counts))
    table = [{"operation_id": name, "runs": counts[name], "latest": latest[name]} for name in names]
    drift = {"runs": len(rows), "without_envelope": sum(not row["has_run_json"] for row in rows)}
    out.mkdir(exist_ok=True)
    (out / "run_registry.jsonl").write_bytes(lines)
    (out / "op_status_table.json").write_text(json.dumps(table, indent=2), encoding="utf-8")
    (out / "drift_signals.json").write_text(json.dumps(drift, indent=2), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Do one job."""
    job, repository = arguments[0], Path(arguments[1])
    if job == "verify":
        invalid = [folder.name for folder in list_folders(repository) if not verify_folder(folder)]
        print(*invalid, f"{len(invalid)} invalid", sep="\n")
        return 3 if invalid else 0
    if job == "index":
        Path(arguments[2]).write_bytes(make_index(repository))
    else:
        build(repository, Path(arguments[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
