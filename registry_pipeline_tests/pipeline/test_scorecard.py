"""The scorecard of a repository, recomputed from its documents and folders in another way."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.sealed_input import read_active_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.pipeline.conftest import World


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
    assert document["executables"] == {
        "bound": len(bound),
        "missing": sorted(name for name in bound if not any(job in name for job in jobs)),
    }


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
    assert sealed.inputs.upstream() == {}
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
