"""A small repository with some weeks of history: commits, documents that change, and run folders.

| day        | commit | what changed                                                                 |
|------------|--------|------------------------------------------------------------------------------|
| 2026-01-05 | first  | OP-A01; versions 0.1 and v1 expected, v1 active                               |
| 2026-01-20 | second | the pack says v2: thresholds drift                                            |
| 2026-02-10 | third  | in the day's last second: OP-A02 joins, v2 is expected                        |
| 2026-02-15 | side   | on a side branch: v9 is expected, and seen by nobody before it is merged      |
| 2026-02-20 | merge  | the side branch is merged                                                     |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from registry_pipeline_tests.registries.repositories import commit, git, repository, write

FIRST_DAY: Final = date(2026, 1, 5)
CATALOG: Final = "docs/catalog.md"
MATRIX: Final = "docs/matrix.md"
EXPECTED: Final = "docs/expected.json"
PACK: Final = "configs/packs/one.json"
ENVELOPE: Final = "docs/envelope.md"

TOML: Final = f"""\
run_roots = [".codex/RUNS"]
operations_catalog = ["{CATALOG}"]
coverage_matrix = ["{MATRIX}"]
options = ["A"]
expected_versions = "{EXPECTED}"
threshold_sources = ["configs/packs"]
envelope_standard = "{ENVELOPE}"
history_start = {FIRST_DAY.isoformat()}
"""

RUNS: Final[Mapping[str, Mapping[str, object]]] = {
    "one": {"created_utc": "2026-01-06T08:00:00Z", "operation_id": "OP-A01"},
    "two": {"created_utc": "2026-02-01T01:00:00+02:00", "operation_id": "OP-A01"},  # 23:00 of the day before, UTC
    "three": {"created_utc": "2026-02-12T23:59:59Z", "operation_id": "OP-A02", "working_tree_state": "dirty"},
    "late": {"created_utc": "2999-01-01T00:00:00Z", "operation_id": "OP-A01"},
    "yesterday": {"created_utc": "yesterday", "operation_id": "OP-A01"},
    "timeless": {"operation_id": "OP-A01"},
}


@dataclass(frozen=True)
class HistoryRepository:
    """The repository, and its commits by the names of the table above."""

    root: Path
    commits: Mapping[str, str]


def catalog(*operations: str) -> str:
    sections = "".join(f"### {each}: Name of {each}\n\nBound Executables:\n- `jobs/one.py`\n\n" for each in operations)
    return f"# Operations\n\n## Option A\n\n{sections}"


def matrix(*operations: str) -> str:
    return "".join(f"| {each} | A | E1 | C3 | because |\n" for each in operations)


def expected(schema_version: str, threshold: str) -> str:
    versions = {"schema_version": schema_version, "threshold_pack_version": threshold}
    return json.dumps({"version": threshold, "expected": versions})


def pack(version: str) -> str:
    return json.dumps({"version": version})


def make_historic(root: Path) -> HistoryRepository:
    """Write the repository at a folder that may exist; it has the same commits everywhere."""
    repository(root)
    documents = {
        "registry-pipeline.toml": TOML,
        ".gitignore": "/.codex/\n",
        CATALOG: catalog("OP-A01"),
        MATRIX: matrix("OP-A01"),
        EXPECTED: expected("0.1", "v1"),
        PACK: pack("v1"),
        ENVELOPE: "the standard",
        "jobs/one.py": "print(1)\n",
        "jobs/deep/er/two.py": "print(2)\n",
    }
    commits = {"first": commit(root, documents, at="2026-01-05T10:00:00Z")}
    commits["second"] = commit(root, {PACK: pack("v2")}, at="2026-01-20T12:00:00Z")
    both = {CATALOG: catalog("OP-A01", "OP-A02"), MATRIX: matrix("OP-A01", "OP-A02"), EXPECTED: expected("0.1", "v2")}
    commits["third"] = commit(root, both, at="2026-02-10T23:59:59Z")
    git(root, "checkout", "-q", "-b", "side")
    commits["side"] = commit(root, {EXPECTED: expected("0.1", "v9")}, at="2026-02-15T12:00:00Z")
    git(root, "checkout", "-q", "main")
    git(root, "merge", "-q", "--no-ff", "-m", "x", "side", at="2026-02-20T12:00:00Z")
    commits["merge"] = git(root, "rev-parse", "HEAD")
    write(
        root, {f".codex/RUNS/{name}/run.json": json.dumps({"run_id": name, **fields}) for name, fields in RUNS.items()}
    )
    return HistoryRepository(root, commits)
