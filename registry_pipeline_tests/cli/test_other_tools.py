"""A repository with run folders of another tool: adapted envelopes, hash lists, a YAML catalog, drift by paths."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.registries.repositories import commit, git, repository

TOML = """\
run_roots = [".codex/RUNS", "rig/runs"]
operations_catalog = ["catalog.md", "operations.yaml"]
coverage_matrix = ["matrix.md"]
op_drift = "paths"

[[adapters]]
root = "rig/runs"
file = "meta.json"
run_id = "id"
created_utc = "times.start"
operation_id = "job"
git_commit = "source.commit"
"""
FILES = {
    ".gitignore": "/.codex/\n/rig/runs/\n",
    "registry-pipeline.toml": TOML,
    "catalog.md": "## Option A\n### OP-A01: Ingest\n\nBound Executables:\n- `python jobs/ingest.py --all`\n",
    "operations.yaml": 'catalog_version: "0.1"\noperations:\n'
    "  - {operation_id: OP-B01, option: B, name: Forecast, executables: [rig/forecast.sh], coverage_level: C4}\n",
    "matrix.md": "| OP-A01 | A | x | C3 | y |\n",
    "jobs/ingest.py": "1\n",
    "rig/forecast.sh": "1\n",
}


def sha256sum(folder: Path) -> None:
    """Let the real tool write the list, as the rig does."""
    names = sorted(path.name for path in folder.iterdir())
    with (folder / "MANIFEST.sha256").open("wb") as file:
        subprocess.run(["sha256sum", *names], cwd=folder, stdout=file, check=True)


def rig_run(root: Path, name: str, commit_id: str, **meta: Any) -> Path:
    folder = root / "rig/runs" / name
    folder.mkdir(parents=True)
    envelope = {
        "id": name,
        "job": "OP-B01",
        "times": {"start": "2026-02-28T00:00:00Z"},
        "source": {"commit": commit_id},
    }
    (folder / "meta.json").write_text(json.dumps(envelope | meta))
    (folder / "surge.csv").write_text("hour,mm\n0,12\n")
    sha256sum(folder)
    return folder


@pytest.fixture
def rig(tmp_path: Path, home: Path) -> Any:
    root = repository(tmp_path / "rig")
    first = commit(root, FILES)
    second = commit(root, {"jobs/ingest.py": "2\n"})
    rig_run(root, "b1", first)
    run = root / ".codex/RUNS/a1"
    run.mkdir(parents=True)
    run_json = {"run_id": "a1", "operation_id": "OP-A01", "git_commit": first, "created_utc": "2026-02-27T00:00:00Z"}
    (run / "run.json").write_text(json.dumps(run_json))
    assert git(root, "rev-parse", "HEAD") == second
    yield Repository(root, home)
    make_removable(root)


def status_rows(rig: Repository) -> dict[str, Any]:
    built = rig("build", "op_status_table", "run_registry", "--only", "--json").document("build")
    run_id = next(each["run_id"] for each in built["built"] if each["registry_id"] == "op_status_table")
    rows = json.loads((rig.runs / run_id / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes())
    return {row["operation_id"]: row for row in rows}


def test_an_adapted_run_is_evidence_and_only_changed_operations_drift(rig: Repository) -> None:
    rows = status_rows(rig)

    adapted, ours = rows["OP-B01"], rows["OP-A01"]
    assert (adapted["run_evidence_state"], adapted["last_run_id"], adapted["run_json_state"]) == (
        "OBSERVED",
        "b1",
        "MISSING",
    )
    assert (adapted["coverage_level"], adapted["staleness_days"], adapted["op_drift"]) == ("C4", 1, False)
    assert (ours["op_drift"], ours["op_drift_reasons"]) == (True, ["op_drift_paths_touched"])


def test_a_run_of_a_commit_outside_history_has_an_unknown_status(rig: Repository) -> None:
    rig_run(rig.root, "b2", "d" * 40, times={"start": "2026-03-01T00:00:00Z"})

    row = status_rows(rig)["OP-B01"]

    assert (row["last_run_id"], row["op_drift"]) == ("b2", None)
    assert row["warnings"][-1] == "op_drift unknown: the commit of the latest run is not in the history"


def test_folders_with_a_hash_list_fail_only_if_they_are_named(rig: Repository) -> None:
    every = rig("verify", "--all", "--json")
    by_run = {each["run_id"]: each for each in every.document("verify")["results"]}
    assert every.document("verify")["verdict"] == "none"  # a list of hashes is no seal
    assert (every.code, by_run["b1"]["verdict"], by_run["b1"]["root_sha256"]) == (7, "partial", None)
    assert [(f["code"], f["severity"]) for f in by_run["b1"]["findings"]] == [("HASHES_VERIFIED", "info")]
    assert rig("verify", "--all", "--require-sealed").code == 3
    for word in ("b1", "rig/runs/b1"):
        result = rig("verify", word, "--json")
        codes = {f["code"]: f["severity"] for f in result.document("verify")["results"][0]["findings"]}
        assert (result.code, codes) == (3, {"PARTIAL": "error", "HASHES_VERIFIED": "info"})
    assert "HASHES_FINDING: HASHES_VERIFIED rig/runs/b1: 2 files match" in rig("verify", "--all").out


def test_one_changed_byte_in_a_listed_folder_fails(rig: Repository) -> None:
    (rig.root / "rig/runs/b1/surge.csv").write_text("hour,mm\n0,13\n")

    result = rig("verify", "--all", "--json")

    by_run = {each["run_id"]: each for each in result.document("verify")["results"]}
    assert (result.code, by_run["b1"]["verdict"]) == (3, "fail")
    assert [f["code"] for f in by_run["b1"]["findings"]] == ["HASH_MISMATCH"]


def test_older_runs_count_for_the_operation_that_the_configuration_or_their_name_states(rig: Repository) -> None:
    for name in ("p1_20260120_001", "p1_20260120_002", "OP-B01__replay__7"):
        folder = rig.root / "rig/runs" / name
        folder.mkdir()
        (folder / "RUN.md").write_text("# An evidence run\n")
    make_removable(rig.root / "rig/runs/b1")
    shutil.rmtree(rig.root / "rig/runs/b1")
    shutil.rmtree(rig.runs / "a1")
    assert {row["run_evidence_state"] for row in status_rows(rig).values()} == {"LEGACY_ONLY"}

    # The cache of lines was written without these adapters.
    adapters = """
