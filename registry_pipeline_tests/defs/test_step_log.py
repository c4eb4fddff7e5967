"""What the steps write into the log of their run."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from dagster import ExecuteInProcessResult

from registry_pipeline.defs import step_log
from registry_pipeline.findings.codes import finding
from registry_pipeline_tests.defs.conftest import DagsterRepo, FirstRebuild, page_of


def lines(repo: DagsterRepo, run_id: str, step: str) -> list[tuple[str, str]]:
    """Return the level and the text of the lines that a step wrote by itself."""
    entries = [entry for entry in repo.instance.all_logs(run_id) if not entry.is_dagster_event]
    return [
        (logging.getLevelName(entry.level), entry.user_message)
        for entry in entries
        if entry.step_key == step and entry.user_message
    ]


def root_of(result: ExecuteInProcessResult, registry_id: str) -> str:
    page = page_of(result, registry_id)
    return f"{page['run_id']}, root {page['ROOT_SHA256']}"


def test_a_build_logs_what_it_read_built_and_sealed(first_rebuild: FirstRebuild) -> None:
    repo, result = first_rebuild.repo, first_rebuild.result

    logged = lines(repo, result.run_id, "drift_signals")

    upstream = {text for level, text in logged if "reads the run of its step" in text}
    assert {text.split(":")[0] for text in upstream} == {"run_registry", "op_status_table", "expected_versions"}
    assert any(root_of(result, "run_registry") in text for text in upstream)
    (built,) = [text for _, text in logged if text.startswith("built ")]
    inputs = repo.run_json(page_of(result, "drift_signals")["run_id"])["inputs"]
    files, runs = len(inputs["files"]), len(inputs["registries"])
    assert built == f"built 1 records from {files} files and {runs} sealed runs"
    assert logged[-1][1].startswith("sealed: .codex/RUNS/")
    assert logged[-1][1].endswith(root_of(result, "drift_signals"))


def test_a_step_logs_a_few_lines(first_rebuild: FirstRebuild) -> None:
    entries = first_rebuild.repo.instance.all_logs(first_rebuild.result.run_id)

    counts = Counter(entry.step_key for entry in entries if not entry.is_dagster_event)

    assert counts
    assert max(counts.values()) <= 8


def test_a_check_logs_the_folder_and_its_verdict(first_rebuild: FirstRebuild) -> None:
    run_id = page_of(first_rebuild.result, "run_registry")["run_id"]

    logged = lines(first_rebuild.repo, first_rebuild.result.run_id, "check_run_registry")

    assert logged[0] == ("INFO", f"checked .codex/RUNS/{run_id}: pass")


def test_a_source_that_is_missing_is_a_line_of_its_severity_with_its_next_step_and_what_is_handed_on(
    activated: DagsterRepo,
) -> None:
    activated.repository.path(activated.repository.config.expected_versions).unlink()

    logged = lines(activated, activated.rebuild().run_id, "expected_versions")

    (level, text), (_, handed_on) = logged
    assert level == "WARNING"
    assert text.startswith("CAPTURE_MISSING: ")
    assert ". Next: " in text
    assert activated.active()["expected_versions"].run_id in handed_on


def test_an_unchanged_capture_is_logged_as_unchanged(activated: DagsterRepo) -> None:
    result = activated.rebuild()

    logged = lines(activated, result.run_id, "expected_versions")

    assert logged[-1] == ("INFO", f"unchanged: .codex/RUNS/{root_of(result, 'expected_versions')}")


def test_an_activation_logs_its_record_and_the_report(rebuilt: DagsterRepo) -> None:
    result = rebuilt.execute_request(rebuilt.requested())

    moved = lines(rebuilt, result.run_id, "active_registry_pointers")[-1][1]
    rendered = lines(rebuilt, result.run_id, "system_health_report")[-1][1]
    assert moved.endswith(f"recorded in {page_of(result, 'active_registry_pointers')['activation_record']}")
    assert root_of(result, "system_health_report") in rendered


def test_the_progress_of_a_long_scan_is_logged(fresh: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_log, "_FOLDERS_PER_LINE", 1)

    result = fresh.rebuild()

    logged = lines(fresh, result.run_id, "run_registry")
    assert [text for _, text in logged if text.endswith("run folders so far")]


def test_a_scan_of_a_hundred_thousand_folders_gets_a_dozen_lines(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("a scan")
    with caplog.at_level(logging.INFO, log.name):
        log_progress = step_log.make_progress_logger(log)
        for count in range(0, 100_000, 256):
            log_progress(count)

    assert caplog.messages[0] == "read 8192 run folders so far"
    assert len(caplog.messages) == 12


def test_of_many_findings_the_first_errors_are_logged_and_the_others_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("findings")
    warnings = [finding("WARN_HARDLINK", f"runs/{number}") for number in range(4)]
    with caplog.at_level(logging.INFO, log.name):
        step_log.log_findings(log, [*warnings, finding("UNLISTED_FILE", "runs/a\u202eb")])

    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "WARNING", "INFO"]
    assert caplog.messages[0].startswith("UNLISTED_FILE: runs/a\\u202eb: ")
    assert caplog.messages[-1] == "2 more findings are on the page of the asset or the check"
