"""The figures of a completion report, of a repository of that shape: 36 operations, 13 registries, 165 executables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.captured_sources import write_captured_sources
from registry_pipeline_tests.pipeline.conftest import World
from registry_pipeline_tests.registries.repositories import commit, repository, write

# The registries of the runbook and of the reports about it.
RUNBOOK: Final = (
    "run_registry",
    "op_status_table",
    "drift_signals",
    "migration_ledger",
    "expected_versions",
    "threshold_packs_file",
    "derived_validation_reports",
    "fingerprint_index",
    "registry_delta_log",
    "system_health_report",
    "validation_range_results",
    "evidence_pack_registry",
    "threshold_registry_db",
)
# What the addendum adds: one operation at C3 with its executable, as the completion report counts it.
ADDED: Final = "OP-QA11"
OPERATIONS: Final = tuple(
    f"OP-{option}{number:02d}"
    for option, count in {"A": 8, "B": 9, "C": 4, "D": 4, "QA": 10}.items()
    for number in range(1, count + 1)
)
LEVELS: Final = ("C4", "C3", "C5")
BELOW: Final = {"OP-A08": "C2", "OP-B09": "C1", "OP-C04": "C2", "OP-D03": None, "OP-QA02": "C0"}
EXECUTABLES: Final = 164
MISSING: Final = "tools/retired/gone.py"


def name_executable(number: int) -> str:
    folder = ("tools/run_registry", "tools/checks/deep", "scripts", "tools")[number % 4]
    return f"{folder}/step_{number:03d}.{'sh' if number % 5 == 0 else 'py'}"


def write_documents(root: Path) -> None:
    """Write a catalog of 35 operations, which bind two thirds of 164 executables, and the matrix of their levels."""
    bound = [name_executable(number) for number in range(EXECUTABLES) if number % 3]
    shares = {name: bound[place :: len(OPERATIONS)] for place, name in enumerate(OPERATIONS)}
    shares["OP-D03"] = [*shares["OP-D03"], MISSING]
    catalog, matrix = (
        ["# Allowed operations", ""],
        ["| Operation | Option | Surfaces | Level | Why |", "|---|---|---|---|---|"],
    )
    for place, name in enumerate(OPERATIONS):
        option = name[3:].rstrip("0123456789")
        items = [f"- `python {path} --strict`" if path.endswith(".py") else f"- `./{path}`" for path in shares[name]]
        catalog += [f"### {name}: Operation {place}", f"Option: {option}", "Bound Executables:", *items, ""]
        level = BELOW.get(name, LEVELS[place % 3])
        matrix += [] if level is None else [f"| {name} | {option} | E1, E5 | {level} | enforced |"]
    files = {
        "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md": "\n".join(catalog) + "\n",
        "OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md": "\n".join(matrix) + "\n",
        "registry-pipeline.toml": f"enabled = {json.dumps([*RUNBOOK, 'governance_scorecard'])}\n",
        "tools/run_registry/__init__.py": "",
        "tools/README.md": "not an executable\n",
    }
    write(root, files | {name_executable(number): "" for number in range(EXECUTABLES)})


def add_operation(root: Path) -> None:
    """Write the addendum: the operation that builds the delta log, with its executable."""
    addendum = f"### {ADDED} — Registry Delta Log Build\n\n| Field | Value |\n|---|---|\n| **Option** | QA |\n"
    addendum += "| **Bound Executables** | `tools/run_registry/build_delta_log.py` |\n"
    lists = {
        "operations_catalog": ["OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md", "addendum.md"],
        "coverage_matrix": ["OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md", "coverage.md"],
        "enabled": [*RUNBOOK, "governance_scorecard"],
    }
    files = {
        "addendum.md": addendum,
        "coverage.md": f"| {ADDED} Registry Delta Log Build | E1, E2, E5, E6, E7 | **C3** |\n",
        "registry-pipeline.toml": "".join(f"{key} = {json.dumps(value)}\n" for key, value in lists.items()),
        "tools/run_registry/build_delta_log.py": "",
    }
    commit(root, files)


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = repository(tmp_path_factory.mktemp("governed") / "repository")
    write_documents(root)
    write_captured_sources(root)
    write(
        root,
        {
            "docs/governance/EXPECTED_VERSIONS_v0_1.json": '{"version": "1", "expected": {"schema_version": "0.1"}}\n',
            "configs/threshold_packs/limits_v1.json": '{"pack": "limits", "version": "1"}\n',
        },
    )
    (root / ".codex/RUNS").mkdir(parents=True)
    commit(root, {".gitignore": ".codex/\n"})
    return root


def read_scorecard(world: World) -> dict[str, Any]:
    newest = max(name for name in world.names() if name.endswith("governance_scorecard_build"))
    document: dict[str, Any] = json.loads((world.runs / newest / "GOVERNANCE_SCORECARD_v0_2.json").read_bytes())
    return document


def test_the_figures_are_those_of_the_completion_report(governed: Path) -> None:
    # (1) Before the delta log's operation: 35 operations, 164 executables. Pointers are moved later, by a person.
    world = World(load_repository(governed))
    world.build(move=False)
    before = read_scorecard(world)
    assert before["operations"]["canonical"] == 35
    assert before["operations"]["c3_plus"] == {"count": 30, "of": 35, "percent": 85.7}
    assert before["executables"]["total"] == 164
    # (2) After it.
    add_operation(governed)
    world = World(load_repository(governed))
    world.build(minutes=1, move=False)
    after = read_scorecard(world)
    assert after["operations"]["canonical"] == 36
    assert after["operations"]["c3_plus"] == {"count": 31, "of": 36, "percent": 86.1}
    assert after["registries"]["sealed_with_source"] == {"count": 9, "of": 13, "percent": 69.2}
    executables = after["executables"]
    assert (executables["total"], executables["missing"]) == (165, [f"python {MISSING} --strict"])
    orphaned = sorted(name_executable(number) for number in range(0, EXECUTABLES, 3))
    assert executables["orphaned"] == orphaned
    assert executables["rate"] == {"count": 165 - len(orphaned), "of": 165, "percent": 66.7}


def test_the_registries_of_the_runbook_are_those_of_this_test() -> None:
    assert len(RUNBOOK) == 13
    assert set(RUNBOOK) <= set(SHIPPED.registries)
