"""Captured registries through Dagster: pages, checks, unchanged sources, and missing sources."""

from __future__ import annotations

import pytest
from dagster import AssetCheckSeverity

from registry_pipeline_tests.captured_sources import DERIVED, INDEX, LEDGER, PACKS
from registry_pipeline_tests.defs.conftest import (
    DagsterRepo,
    FirstRebuild,
    checks_of,
    handed_on,
    page_of,
    troubles,
    verdicts_of,
)

CAPTURED = (
    "expected_versions",
    "migration_ledger",
    "threshold_packs_file",
    "fingerprint_index",
    "derived_validation_reports",
    "overrides_log",
    "run_index",
)
PASSED = {"seal": True, "schema": True, "rules": True}


def test_a_csv_is_shown_as_a_table_with_the_columns_of_its_schema(first_rebuild: FirstRebuild) -> None:
    page = page_of(first_rebuild.result, "fingerprint_index")

    assert (page["state"], page["dagster/row_count"], page["files"]) == ("sealed", 2, 1)
    assert page["preview"].splitlines()[:3] == [
        "| fingerprint_id | date | content_hash |",
        "|---|---|---|",
        "| fp_1 | 2026-02-01 | 9df9ce81 |",
    ]
    columns = {column.name: column.type for column in page["columns"].columns}
    assert columns["fingerprint_id"] == columns["path_length"] == "string"


def test_many_files_are_shown_as_a_table_of_files(first_rebuild: FirstRebuild) -> None:
    packs = page_of(first_rebuild.result, "threshold_packs_file")
    reports = page_of(first_rebuild.result, "derived_validation_reports")

    assert (packs["dagster/row_count"], packs["files"]) == (2, 2)
    assert "| c3_regime_trend_v1.json | 36 |" in packs["sealed_files"]
    assert "preview" not in packs
    assert "columns" not in packs
    assert "derived_validation_report.md" in reports["sealed_files"]
    assert reports["preview"].startswith("```json")


def test_an_unchanged_capture_that_is_materialized_twice_returns_the_active_run(activated: DagsterRepo) -> None:
    active, before = activated.active(), activated.folders()

    result = activated.materialize(*CAPTURED)

    assert result.success, troubles(result)
    assert activated.folders() == before
    for name in CAPTURED:
        page = page_of(result, name)
        assert (page["state"], page["run_id"]) == ("unchanged", active[name].run_id)
        assert verdicts_of(result, name) == PASSED
    unchanged_files = "0 added, 0 removed, 0 modified since the active run"
    assert page_of(result, "threshold_packs_file")["changed_files"] == unchanged_files
    assert page_of(result, "fingerprint_index")["changed_records"] == "0 added, 0 removed since the active run"
    assert activated.skipped()


def test_changes_are_counted_sealed_checked_and_proposed(activated: DagsterRepo) -> None:
    root = activated.repository.root
    (root / PACKS / "new.json").write_text('{"version": "v1"}\n')
    (root / PACKS / "c3_regime_trend_v1.json").write_text('{"version": "v0.3", "lookback": 12}\n')
    with (root / INDEX).open("a") as index:
        index.write("fp_3,2026-02-03,\n")

    result = activated.materialize(*CAPTURED)

    packs, index_page = page_of(result, "threshold_packs_file"), page_of(result, "fingerprint_index")
    assert packs["changed_files"] == "1 added, 0 removed, 1 modified since the active run"
    assert (index_page["dagster/row_count"], index_page["changed_records"][:8]) == (3, "1 added,")
    assert verdicts_of(result, "threshold_packs_file") == PASSED
    assert set(activated.asked_for()) == {"threshold_packs_file", "fingerprint_index"}
    assert activated.execute_request(activated.requested()).success
    assert activated.active()["threshold_packs_file"].run_id == packs["run_id"]


@pytest.mark.parametrize(
    ("path", "damage", "registry_id", "code"),
    [
        (LEDGER, None, "migration_ledger", "CAPTURE_MISSING"),
        (INDEX, b"\xff", "fingerprint_index", "CAPTURE_MALFORMED"),
        (f"{PACKS}/new.json", b"[]", "threshold_packs_file", "CAPTURE_MALFORMED"),
        (f"{DERIVED}/LATEST.txt", b"/etc", "derived_validation_reports", "CAPTURE_LATEST_INVALID"),
    ],
)
def test_a_source_that_cannot_be_captured_returns_the_active_run_with_a_reason(
    activated: DagsterRepo, path: str, damage: bytes | None, registry_id: str, code: str
) -> None:
    active, before = activated.active()[registry_id], activated.folders()
    place = activated.repository.path(path)
    place.unlink() if damage is None else place.write_bytes(damage)

    result = activated.materialize(*CAPTURED)

    page = handed_on(result, registry_id)
    assert result.success, troubles(result)
    assert (page["state"], page["run_id"]) == ("not built", active.run_id)
    assert code in [row["code"] for row in page["findings"]]
    assert activated.folders() == before
    assert verdicts_of(result, registry_id) == PASSED
    source = checks_of(result, registry_id)["source"]
    assert (source.passed, source.severity) == (False, AssetCheckSeverity.ERROR)
    assert code in (source.description or "")


def test_a_pack_sealed_against_the_shipped_schema_fails_its_check_and_is_not_proposed(
    activated: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader refuses such a pack; what a reader lets through, the check finds."""
    monkeypatch.setattr("registry_pipeline.registries.base.capture.check_bytes", lambda *_: iter(()))
    (activated.repository.root / PACKS / "list.json").write_text("[]\n")

    result = activated.materialize("threshold_packs_file")

    assert verdicts_of(result, "threshold_packs_file") == PASSED | {"schema": False}
    assert "check schema failed" in activated.skipped()
