"""The pipeline steps together: build, seal, validate, activate, render."""

from __future__ import annotations

import json
import shutil

import pytest

from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pipeline.rebuild import render
from registry_pipeline.pipeline.steps import build, seal
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers.activation import activate, select_activatable
from registry_pipeline.pointers.find_runs import list_all_runs
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.sealed_run import Activation, Built, Refusal, SealedRun
from registry_pipeline_tests.pipeline.conftest import World, all_active

STACK = [row.registry_id for row in SHIPPED.build_order]
REGISTRIES = {row.registry_id for row in SHIPPED.build_order if row.pointer}


def test_a_first_build_activates_every_registry_with_one_record(world: World) -> None:
    outcome = world.build()

    assert [row.registry_id for row in outcome.built] == STACK
    assert {row.registry_id for row in outcome.built if row.activated} == REGISTRIES
    assert all(row.verdict is not None and row.verdict.passed for row in outcome.built)
    assert isinstance(outcome.activation, Activation)
    assert {move.registry_id for move in outcome.activation.moves} == REGISTRIES
    assert sorted(name for name in world.names() if "pointer_activation" in name) == [
        "2026-03-01__120000__pointer_activation",
        "2026-03-01__120000__pointer_activation__02",
    ]


def test_the_report_is_rendered_from_what_is_active(world: World) -> None:
    report = world.build().report
    head = read_chain_state(world.repository).head

    assert isinstance(report, SealedRun)
    assert head is not None
    assert {i.registry_id: i.ref.run_id for i in report.inputs.registries} == {
        name: world.active(name) for name in ("op_status_table", "drift_signals", "run_registry")
    } | {"pointer_activation": head.ref.run_id}


def test_every_folder_that_a_build_seals_verifies(built: World) -> None:
    ours = [run for run in list_all_runs(built.repository) if run.run_id.startswith("2026-03-01__120000__")]

    verdicts = [checked.verdict for checked in check_runs(ours, None)]

    assert len(verdicts) == len(STACK) + 3  # the report and two records
    assert {verdict.verdict for verdict in verdicts} == {"pass"}


def test_the_same_repository_gives_the_same_roots_wherever_it_lies(world: World, built: World) -> None:
    rows = [row for row in world.build().built if row.registry_id in REGISTRIES]
    world_roots = {row.registry_id: row.run.ref.manifest_sha256 for row in rows if row.run is not None}

    pointers = read_pointers(built.repository)

    assert world_roots == {p.registry_id: p.ref.manifest_sha256 for p in pointers.pointers if p.ref is not None}


def test_a_build_leaves_nothing_in_staging(built: World) -> None:
    assert list(built.repository.staging_root.iterdir()) == []


def test_run_json_says_what_a_run_was_built_from(built: World) -> None:
    document = json.loads((built.runs / built.active("drift_signals") / "run.json").read_bytes())

    assert {(i["registry_id"], i["role"]) for i in document["inputs"]["registries"]} == {
        ("op_status_table", "upstream"),
        ("run_registry", "upstream"),
        ("expected_versions", "upstream"),
    }
    assert document["operation_id"] == "OP-QA09"
    assert document["outputs"] == sorted(document["outputs"])
    assert set(document["outputs"]) == {p.name for p in (built.runs / document["run_id"]).iterdir()}


def test_what_is_fed_back_is_named_as_previous_and_not_as_upstream(built: World) -> None:
    before, head = built.active("drift_signals"), read_chain_state(built.repository).head
    assert head is not None
    built.build(minutes=1)
    document = json.loads((built.runs / built.active("op_status_table") / "run.json").read_bytes())
    meta = built.runs / built.active("op_status_table") / "OPERATION_STATUS_TABLE_v0_1.meta.json"

    previous = [i for i in document["inputs"]["registries"] if i["role"] == "previous"]

    assert [i["sealed_ref"]["run_id"] for i in previous] == [before, head.ref.run_id]
    assert json.loads(meta.read_bytes())["drift_signals_run"] == before


def test_an_unchanged_capture_makes_no_new_folder(built: World) -> None:
    before = built.active("expected_versions")

    outcome = built.build(minutes=1)

    captured = next(row for row in outcome.built if row.registry_id == "expected_versions")
    assert captured.reused
    assert built.active("expected_versions") == before


def test_a_second_build_in_the_same_second_takes_the_next_name(built: World) -> None:
    built.build()

    assert built.active("run_registry") == "2026-03-01__120000__run_registry_build__02"


def test_a_missing_source_is_reported_and_stops_no_other_registry(world: World) -> None:
    (world.root / "docs/governance/EXPECTED_VERSIONS_v0_1.json").unlink()

    outcome = world.build()

    drift = json.loads((world.runs / world.active("drift_signals") / "DRIFT_SIGNALS_v0_1.json").read_bytes())
    assert "CAPTURE_MISSING" in {f.code for f in outcome.findings}
    assert {row.registry_id for row in outcome.built if row.activated} == REGISTRIES - {"expected_versions"}
    assert "expected_versions_missing_or_unreadable" in drift["warnings"]


