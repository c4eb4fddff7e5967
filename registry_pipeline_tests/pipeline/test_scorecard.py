"""The scorecard of a repository, recomputed from its documents and folders in another way."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.pipeline.status import read_status
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.sealed_input import read_active_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.sealed_run import Activation
from registry_pipeline_tests.captured_sources import INDEX
from registry_pipeline_tests.pipeline.conftest import NOON, World
from registry_pipeline_tests.registries.repositories import git, write


def scorecard(world: World) -> dict[str, Any]:
    active = world.runs / world.active("governance_scorecard")
    document: dict[str, Any] = json.loads((active / "GOVERNANCE_SCORECARD_v0_2.json").read_bytes())
    return document


def recomputed(world: World) -> tuple[dict[str, str], list[str]]:
    """Return the level of each canonical operation, and every bound executable, read by patterns of this test alone."""
    catalog = (world.root / "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md").read_text().split("## NON_CANONICAL")[0]
    matrix = (world.root / "OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md").read_text()
    stated = dict(re.findall(r"^\| (OP-\w+) \| \w+ \| [^|]* \| (C\d)", matrix, re.MULTILINE))
    operations = re.findall(r"^### (OP-\w+):", catalog, re.MULTILINE)
    return {name: stated.get(name, "C0") for name in operations}, re.findall(r"^- `(.+)`$", catalog, re.MULTILINE)


def test_the_figures_are_those_of_the_documents(world: World) -> None:
    jobs = ("op-a01", "op-a02", "op-b01")
    for name in jobs:
        (world.root / f"jobs/{name}.py").write_text("print()\n")
    world.build()
    world.build("governance_scorecard", minutes=1)

    document, (levels, bound) = scorecard(world), recomputed(world)

    enforced = sum(level in ("C3", "C4", "C5") for level in levels.values())
    table = json.loads((world.runs / world.active("op_status_table") / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes())
    assert document["operations"] == {
        "canonical": len(levels),
        "observed": sum(row["run_evidence_state"] == "OBSERVED" for row in table),
        "by_level": {f"C{n}": list(levels.values()).count(f"C{n}") for n in range(6)},
        "c3_plus": {"count": enforced, "of": len(levels), "percent": float(f"{100 * enforced / len(levels):.1f}")},
    }
    assert document["executables"]["bound"] == len(bound)
    assert document["executables"]["missing"] == sorted(name for name in bound if not any(job in name for job in jobs))


def test_the_registries_that_it_calls_sealed_are_those_that_sha256sum_accepts(world: World) -> None:
    world.build()
    world.build("governance_scorecard", minutes=1)

    registries = scorecard(world)["registries"]

    pointers = json.loads(world.repository.pointer_path.read_bytes())["pointers"]
    active = {p["registry_id"]: p["active_ref"]["run_id"] for p in pointers if p["active_ref_known"] is True}
    newest = {name: sorted(world.runs.glob(f"*__{spec.tag}")) for name, spec in SHIPPED.registries.items() if spec.tag}
    sealed = [
        name
        for name in SHIPPED.registries
        if (run := active.get(name) or (newest.get(name) and newest[name][-1].name))
        and subprocess.run(
            ["sha256sum", "-c", "--status", "MANIFEST.sha256"], cwd=world.runs / run, check=False
        ).returncode
        == 0
    ]
    assert registries["sealed"] == len(sealed)
    assert (registries["total"], registries["pointer_known"]) == (len(SHIPPED.registries), len(active))
    assert {row["registry_id"] for row in registries["unknown"]} == {
        name for name, spec in SHIPPED.registries.items() if spec.pointer and name not in active
    }


def test_an_active_run_that_was_altered_does_not_count_as_sealed(built: World) -> None:
    built.build("governance_scorecard", minutes=1)
    before = scorecard(built)["registries"]["sealed"]
    built.tamper(built.active("expected_versions"), "EXPECTED_VERSIONS_v0_1_snapshot.json")

    built.build("governance_scorecard", minutes=2)

    assert scorecard(built)["registries"]["sealed"] == before - 1
    assert scorecard(built)["change"]["registries"]["sealed"] == -1


def test_the_counted_runs_are_recorded_as_previous(built: World) -> None:
    before, chain = read_pointers(built.repository), read_chain_state(built.repository)
    assert chain.head is not None

    built.build("governance_scorecard", minutes=1)

    sealed = read_active_run(built.repository, SHIPPED.spec_of("governance_scorecard"))
    assert sealed is not None
    assert sealed.inputs.upstream() == {"op_status_table": before.active("op_status_table")}
    assert len({i.ref for i in sealed.inputs.registries}) == len(sealed.inputs.registries)
    assert {i.registry_id: i.ref for i in sealed.inputs.registries} == {
        p.registry_id: p.ref for p in before.pointers if p.known is True
    } | {"pointer_activation": chain.head.ref}


def test_a_catalog_that_is_gone_makes_no_scorecard_and_moves_nothing(built: World) -> None:
    active = built.active("governance_scorecard")
    (built.root / "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md").unlink()

    outcome = built.build("governance_scorecard", minutes=1)

    assert [(row.registry_id, row.run) for row in outcome.built][:1] == [("governance_scorecard", None)]
    assert "CATALOG_MISSING" in {finding.code for finding in outcome.findings}
    assert built.active("governance_scorecard") == active


def test_the_first_scorecard_counts_the_operations_of_the_table_that_the_same_build_sealed(world: World) -> None:
    world.build()

    table = read_active_run(world.repository, SHIPPED.spec_of("op_status_table"))
    sealed = read_active_run(world.repository, SHIPPED.spec_of("governance_scorecard"))
    assert table is not None
    assert sealed is not None
    assert sealed.inputs.upstream() == {"op_status_table": table.ref}
    assert scorecard(world)["operations"]["observed"] == len(find_observed(world)) > 0


def find_observed(world: World) -> set[str]:
    table = json.loads((world.runs / world.active("op_status_table") / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes())
    return {row["operation_id"] for row in table if row["run_evidence_state"] == "OBSERVED"}


def test_an_operation_that_runs_for_the_first_time_counts_in_the_build_that_sees_it(built: World) -> None:
    before = len(find_observed(built))
    unobserved = min(set(recomputed(built)[0]) - find_observed(built))
    write(built.runs, {"first_time/run.json": json.dumps({"run_id": "first_time", "operation_id": unobserved})})

    built.build(minutes=1)

    assert len(find_observed(built)) == scorecard(built)["operations"]["observed"] == before + 1
    assert scorecard(built)["change"]["operations"]["observed"] == 1


def test_without_any_status_table_the_scorecard_is_built_and_what_was_observed_is_unknown(world: World) -> None:
    (row,) = world.build("governance_scorecard", only=True).built

    assert row.run is not None
    assert row.run.inputs.upstream() == {}
    document = json.loads((world.root / row.run.ref.path / "GOVERNANCE_SCORECARD_v0_2.json").read_bytes())
    assert document["operations"]["observed"] is None


def test_a_status_table_moves_with_its_scorecard_and_not_without_it(built: World) -> None:
    before = built.active("op_status_table")

    alone = built.build("op_status_table", "drift_signals", minutes=1, only=True)
    assert alone.activation is None
    together = built.build("op_status_table", minutes=2)

    assert isinstance(together.activation, Activation)
    moved = {move.registry_id for move in together.activation.moves}
    assert moved == {"op_status_table", "drift_signals", "governance_scorecard"}
    assert built.active("op_status_table") != before


def test_a_scorecard_that_was_disabled_while_active_does_not_keep_the_status_table(built: World) -> None:
    (built.root / "registry-pipeline.toml").write_text('disabled = ["governance_scorecard"]\n', encoding="utf-8")
    world = World(load_repository(built.root))
    scorecard_before, table_before = world.active("governance_scorecard"), world.active("op_status_table")

    result = world.build(minutes=1)

    assert isinstance(result.activation, Activation)
    assert "POINTER_INPUTS_MIXED" in {finding.code for finding in result.findings}
    assert (world.active("governance_scorecard"), world.active("op_status_table") == table_before) == (
        scorecard_before,
        False,
    )


def configure(world: World, lines: str) -> World:
    path = world.root / "registry-pipeline.toml"
    path.write_text(f"{lines}\n{path.read_text(encoding='utf-8') if path.exists() else ''}", encoding="utf-8")
    return World(load_repository(world.root))


def build_executables(world: World) -> dict[str, Any]:
    (row,) = world.build("governance_scorecard", only=True).built
    assert row.run is not None
    document = json.loads((world.root / row.run.ref.path / "GOVERNANCE_SCORECARD_v0_2.json").read_bytes())
    figures: dict[str, Any] = document["executables"]
    return figures


TOOLS = ("tools/a.py", "tools/deep/er/b.py", "tools/deep/__init__.py", "tools/notes.md", "bin/run", "other/c.py")
COUNTED = ["bin/run", "tools/a.py", "tools/deep/er/b.py"]


@pytest.mark.parametrize("glob", ["tools/*.py", "tools/**/*.py"])
def test_executables_are_found_at_any_depth_and_only_if_git_tracks_them(world: World, glob: str) -> None:
    write(world.root, dict.fromkeys((*TOOLS, ".codex/RUNS/a_copy/tools/a.py"), ""))
    git(world.root, "add", "--force", "--all")
    write(world.root, {"tools/untracked.py": ""})
    (world.root / "tools/a.py").with_name("gone.py").write_text("")
    git(world.root, "add", "tools/gone.py")
    (world.root / "tools/gone.py").unlink()

    figures = build_executables(configure(world, f'executables = ["bin/*", "{glob}", "*/RUNS/*.py", "!*/__init__.py"]'))

    assert figures["orphaned"] == COUNTED
    assert (figures["total"], figures["rate"]) == (3, {"count": 0, "of": 3, "percent": 0.0})


def test_outside_git_all_files_count(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(TOOLS, "") | CATALOG)
    (tmp_path / ".codex/RUNS").mkdir(parents=True)

    figures = build_executables(World(load_repository(tmp_path)))

    assert figures["orphaned"] == ["bin/run", "tools/deep/er/b.py"]
    assert figures["rate"] == {"count": 1, "of": 3, "percent": 33.3}


CATALOG = {
    "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md": "## Option A\n### OP-A01: One\nBound Executables:\n- `./tools/a.py -x`\n",
    "OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md": "| OP-A01 | A | E1 | C3 | why |\n",
}


def test_without_any_pattern_no_executable_is_found_and_there_is_no_rate(world: World) -> None:
    figures = build_executables(configure(world, "executables = []"))

    assert (figures["total"], figures["orphaned"], figures["rate"]["percent"]) == (0, [], None)


def test_a_registry_without_a_source_does_not_count_until_it_has_one(world: World) -> None:
    source = world.root / INDEX
    content = source.read_text(encoding="utf-8")
    source.unlink()
    world.build()
    before = scorecard(world)["registries"]["sealed_with_source"]["of"]
    source.write_text(content, encoding="utf-8")
    world.build(minutes=1)

    figures = scorecard(world)["registries"]

    assert figures["sealed_with_source"]["of"] == before + 1
    assert figures["total"] == len(SHIPPED.registries)


def test_what_counts_is_what_status_calls_in_use_apart_from_records_and_the_scorecard_itself(built: World) -> None:
    built.build("governance_scorecard", minutes=1)

    in_use = {row["registry_id"] for row in read_status(built.repository, NOON).registries if row["in_use"]}
    sealed = scorecard(built)["registries"]["sealed_with_source"]
    assert sealed["of"] == len(in_use - {"governance_scorecard"})
