"""The health report and the documents of the example show the planned conditions."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.config import load_repository
from registry_pipeline.git.repository import read_git_state
from registry_pipeline.git.values import GitState
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.drift_signals.build import build_drift_signals
from registry_pipeline.registries.drift_signals.read import read_drift_signals_inputs
from registry_pipeline.registries.op_status_table.build import build_op_status_table
from registry_pipeline.registries.op_status_table.read import read_op_status_table_inputs
from registry_pipeline.registries.run_registry.build import build_run_registry
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline_tests.example.conftest import Written

pytestmark = pytest.mark.process

REGISTRY = "RUN_REGISTRY_v0_1.jsonl"
TABLE = "OPERATION_STATUS_TABLE_v0_1.json"
DRIFT = "DRIFT_SIGNALS_v0_1.json"
VERSIONS = "EXPECTED_VERSIONS_v0_1_snapshot.json"


@pytest.fixture(scope="module")
def artifacts(written: Written) -> Mapping[str, bytes]:
    repository = load_repository(written.root)
    git = read_git_state(repository.root, (*repository.config.run_roots, ".codex"))
    context = BuildContext(written.example.end, utc_text(written.example.end), git)
    gathered = read_run_registry_inputs(repository, SourceContext())
    registry = build_run_registry(gathered.inputs, context).files
    upstream = {
        "run_registry": registry,
        "expected_versions": {VERSIONS: (written.root / repository.config.expected_versions).read_bytes()},
    }
    gathered = read_op_status_table_inputs(repository, SourceContext(upstream=upstream))
    table = build_op_status_table(gathered.inputs, context).files
    gathered = read_drift_signals_inputs(repository, SourceContext(upstream={**upstream, "op_status_table": table}))
    assert git == GitState(written.commit_ids[-1], "clean")
    return {**registry, **table, **build_drift_signals(gathered.inputs, context).files}


def operations(artifacts: Mapping[str, bytes], key: str, value: object) -> set[str]:
    rows: list[dict[str, Any]] = json.loads(artifacts[TABLE])
    return {row["operation_id"] for row in rows if row[key] == value}


def test_every_run_folder_is_registered(written: Written, artifacts: Mapping[str, bytes]) -> None:
    lines = [json.loads(line) for line in artifacts[REGISTRY].splitlines()]

    assert len(lines) == len(written.runs) == 358
    assert {f"{line['run_root']}/{line['run_id']}" for line in lines} == set(written.example.paths)


def test_operations_without_a_run_are_those_two_and_the_layers(artifacts: Mapping[str, bytes]) -> None:
    layer = {f"OP-QA{number:02d}" for number in range(7, 18)}

    assert operations(artifacts, "run_evidence_state", "LEGACY_ONLY") == {"OP-C05", "OP-QA06"} | layer
    assert len(operations(artifacts, "run_evidence_state", "OBSERVED")) == 30


def test_some_operations_drift_and_some_do_not(artifacts: Mapping[str, bytes]) -> None:
    assert len(operations(artifacts, "op_drift", value=False)) == 14
    assert operations(artifacts, "op_drift_reasons", ["op_drift_last_run_dirty"]) == {"OP-B02", "OP-D02"}
    assert len(operations(artifacts, "op_drift_reasons", ["op_drift_commit_mismatch"])) == 14


def test_one_operation_has_left_runs_in_two_roots(artifacts: Mapping[str, bytes]) -> None:
    warning = ["multiple run roots observed; using latest by created_utc"]

    assert operations(artifacts, "warnings", warning) == {"OP-B08"}


def test_the_threshold_pack_is_behind_what_is_expected(artifacts: Mapping[str, bytes]) -> None:
    drift = json.loads(artifacts[DRIFT])

    assert drift["system_drift"] == {
        "canon_dirty": False,
        "schema_drift": False,
        "threshold_drift": True,
        "threshold_drift_computed": True,
    }
    assert (drift["expected"]["threshold_pack"]["expected"], drift["expected"]["threshold_pack"]["observed"]) == (
        "v0.3",
        "v0.2",
    )
    assert json_document(drift) == artifacts[DRIFT]