[[adapters]]
root = "rig/runs"
file = "RUN.md"
path_pattern = "p1_*"
constants = {operation_id = "OP-A01", option = "A", run_type = "evidence"}

[[adapters]]
root = "rig/runs"
file = "RUN.md"
path_pattern = "{operation_id}__{run_type}__*"
"""
    with (rig.root / "registry-pipeline.toml").open("a") as file:
        file.write(adapters)
    rows = status_rows(rig)

    latest = {name: (row["run_evidence_state"], row["last_run_id"]) for name, row in rows.items()}
    assert latest == {"OP-A01": ("OBSERVED", "p1_20260120_002"), "OP-B01": ("OBSERVED", "OP-B01__replay__7")}
    registry = max(rig.runs.glob("*__run_registry_build*/RUN_REGISTRY_v0_1.jsonl")).read_text()
    lines = [line for line in map(json.loads, registry.splitlines()) if line["operation_id"] == "OP-A01"]
    assert [(line["run_type"], line["option"], line["warnings"][-1]) for line in lines] == [
        ("evidence", "A", "envelope read by adapter RUN.md")
    ] * 2


def test_a_past_day_is_built_again_when_an_adapter_states_another_operation(rig: Repository) -> None:
    toml = rig.root / "registry-pipeline.toml"
    text = toml.read_text().replace('operation_id = "job"', 'constants = {operation_id = "OP-B01"}')
    toml.write_text(text.replace('op_drift = "paths"', "history_start = 2026-02-28"))

    def observed() -> dict[str, str | None]:
        built = rig("build", "drift_signals_daily", "--as-of", "2026-02-28", "--json").document("build")["built"]
        table = json.loads((rig.runs / built[0]["run_id"] / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes())
        return {row["operation_id"]: row["last_run_id"] for row in table}

    assert observed() == {"OP-A01": "a1", "OP-B01": "b1"}
    toml.write_text(toml.read_text().replace('"OP-B01"', '"OP-A01"'))
    assert observed() == {"OP-A01": "b1", "OP-B01": None}


def test_the_build_reports_what_an_adapter_cannot_read_and_continues(rig: Repository) -> None:
    rig_run(rig.root, "copy", "d" * 40, id="b1")
    (rig.root / "rig/runs/b1/meta.json").write_bytes(b"\x00garbage")

    result = rig("build", "run_registry", "--only", "--json")

    document = result.document("build")
    assert (result.code, document["built"][0]["records"]) == (0, 3)
    assert [f["path"] for f in document["findings"] if f["code"] == "ADAPTER_RUN_ID_MISMATCH"] == [
        "rig/runs/copy/meta.json"
    ]


def test_a_malformed_yaml_catalog_builds_no_status_table_and_names_the_line(rig: Repository) -> None:
    with (rig.root / "operations.yaml").open("a") as file:
        file.write("  - {operation_id: OP-B02, option: B}\n")

    result = rig("build", "--json")

    document = result.document("build")
    assert result.code == 7
    assert "op_status_table" in document["not_built"]
    (found,) = [f for f in document["findings"] if f["code"] == "CATALOG_MALFORMED"]
    assert (found["path"], found["location"]) == ("operations.yaml", "4:1")


def test_an_operation_that_differs_in_two_documents_is_reported(rig: Repository) -> None:
    with (rig.root / "catalog.md").open("a") as file:
        file.write("\n## Option B\n### OP-B01: Prediction\n")

    document = rig("build", "--json").document("build")

    (found,) = [f for f in document["findings"] if f["code"] == "CATALOG_CONTRADICTION"]
    assert (found["path"], found["location"], found["expected"], found["got"]) == (
        "operations.yaml",
        "3:1",
        "Prediction",
        "Forecast",
    )
