"""The whole stack on N run folders, by both interfaces, against a plain script: python benchmarks/stack.py [N].

N run folders (default 10,000) under a governed folder that has an operations catalog. Each way is one process,
from its start to its end:

- the script scans with pathlib, writes run_registry, counts runs by operation and runs without run.json, dumps JSON;
  it seals nothing, verifies nothing, keeps no pointers, and knows three registries roughly;
- `registry-pipeline build` builds, seals, validates and activates all registries and renders the report;
- the same folder through Dagster, in process: every asset and every check of the rebuild job, without activation.

The import of Dagster is a large part of the last; it is printed separately.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from build import plain
from gen_runs import OPERATIONS
from side_by_side import best_seconds, folders_wanted, make_run_folders, print_table

from registry_pipeline.pipeline.init import initialize

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def governed_folder(root: Path, count: int) -> None:
    """Make N run folders and a governed folder around them."""
    make_run_folders(root, count)
    catalog, matrix = ["# Allowed Operations", ""], ["| Operation ID | Option | Coverage Level |", "|---|---|---|"]
    for operation in OPERATIONS:
        option = "QA" if operation.startswith("OP-QA") else operation[3]
        catalog += [f"### {operation}: Made up", "", f"Operation ID: {operation}", f"Option: {option}", ""]
        matrix += [f"| {operation} | {option} | C3 |"]
    (root / "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md").write_text("\n".join(catalog), encoding="utf-8")
    (root / "OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md").write_text("\n".join([*matrix, ""]), encoding="utf-8")
    expected = root / "docs" / "governance" / "EXPECTED_VERSIONS_v0_1.json"
    expected.parent.mkdir(parents=True)
    expected.write_text('{"version": "0.1", "expected": {"schema_version": "0.1"}}\n', encoding="utf-8")
    initialize(root, track_runs=False, now=AS_OF)


def plain_stack(root: Path) -> None:
    """Write three registries roughly, as a careful colleague would in an hour."""
    registry = plain(root)
    rows = [json.loads(line) for line in registry.splitlines()]
    counts = Counter(row["operation_id"] for row in rows)
    latest = {row["operation_id"]: row["run_id"] for row in rows}
    table = [
        {"operation_id": operation, "runs": counts[operation], "latest": latest.get(operation)}
        for operation in OPERATIONS
    ]
    drift = {"runs": len(rows), "without_envelope": sum(not row["has_run_json"] for row in rows)}
    out = root / "plain"
    out.mkdir(exist_ok=True)
    (out / "run_registry.jsonl").write_bytes(registry)
    (out / "op_status_table.json").write_text(json.dumps(table, indent=2), encoding="utf-8")
    (out / "drift_signals.json").write_text(json.dumps(drift, indent=2), encoding="utf-8")


def dagster_stack(root: Path) -> None:
    """Execute the rebuild job in this process, with an instance that forgets."""
    from dagster import DagsterInstance  # noqa: PLC0415 -- seconds, which only this way pays

    from registry_pipeline.defs.build import build_defs  # noqa: PLC0415

    job = build_defs(root).resolve_job_def("rebuild_job")
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, run_config=quiet).success


def process(*command: object) -> None:
    """Run one way to its end."""
    subprocess.run([sys.executable, *map(str, command)], check=True, stdout=subprocess.DEVNULL)


def compare(root: Path, count: int) -> None:
    """Print the table."""
    governed_folder(root, count)
    here = Path(__file__)
    ways = {
        "straightforward script (three registries, no seal)": lambda: process(here, "--plain", root),
        "registry-pipeline build (all, sealed and activated)": lambda: process(
            "-m", "registry_pipeline", "-C", root, "build", "--quiet"
        ),
        "Dagster in process (all, sealed and checked)": lambda: process(here, "--dagster", root),
        "  of which: importing Dagster and the definitions": lambda: process(
            "-c", "import dagster, registry_pipeline.defs.build"
        ),
    }
    print_table(f"stack: {count} run folders", best_seconds(ways, rounds=2), count, "folder")


def main() -> None:
    """Compare, or be one of the ways."""
    if sys.argv[1:2] in (["--plain"], ["--dagster"]):
        (plain_stack if sys.argv[1] == "--plain" else dagster_stack)(Path(sys.argv[2]))
        return
    count = folders_wanted(__doc__, 10_000)
    with tempfile.TemporaryDirectory(prefix="bench-stack-") as place:
        compare(Path(place), count)
        for folder, _, _ in os.walk(place):
            Path(folder).chmod(0o755)


if __name__ == "__main__":
    main()
