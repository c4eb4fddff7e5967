"""The verifier and the schemas together, on real folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.registries.base.check_run import check_run, find_more_needed_files, find_needed_files
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cases.layout import Case, find_good_cases

GOOD = [case for case in find_good_cases("schema") if case.name != "good__not_a_registry_run"]


def sealed(case: Case, root: Path) -> Path:
    """Write a case's files as a sealed folder under its run id."""
    files = case.files()
    manifest = build_manifest(make_entry(name, data) for name, data in files.items())
    folder = root / str(json.loads(files["run.json"])["run_id"])
    folder.mkdir()
    seal = {"manifest.json": manifest.manifest_json, "MANIFEST.sha256": manifest.hash_file}
    for name, data in (files | seal).items():
        (folder / name).write_bytes(data)
    return folder


def judgeable(folder: Path) -> SealReport:
    """Verify a folder, and verify it again if it contains files to check whose names only it states."""
    report = verify_folder(folder, keep=find_needed_files(SHIPPED.registries))
    more = find_more_needed_files(report, SHIPPED.registries)
    return verify_folder(folder, keep=find_needed_files(SHIPPED.registries) | more) if more else report


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_registry_run_passes(case: Case, tmp_path: Path) -> None:
    report = judgeable(sealed(case, tmp_path))

    verdict = check_run(report, SHIPPED.registries)

    assert (verdict.findings, verdict.verdict) == ((), "pass")
    assert verdict.root_sha256 == report.root_sha256


def test_an_altered_artifact_is_reported_by_the_seal_and_still_checked_by_the_schema(tmp_path: Path) -> None:
    folder = sealed(Case("schema", "good__drift_signals"), tmp_path)
    path = folder / "DRIFT_SIGNALS_v0_1.json"
    path.write_bytes(path.read_bytes().replace(b'"drift_version": "0.1"', b'"drift_version": "9.9"'))

    verdict = check_run(verify_folder(folder, keep=find_needed_files(SHIPPED.registries)), SHIPPED.registries)

    assert {"HASH_MISMATCH", "SCHEMA_VIOLATION"} <= {f.code for f in verdict.findings}
    assert verdict.verdict == "fail"


def test_a_removed_artifact_fails_by_its_seal(tmp_path: Path) -> None:
    folder = sealed(Case("schema", "good__run_registry"), tmp_path)
    (folder / "RUN_REGISTRY_v0_1.jsonl").unlink()

    verdict = check_run(verify_folder(folder, keep=find_needed_files(SHIPPED.registries)), SHIPPED.registries)

    assert "FILE_MISSING" in {f.code for f in verdict.findings}