def test_a_removed_run_fails_the_history_and_stops_its_dependants(built: World) -> None:
    resting = ("run_registry", "op_status_table", "drift_signals")
    before = [built.active(name) for name in resting]
    shutil.rmtree(built.runs / "2026-02-01__010000__op-a02")

    outcome = built.build(minutes=1)

    verdict = outcome.built[0].verdict
    assert verdict is not None
    assert [f.code for f in verdict.errors()] == ["RUN_REMOVED"]
    assert {row.registry_id for row in outcome.built} == set(STACK) - set(resting[1:])
    assert [built.active(name) for name in resting] == before


def test_nothing_is_built_on_a_tampered_upstream_and_it_is_named(built: World) -> None:
    run_id = built.active("run_registry")
    built.tamper(run_id, "RUN_REGISTRY_v0_1.jsonl")
    before = built.names()

    with pytest.raises(EvidenceError, match=run_id):
        built.build("op_status_table", minutes=1)

    assert built.names() == before


def test_a_tampered_previous_run_is_reported_and_a_rebuild_repairs_it(built: World) -> None:
    built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")

    outcome = built.build(minutes=1)

    assert "POINTER_SEAL_INVALID" in {f.code for f in outcome.findings}
    assert all_active(outcome)
    assert inspect(built.repository, built.run(2)).findings == ()


def test_a_registry_built_alone_stays_sealed_and_moves_nothing(built: World) -> None:
    before = built.repository.pointer_path.read_bytes()

    outcome = built.build("run_registry", minutes=1, only=True)

    assert outcome.built[0].run is not None
    assert built.repository.pointer_path.read_bytes() == before


def test_a_named_registry_is_built_with_all_that_depends_on_it(built: World) -> None:
    outcome = built.build("op_status_table", minutes=1)

    assert [row.registry_id for row in outcome.built] == ["op_status_table", "drift_signals", "registry_delta_log"]
    assert built.active("op_status_table").startswith("2026-03-01__120100")
    assert built.active("run_registry").startswith("2026-03-01__120000")


def test_a_move_that_would_mix_the_active_set_is_refused(built: World) -> None:
    alone = built.build("run_registry", minutes=1, only=True).built[0]
    assert alone.run is not None
    verdict = validate(built.repository, alone.run)

    refused = activate(built.repository, built.run(2), [(alone.run, verdict)], actor="Ada", reason="why not")

    assert isinstance(refused, Refusal)
    assert {f.code for f in refused.findings} == {"ACTIVATE_MIXED"}


def test_people_may_mix_the_active_set_when_they_say_why(built: World) -> None:
    alone = built.build("run_registry", minutes=1, only=True).built[0]
    assert alone.run is not None
    verdict = validate(built.repository, alone.run)

    moved = activate(
        built.repository, built.run(2), [(alone.run, verdict)], actor="Ada", reason="an incident", allow_mixed=True
    )

    assert isinstance(moved, Activation)
    assert "POINTER_INPUTS_MIXED" in {f.code for f in inspect(built.repository, built.run(3)).findings}


def test_what_cannot_move_alone_waits_and_the_rest_moves(built: World) -> None:
    alone = built.build("run_registry", minutes=1, only=True).built[0]
    assert alone.run is not None

    movable, held = select_activatable(built.repository, [(alone.run, validate(built.repository, alone.run))])

    assert movable == ()
    assert [f.code for f in held] == ["ACTIVATE_MIXED"]


def test_a_step_that_is_tried_again_finds_its_own_folder(world: World) -> None:
    run = world.run(dagster_run_id="a-dagster-run")
    spec = SHIPPED.spec_of("run_registry")
    first = seal(world.repository, run, spec, _built(world, run))

    again = seal(world.repository, run, spec, _built(world, run))

    assert again.ref == first.ref


def test_a_step_that_is_tried_again_with_other_bytes_takes_the_next_name(world: World) -> None:
    run = world.run(dagster_run_id="a-dagster-run")
    spec = SHIPPED.spec_of("run_registry")
    first = seal(world.repository, run, spec, _built(world, run))
    (world.runs / "2026-03-01__000000__new").mkdir()

    again = seal(world.repository, run, spec, _built(world, run))

    assert again.ref.run_id == f"{first.ref.run_id}__02"


def _built(world: World, run: BuildRun) -> Built:
    built = build(world.repository, run, SHIPPED.spec_of("run_registry"), {})
    assert isinstance(built, Built)
    return built


def test_in_a_clone_without_the_runs_a_build_starts_from_nothing(built: World) -> None:
    for name in built.names():
        if name.startswith("2026-03-01__120000__") and "pointer_activation" not in name:
            folder = built.runs / name
            folder.chmod(0o755)
            shutil.rmtree(folder)

    seen = inspect(built.repository, built.run(1))
    outcome = built.build(minutes=1)

    assert {f.code for f in seen.findings} == {"POINTER_RUN_MISSING"}
    assert seen.health.state == "DEGRADED_BLOCKING"
    assert all_active(outcome)


def test_the_report_needs_active_registries(world: World) -> None:
    with pytest.raises(RefusedError, match="none is active"):
        render(world.repository, world.run())
