"""The bytes that earlier tools wrote, from the same files with the same clock, in the same order."""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.config import Repository
from registry_pipeline.git.repository import read_git_state
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.captured.build import build_captured
from registry_pipeline.registries.captured.read import read_expected_versions_inputs
from registry_pipeline.registries.drift_signals.build import build_drift_signals
from registry_pipeline.registries.drift_signals.read import read_drift_signals_inputs
from registry_pipeline.registries.op_status_table.build import build_op_status_table
from registry_pipeline.registries.op_status_table.read import read_op_status_table_inputs
from registry_pipeline.registries.run_registry.build import build_run_registry
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline_tests.registries.builder_values import NOON

EXPECTED = Path(__file__).parents[1] / "known_answers" / "expected"


def built(repository: Repository) -> dict[str, Artifacts]:
    state = read_git_state(repository.root, repository.config.run_roots)
    context = BuildContext(NOON, "2026-03-01T12:00:00Z", state)
    made: dict[str, Artifacts] = {}
    for registry_id, read, build in (
        ("run_registry", read_run_registry_inputs, build_run_registry),
        ("expected_versions", read_expected_versions_inputs, build_captured),
        ("op_status_table", read_op_status_table_inputs, build_op_status_table),
        ("drift_signals", read_drift_signals_inputs, build_drift_signals),
    ):
        upstream = {name: artifacts.files for name, artifacts in made.items()}
        gathered = read(repository, SourceContext(upstream=upstream))
        assert gathered.findings == ()
        made[registry_id] = build(gathered.inputs, context)
    return made


def test_the_bytes_are_those_of_the_earlier_tools(answered: Repository) -> None:
    made = built(answered)

    for registry_id, name in (
        ("run_registry", "RUN_REGISTRY_v0_1.jsonl"),
        ("op_status_table", "OPERATION_STATUS_TABLE_v0_1.json"),
        ("drift_signals", "DRIFT_SIGNALS_v0_1.json"),
    ):
        assert made[registry_id].files[name] == (EXPECTED / name).read_bytes()


def test_building_twice_gives_the_same_bytes(answered: Repository) -> None:
    assert built(answered) == built(answered)
