"""Repositories with sealed runs that may be archived."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import make_removable

RUNS = ".codex/RUNS"
FIRST = "2025-01-10__000000__survey"
SECOND = "2025-01-11__000000__survey"
THIRD = "2025-01-12__000000__survey"
OLD = (FIRST, SECOND, THIRD)
ARCHIVE = "archives/old.tar.gz"


def add_sealed_runs(repository: Repository, *run_ids: str) -> None:
    """Make and seal run folders of another program, with a subfolder each, and make the folder of the archives."""
    for run_id in run_ids:
        folder = repository.runs / run_id
        (folder / "tables/north").mkdir(parents=True)
        day, time = run_id[:10], run_id[12:18]
        created = f"{day}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
        envelope = {"run_id": run_id, "created_utc": created, "operation_id": "OP-A01", "run_type": "survey"}
        (folder / "run.json").write_text(json.dumps(envelope) + "\n", encoding="utf-8")
        (folder / "result.txt").write_text(f"result of {run_id}\n", encoding="utf-8")
        (folder / "tables/north/día.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    done = repository("seal", "--write", *(f"{RUNS}/{run_id}" for run_id in run_ids))
    assert done.code == 0, done.out
    (repository.root / "archives").mkdir(exist_ok=True)


def remove_runs(repository: Repository, *run_ids: str) -> None:
    """Remove run folders, as their owner does after an export."""
    for run_id in run_ids:
        make_removable(repository.runs / run_id)
        shutil.rmtree(repository.runs / run_id)


def name_archives(repository: Repository, *patterns: str) -> None:
    """Set `archives` in the toml file."""
    path = repository.root / "registry-pipeline.toml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = [line for line in text.splitlines() if not line.startswith("archives")]
    path.write_text("\n".join([f"archives = {json.dumps(patterns)}", *kept]) + "\n", encoding="utf-8")


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def add_entry(archive: Path, entry: tarfile.TarInfo, data: bytes = b"") -> None:
    """Append an entry to an archive that is not compressed."""
    entry.size = len(data)
    archive.chmod(0o644)
    with tarfile.open(archive, "a") as file:
        file.addfile(entry, io.BytesIO(data))


def read_lines(repository: Repository) -> dict[str, str]:
    """Return the lines of the active run registry by run id, without those of runs of this tool."""
    path = repository.runs / repository.active("run_registry") / "RUN_REGISTRY_v0_1.jsonl"
    lines = path.read_text(encoding="ascii").splitlines()
    found = [(row["run_id"], line) for line in lines if (row := json.loads(line))["run_id"] in OLD]
    assert len(dict(found)) == len(found), "a run has two lines"
    return dict(found)
