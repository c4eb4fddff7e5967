from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dagster import AssetCheckSeverity, AssetKey

from registry_pipeline.canonical import utc_text
from registry_pipeline.defs.resources import COMMIT_TAG, TREE_TAG
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline import verify as pipeline_verify
from registry_pipeline.pointers import find_runs
from registry_pipeline.registries import catalog
from registry_pipeline_tests.defs.conftest import (
    REGISTRIES,
    DagsterRepo,
    FirstRebuild,
    checks_of,
    failure_of,
    handed_on,
    page_of,
    roots_of,
    troubles,
    verdicts_of,
)
from registry_pipeline_tests.defs.event_log import newest


def test_a_rebuild_seals_one_valid_folder_per_registry_and_moves_no_pointer(first_rebuild: FirstRebuild) -> None:
    repo, result = first_rebuild.repo, first_rebuild.result

    made = repo.folders() - first_rebuild.folders_before
    runs = [find_runs.find_run(repo.repository, name) for name in made]
    verdicts = [checked.verdict for checked in pipeline_verify.check_runs(runs, None)]

    assert {page_of(result, name)["run_id"] for name in REGISTRIES} == made
    assert {verdict.root_sha256 for verdict in verdicts} == set(roots_of(result).values())
    assert all(verdict.passed for verdict in verdicts)
    for name in REGISTRIES:
        assert verdicts_of(result, name) == dict.fromkeys(catalog.SHIPPED.spec_of(name).check_names, True)
    assert repo.repository.pointer_path.read_bytes() == first_rebuild.pointers_before


def test_all_folders_of_a_run_have_its_start_time_and_git_state(first_rebuild: FirstRebuild) -> None:
    repo, result = first_rebuild.repo, first_rebuild.result

    record = repo.instance.get_run_record_by_id(result.run_id)
    envelopes = [repo.run_json(page_of(result, name)["run_id"]) for name in REGISTRIES]

    assert record is not None
    assert record.start_time is not None
    tags = record.dagster_run.tags
    assert {e["created_utc"] for e in envelopes} == {utc_text(datetime.fromtimestamp(record.start_time, UTC))}
    assert {e["dagster_run_id"] for e in envelopes} == {result.run_id}
    assert {(e["git_commit"], e["working_tree_state"]) for e in envelopes} == {(tags[COMMIT_TAG], tags[TREE_TAG])}


def test_git_is_read_once_per_run(first_rebuild: FirstRebuild) -> None:
    assert first_rebuild.git_asked_in == [first_rebuild.result.run_id]


def test_the_asset_page_shows_the_folder_its_root_hash_and_numbers_to_plot(first_rebuild: FirstRebuild) -> None:
    page = page_of(first_rebuild.result, "drift_signals")
    rows = page_of(first_rebuild.result, "run_registry")

    assert page["run_folder"] == str(first_rebuild.repo.repository.publish_root / page["run_id"])
    assert (page["state"], page["dagster/row_count"], page["canon_dirty"]) == ("sealed", 1, 0)
    assert page["preview"].startswith("```json")
    assert rows["preview"].startswith("| registry_version | run_id |")
    columns = {column.name: column.type for column in rows["columns"].columns}
    assert (columns["run_key"], columns["files"], columns["warnings"]) == ("string", "array", "array")
    assert "changed_records" not in rows, "nothing is active: so there is no change to show"


def test_the_page_shows_how_records_changed_since_the_active_snapshot(activated: DagsterRepo) -> None:
    result = activated.rebuild()

    page = page_of(result, "run_registry")
    new_folders = len(REGISTRIES) + 4  # the rebuild's, two activation records, the report and the delta log
    assert page["changed_records"] == f"{new_folders} added, 0 removed since the active run"


def test_the_data_version_is_the_hash_of_the_content_without_its_timestamps(rebuilt: DagsterRepo) -> None:
    first = rebuilt.instance.get_latest_materialization_event(_key("drift_signals"))
    rebuilt.materialize("expected_versions")
    second = rebuilt.instance.get_latest_materialization_event(_key("expected_versions"))

    assert first is not None
    assert second is not None
    for event in (first, second):
        assert event.asset_materialization is not None
        tags = event.asset_materialization.tags or {}
        assert len(tags["dagster/data_version"]) == 64
        assert tags["dagster/code_version"].startswith("0.1+")


