"""The health report in Dagster: materialized by itself, and after a daily build on a quiet repository."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_pipeline.canonical import utc_text
from registry_pipeline.dagster.event_records import read_run_start
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline_tests.defs.conftest import DagsterRepo, failure_of, page_of, troubles
from registry_pipeline_tests.defs.test_automation import Ticks, configure

FRESH = "2026-02-28__120000__fresh"


def test_materialized_by_itself_it_is_a_new_sealed_run_and_moves_nothing(activated: DagsterRepo) -> None:
    before, pointers = activated.folders(), activated.repository.pointer_path.read_bytes()

    first, second = (activated.materialize("system_health_report") for _ in range(2))

    pages = [page_of(result, "system_health_report") for result in (first, second)]
    assert [page["state"] for page in pages] == ["sealed", "sealed"]
    assert activated.folders() - before == {page["run_id"] for page in pages}
    assert len({page["run_id"] for page in pages}) == 2
    assert activated.repository.pointer_path.read_bytes() == pointers


def test_materialized_by_itself_without_active_runs_it_fails_and_names_the_command(fresh: DagsterRepo) -> None:
    before = fresh.folders()

    result = fresh.materialize("system_health_report")

    assert not result.success
    assert "the report is rendered from the active op_status_table, but none is active" in failure_of(
        result, "system_health_report"
    )
    assert fresh.folders() == before


def pass_days(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """From here on Dagster runs start so many days later."""

    def later(resource: RepositoryResource, run_id: str) -> datetime:
        return read_run_start(resource.instance, run_id) + timedelta(days=days)

    monkeypatch.setattr(RepositoryResource, "started", later)


def add_fresh_run(repo: DagsterRepo) -> None:
    folder = repo.repository.publish_root / FRESH
    folder.mkdir()
    run = {"run_id": FRESH, "created_utc": utc_text(datetime.now(UTC)), "operation_id": "OP-A01"}  # noqa: TID251
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")


def test_a_day_that_only_passes_gives_a_report_with_stale_operations(
    activated: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fresh_run(activated)
    assert activated.rebuild().success
    first = activated.execute_request(activated.requested())
    assert "OP-A01" not in read_summary(activated, page_of(first, "system_health_report"))["stale"]
    pass_days(monkeypatch, activated.repository.config.stale_days.default + 1)

    # (1) The report alone is rendered from what is active, and says that the ages are outdated.
    alone = page_of(activated.materialize("system_health_report"), "system_health_report")
    assert "OP-A01" in read_summary(activated, alone)["outdated_ages"]
    assert alone["outdated_ages"] > 0
    assert "`registry-pipeline build` counts them again" in alone["preview"]
    # (2) The daily job counts the ages again, and the sensor activates what it built.
    daily = activated.execute("rebuild_job", tags={"dagster/schedule_name": "daily_rebuild_schedule"})
    assert daily.success, troubles(daily)
    activation = activated.execute_request(activated.requested())
    report = page_of(activation, "system_health_report")
    assert "OP-A01" in read_summary(activated, report)["stale"]
    assert report["outdated_ages"] == 0


def read_summary(repo: DagsterRepo, page: dict[str, Any]) -> dict[str, Any]:
    path = repo.repository.publish_root / page["run_id"] / "SYSTEM_HEALTH_SUMMARY_v0_1.json"
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def test_every_night_the_ages_are_counted_also_if_only_changes_start_builds(activated: DagsterRepo) -> None:
    ticks = Ticks(configure(activated, "eager"))
    ticks.next()
    assert ticks.repo.rebuild().success
    assert ticks.repo.execute_request(ticks.repo.requested()).success
    ticks.next()

    night = ticks.next_night()

    assert {"op_status_table", "drift_signals", "governance_scorecard"} <= night
    assert not {"run_registry", "expected_versions", "role_registry"} & night
    assert not {"op_status_table", "drift_signals", "governance_scorecard"} & ticks.next()
