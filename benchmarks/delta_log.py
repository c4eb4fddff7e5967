"""The delta log with one new snapshot, against a script that rebuilds it whole: python benchmarks/delta_log.py [N].

N sealed snapshots of four registries (default 2,000) are logged, and one more has come; among them are as many run
folders of other operations. Each way gives the bytes of the new log:

- the script verifies every snapshot from its bytes, compares each manifest with the one before and writes all edges;
- ours verifies the head and its previous, opens no logged folder but the last one's manifest, and verifies what is new;
- the last row adds what makes it a registry: sealed, verified, validated by schema and rules, published.

The edges of all ways are compared. A growth curve follows, from an eighth of N on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from side_by_side import Costs, Results, folders_wanted, measure_in_turns

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.steps import seal
from registry_pipeline.registries.base.delta import LOG_FILE
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline.runs.sealed_run import Built

RUNS = ".codex/RUNS"
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = SHIPPED.spec_of("registry_delta_log")
ARTIFACTS = {
    "run_registry": "RUN_REGISTRY_v0_1.jsonl",
    "op_status_table": "OPERATION_STATUS_TABLE_v0_1.json",
    "drift_signals": "DRIFT_SIGNALS_v0_1.json",
    "expected_versions": "EXPECTED_VERSIONS_v0_1_snapshot.json",
}


def write_run(root: Path, number: int, tag: str, files: dict[str, bytes], **fields: str) -> None:
    """Write one sealed folder, an hour after the one before; nothing is synced."""
    stamp = BEGUN + timedelta(hours=number)
    run_id = f"{stamp:%Y-%m-%d__%H%M%S}__{tag}"
    envelope = {"run_id": run_id, "created_utc": f"{stamp:%Y-%m-%dT%H:%M:%SZ}", **fields}
    files = {**files, "run.json": json.dumps(envelope, indent=2).encode()}
    manifest = build_manifest(make_entry(name, data) for name, data in files.items())
    folder = root / RUNS / run_id
    folder.mkdir(parents=True)
    for name, data in (
        files | {"manifest.json": manifest.manifest_json, "MANIFEST.sha256": manifest.hash_file}
    ).items():
        (folder / name).write_bytes(data)


def write_snapshot(root: Path, number: int) -> None:
    """Write a snapshot of some ten thousand bytes, in turns of each registry, and a run of another operation."""
    registry_id = list(ARTIFACTS)[number % len(ARTIFACTS)]
    rows = b"".join(b'{"operation_id":"OP-A%02d","n":%d}\n' % (row, number + row) for row in range(300))
    files = {ARTIFACTS[registry_id]: rows, "a.schema.json": b"{}\n" * (1 + number % 3)}
    write_run(root, number, f"{registry_id}_build", files, registry_id=registry_id)
    write_run(root, number, "op-a01", {"data.jsonl": rows[:2000]}, operation_id="OP-A01")


def prepare(root: Path, count: int) -> Repository:
    """Make N snapshots, log them in two logs, and let one more come."""
    root.mkdir()
    initialize(root, track_runs=None, now=BEGUN)
    repository = load_repository(root)
    for number in range(count - 1):
        write_snapshot(root, number)
    build(repository, 1, publish=True)
    write_snapshot(root, count - 1)
    build(repository, 2, publish=True)
    write_snapshot(root, count)
    return repository


def build(repository: Repository, minute: int, *, publish: bool) -> bytes:
    """Build a log as the pipeline does; with `publish` seal and check it too."""
    run = BuildRun(datetime(2027, 1, 1, 0, minute, tzinfo=UTC), GitState(None, None))
    built = steps.build(repository, run, SPEC, {})
    assert isinstance(built, Built), built
    if publish:
        sealed = seal(repository, run, SPEC, built)
        assert validate(repository, sealed).passed
    return built.artifacts.files[LOG_FILE]


def publish_and_remove(repository: Repository) -> None:
    """Build, seal and check a log, and remove it."""
    build(repository, 3, publish=True)
    folder = repository.publish_root / "2027-01-01__000300__registry_delta_log_build"
    folder.chmod(0o755)
    shutil.rmtree(folder)


def plain(root: Path) -> bytes:
    """Verify every snapshot and write every edge, as a careful colleague would in an hour."""
    last: dict[str, dict[str, Any]] = {}
    edges = []
    for snapshot in sorted(verified(root), key=lambda each: (each["registry_id"], each["ref"]["run_id"])):
        before = last.get(snapshot["registry_id"])
        old, new = before["files"] if before else {}, snapshot["files"]
        paths = {
            "added": sorted(new.keys() - old.keys()),
            "removed": sorted(old.keys() - new.keys()),
            "modified": sorted(path for path in old.keys() & new.keys() if old[path] != new[path]),
        }
        edges.append(
            {
                "delta_version": "0.1",
                "registry_id": snapshot["registry_id"],
                "from_ref": before["ref"] if before else None,
                "to_ref": snapshot["ref"],
                "delta_basis": "manifest_diff",
                **{f"{kind}_paths": names for kind, names in paths.items()},
                "counts": {kind: len(names) for kind, names in paths.items()},
                "created_utc": "2027-01-01T00:03:00Z",
                "derivation_run_id": "plain",
            }
        )
        last[snapshot["registry_id"]] = snapshot
    return "".join(json.dumps(edge, separators=(",", ":")) + "\n" for edge in edges).encode()


def verified(root: Path) -> Iterator[dict[str, Any]]:
    """Yield every folder of one of the registries whose files have the hashes that its seal states."""
    for folder in sorted((root / RUNS).iterdir()):
        registry_id = json.loads((folder / "run.json").read_bytes()).get("registry_id")
        if registry_id not in ARTIFACTS:
            continue
        manifest = (folder / "manifest.json").read_bytes()
        entries = {entry["relpath"]: entry["sha256"] for entry in json.loads(manifest)}
        for path, digest in entries.items():
            assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest
        lines = [f"{digest}  {path}\n" for path, digest in entries.items()]
        lines.append(f"{hashlib.sha256(manifest).hexdigest()}  manifest.json\n")
        root_sha256 = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
        assert root_sha256 == (folder / "MANIFEST.sha256").read_text(encoding="utf-8").split()[-1]
        ref = {
            "run_id": folder.name,
            "run_root": RUNS,
            "relpath": ARTIFACTS[registry_id],
            "manifest_sha256": root_sha256,
        }
        yield {"registry_id": registry_id, "ref": ref, "files": entries}


def edges_of(log: bytes) -> list[str]:
    """Return the edges without their origin, in an order of their own."""
    origin = ("created_utc", "derivation_run_id")
    edges = [{k: v for k, v in json.loads(line).items() if k not in origin} for line in log.splitlines()]
    return sorted(json.dumps(edge) for edge in edges)


def compare(place: Path, count: int) -> Costs:
    """Return the costs of each way over N logged snapshots and a new one; their edges are the same."""
    repository = prepare(place, count)
    assert edges_of(build(repository, 3, publish=False)) == edges_of(plain(place)), "the two disagree"
    ways = {
        "straightforward script: verify and write all": lambda: plain(place),
        "the head and what is new": lambda: build(repository, 3, publish=False),
        "the same, sealed, validated and published": lambda: publish_and_remove(repository),
    }
    return measure_in_turns(ways)


def main() -> None:
    """Measure an eighth of N, a quarter, a half and N."""
    count, results = folders_wanted(__doc__, 2_000, "snapshots"), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-delta-") as place:
        for size in (count // 8, count // 4, count // 2, count):
            costs = compare(Path(place) / str(size), size)
            results.add("delta log with a new snapshot", size, "snapshots", costs)
        for folder in Path(place).rglob("*_build"):
            folder.chmod(0o755)
    results.write()


if __name__ == "__main__":
    main()
