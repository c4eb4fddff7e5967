"""A repository with many operations and runs, made in two seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from registry_pipeline_tests.registries.repositories import commit, repository

CATALOG: Final = "docs/catalog.md"
MATRIX: Final = "docs/matrix.md"
LAST: Final = datetime(2026, 3, 1, 6, tzinfo=UTC)


def make_many_runs(root: Path, operations: int, runs: int) -> None:
    """Write a repository with so many operations and unsealed runs of them, one every half hour."""
    ids = [f"OP-A{number:03}" for number in range(operations)]
    sections = (f"### {name}: Harbour notices ingest {name}\n\nBound Executables:\n- `jobs/one.py`\n\n" for name in ids)
    toml = (
        f'run_roots = [".codex/RUNS"]\noperations_catalog = ["{CATALOG}"]\ncoverage_matrix = ["{MATRIX}"]\n'
        'options = ["A"]\nhistory_start = 2026-01-01\n'
    )
    documents = {
        "registry-pipeline.toml": toml,
        ".gitignore": "/.codex/\n",
        CATALOG: f"# Operations\n\n## Option A\n\n{''.join(sections)}",
        MATRIX: "".join(f"| {name} | A | E1 | C{number % 5} | because |\n" for number, name in enumerate(ids)),
        "jobs/one.py": "print(1)\n",
    }
    commit(repository(root), documents)
    (root / ".codex/RUNS").mkdir(parents=True)
    for number in range(runs):
        created = LAST - timedelta(minutes=30 * number)
        name, run_id = ids[number % operations], f"{created:%Y-%m-%d__%H%M%S}__one_ingest"
        folder = root / ".codex/RUNS" / run_id
        folder.mkdir()
        fields = {"run_id": run_id, "created_utc": f"{created:%Y-%m-%dT%H:%M:%SZ}", "option": "A", "operation_id": name}
        (folder / "run.json").write_text(json.dumps(fields), encoding="utf-8")