def test_an_unchanged_capture_makes_no_folder_and_is_checked_again(activated: DagsterRepo) -> None:
    active = activated.active()["expected_versions"]

    result = activated.rebuild()

    page = page_of(result, "expected_versions")
    assert (page["state"], page["run_id"]) == ("unchanged", active.run_id)
    assert verdicts_of(result, "expected_versions") == {"seal": True, "schema": True, "rules": True}
    drift = activated.run_json(page_of(result, "drift_signals")["run_id"])
    used = {i["registry_id"]: i["sealed_ref"]["run_id"] for i in drift["inputs"]["registries"]}
    assert used["expected_versions"] == active.run_id


@pytest.mark.parametrize(
    ("damage", "code", "severity"),
    [
        (None, "CAPTURE_MISSING", AssetCheckSeverity.WARN),
        (b"{", "CAPTURE_MALFORMED", AssetCheckSeverity.ERROR),
    ],
)
def test_a_capture_without_a_source_fails_its_check_and_skips_no_other_asset(
    fresh: DagsterRepo, damage: bytes | None, code: str, severity: AssetCheckSeverity
) -> None:
    source = fresh.repository.path(fresh.repository.config.expected_versions)
    source.unlink() if damage is None else source.write_bytes(damage)

    result = fresh.rebuild()

    page = handed_on(result, "expected_versions")
    assert result.success, troubles(result)
    assert (page["state"], page["run_id"]) == ("not built", "none")
    assert code in [row["code"] for row in page["findings"]]
    assert page_of(result, "drift_signals")["state"] == "sealed"
    assert verdicts_of(result, "expected_versions") == {"seal": False, "schema": False, "rules": False}
    check = checks_of(result, "expected_versions")["source"]
    assert (check.passed, check.severity, check.blocking) == (False, severity, False)
    assert "its source made no run" not in str(fresh.requested())


def test_a_capture_that_lost_its_source_returns_the_active_snapshot_and_does_not_look_fresh(
    activated: DagsterRepo,
) -> None:
    before = newest(activated, "expected_versions")
    activated.repository.path(activated.repository.config.expected_versions).unlink()

    result = activated.rebuild()

    page = handed_on(result, "expected_versions")
    assert page["run_id"] == activated.active()["expected_versions"].run_id
    assert "CAPTURE_MISSING" in [row["code"] for row in page["findings"]]
    drift = activated.run_json(page_of(result, "drift_signals")["run_id"])
    assert page["run_id"] in {i["sealed_ref"]["run_id"] for i in drift["inputs"]["registries"]}
    check = checks_of(result, "expected_versions")["source"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.ERROR)
    assert newest(activated, "expected_versions") == before


def test_a_disabled_registry_returns_its_active_snapshot_with_a_warning_that_names_the_key(
    activated: DagsterRepo,
) -> None:
    toml = activated.repository.root / "registry-pipeline.toml"
    text = toml.read_text(encoding="utf-8") if toml.exists() else ""
    toml.write_text(f'disabled = ["expected_versions"]\n{text}', encoding="utf-8")

    result = activated.rebuild()

    assert result.success, troubles(result)
    assert handed_on(result, "expected_versions")["run_id"] == activated.active()["expected_versions"].run_id
    assert page_of(result, "drift_signals")["state"] == "sealed"
    check = checks_of(result, "expected_versions")["source"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert "`disabled`" in str(check.description)
    page = handed_on(result, "expected_versions")
    assert [row["code"] for row in page["findings"]] == ["CONFIG_REGISTRY_DISABLED"]


def test_an_error_of_the_pipeline_is_shown_with_its_advice_and_no_traceback(
    fresh: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise EvidenceError("the upstream is not what was sealed", "rebuild it")

    monkeypatch.setattr(steps, "build", refuse)

    result = fresh.rebuild()

    assert failure_of(result, "run_registry") == "the upstream is not what was sealed"
    failed = result.failure_data_for_node("run_registry")
    assert failed is not None
    assert failed.user_failure_data is not None
    assert failed.user_failure_data.metadata["advice"].value == "rebuild it"


def test_a_removed_run_fails_its_blocking_check_and_stops_its_dependants(activated: DagsterRepo) -> None:
    pointers = activated.repository.pointer_path.read_bytes()
    gone = activated.repository.publish_root / "legacy"
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()

    result = activated.rebuild()

    assert not result.success
    assert verdicts_of(result, "run_registry") == {"seal": True, "schema": True, "rules": False}
    assert not result.asset_materializations_for_node("op_status_table")
    assert not result.asset_materializations_for_node("drift_signals")
    assert set(activated.asked_for()) == {"governance_scorecard"}  # which rests on nothing
    assert activated.repository.pointer_path.read_bytes() == pointers


def _key(name: str) -> AssetKey:
    return AssetKey(name)
