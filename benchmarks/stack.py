"""The whole stack on N run folders, by both interfaces, against a plain script: python benchmarks/stack.py [N].

N run folders (default 10,000) under a governed folder that has an operations catalog. Each way is one process,
from its start to its end:

- `build` of baseline.py: it seals nothing, verifies nothing, keeps no pointers, and knows three registries roughly;
- `registry-pipeline build` builds, seals, validates and activates all registries and renders the report;
- the same folder through Dagster, in process: every asset and every check of the rebuild job, without activation.

The import of Dagster is a large part of the last; it is a row of its own.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gen_runs import OPERATIONS
from side_by_side import (
    Costs,
    Results,
    folders_wanted,
    make_run_folders,
    make_writable,
    measure_command,
    measure_in_turns,
    program,
)

from registry_pipeline.pipeline.init import initialize

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def make_repository(root: Path, count: int, *options: str) -> None:
    """Make N run folders, by options of the generator, and a repository around them."""
    make_run_folders(root, count, *options)
    write_documents(root)


def write_documents(root: Path) -> None:
    """Make a folder a repository with an operations catalog."""
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
    initialize(root, track_runs=None, now=AS_OF)


def run_dagster(root: Path) -> None:
    """Execute the rebuild job in this process, with an instance that forgets."""
    from dagster import DagsterInstance  # noqa: PLC0415 -- seconds, which only this way pays

    from registry_pipeline.defs.build import build_defs  # noqa: PLC0415

    job = build_defs(root).resolve_job_def("rebuild_job")
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, run_config=quiet).success


def compare(root: Path, count: int) -> Costs:
    """Return the costs of each way."""
    make_repository(root, count)
    here = Path(__file__)
    commands: dict[str, list[object]] = {
        "straightforward script (three registries, no seal)": [
            *(sys.executable, here.with_name("baseline.py"), "build", root, root / "plain")
        ],
        "`registry-pipeline build` (all, sealed and activated)": [*program(root, "build", "--quiet")],
        "Dagster in process (all, sealed and checked)": [sys.executable, here, "--dagster", root],
        "of which importing Dagster and the definitions": [
            *(sys.executable, "-c", "import dagster, registry_pipeline.defs.build")
        ],
    }
    ways = {name: partial(measure_command, command) for name, command in commands.items()}
    return measure_in_turns(ways, rounds=3)


def main() -> None:
    """Compare, or be the way through Dagster."""
    if sys.argv[1:2] == ["--dagster"]:
        run_dagster(Path(sys.argv[2]))
        return
    count, results = folders_wanted(__doc__, 10_000), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-stack-") as place:
        costs = compare(Path(place), count)
        make_writable(Path(place))
    results.add("whole rebuild", count, "run folders", costs)
    results.write()


if __name__ == "__main__":
    main()
