"""Run folders whose line endings git converted: one finding for each run root, with a remedy that works."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.line_ends import fold_line_end_damage
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.registries.repositories import git

LATER = "2026-03-02T12:00:00Z"
CODE = "DOCTOR_LINE_ENDS_CONVERTED"


@pytest.fixture
def converted(tracked: Repository, tmp_path: Path) -> Repository:
    """A clone, by a git that converts line endings, of a repository that tracks runs in two run roots."""
    for damaged in ("legacy", "two_roots"):
        shutil.rmtree(tracked.runs / damaged, ignore_errors=True)
    run = tracked.runs / tracked.active("run_registry")
    shutil.copytree(run, tracked.root / "reports/runs" / run.name)
    (tracked.root / ".gitattributes").write_text("* text=auto\n")
    git(tracked.root, "add", "--force", "--all")
    git(tracked.root, "commit", "-q", "-m", "without rules for line endings")
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "-c", "core.autocrlf=true", "clone", "-q", tracked.root, clone], check=True, capture_output=True
    )
    git(clone, "config", "core.autocrlf", "true")
    return Repository(clone, tracked.home)


def list_findings(text: str) -> list[str]:
    return [line for line in text.splitlines() if "INVALID: " in line or "DOCTOR_FINDING: " in line]


def test_verify_reports_one_finding_for_each_run_root(converted: Repository) -> None:
    text = converted("verify", "--all", now=LATER).out

    assert [line.split()[2] for line in list_findings(text) if CODE in line] == [".codex/RUNS:", "reports/runs:"]
    assert not any(code in text for code in ("HASHFILE_CONTENT", "SEAL_BROKEN_EOL", "CHAIN_RECORD_EDITED"))
    assert "SEAL_INVALID: SEAL_BROKEN_EOL" in converted("verify", "--all", "-v", now=LATER).out


def test_json_and_the_exit_code_do_not_depend_on_the_folding(converted: Repository) -> None:
    result = converted("verify", "--all", "--json", now=LATER)
    codes = {f["code"] for r in result.document("verify")["results"] for f in r["findings"]}

    assert result.code == converted("verify", "--all", now=LATER).code == 3
    assert {"SEAL_BROKEN_EOL", "WARN_CRLF", "HASHFILE_CONTENT"} <= codes
    assert CODE not in codes


def test_a_folder_that_was_also_altered_keeps_its_findings(converted: Repository) -> None:
    run_id = converted.active("drift_signals")
    flip_byte(converted.runs / run_id / "DRIFT_SIGNALS_v0_1.json")

    lines = list_findings(converted("verify", "--all", now=LATER).out)

    assert any("WARN_CRLF" in line for line in lines if run_id in line)
    assert any("HASH_MISMATCH" in line or "SIZE_MISMATCH" in line for line in lines if run_id in line)
    assert any(CODE in line for line in lines)


def test_status_names_the_cause_and_doctor_diagnoses_every_run_root(converted: Repository) -> None:
    status, doctor = converted("status", now=LATER), converted("doctor", now=LATER)

    assert [line.split()[1] for line in list_findings(status.out)][:1] == [CODE]
    assert [line.split()[2] for line in list_findings(doctor.out) if CODE in line] == [".codex/RUNS:", "reports/runs:"]
    document = converted("doctor", "--json", now=LATER).document("doctor")
    assert {f["path"] for f in document["findings"] if f["code"] == "DOCTOR_LINE_ENDS"} >= {
        ".codex/RUNS",
        "reports/runs",
    }


def test_the_remedy_repairs_it(converted: Repository) -> None:
    assert converted("init").code == 0
    for folder in (".codex/RUNS", "reports/runs"):
        shutil.rmtree(converted.root / folder)
        git(converted.root, "checkout", "--", folder)

    converted("doctor", "--fix", now=LATER)
    doctor = converted("doctor", "--json", now=LATER).document("doctor")

    assert not [f for f in doctor["findings"] if "LINE_ENDS" in f["code"]]
    assert converted("verify", "--active", now=LATER).code == 0


def test_a_run_folder_without_a_folder_above_it_is_reported_too() -> None:
    (folded,) = fold_line_end_damage([finding("WARN_CRLF", "run/MANIFEST.sha256")])

    assert (folded.code, folded.path, folded.severity.value) == (CODE, ".", "warning")


def test_findings_without_converted_files_are_returned_as_they_are() -> None:
    findings = [finding("HASH_MISMATCH", "runs/a/x.json"), finding("DOCTOR_LINE_ENDS", "runs", detail="auto")]

    assert fold_line_end_damage(findings) == findings
