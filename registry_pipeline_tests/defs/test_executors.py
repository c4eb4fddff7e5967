"""Where steps are executed, and what a step does whose run is over before it begins."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterRunStatus

from registry_pipeline import config
from registry_pipeline.cli.main import main
from registry_pipeline.config import DagsterTable
from registry_pipeline.dagster.event_records import fetch_of_run
from registry_pipeline.defs.active_assets import ACTIVATE_JOB, REPORT_ASSET
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.executors import make_executor
from registry_pipeline.defs.proposal import REBUILD_JOB, propose
from registry_pipeline.errors import ConfigError, RefusedError
from registry_pipeline.pipeline import rebuild
from registry_pipeline.registries import validation
from registry_pipeline_tests.defs.conftest import REGISTRIES, DagsterRepo


def set_executor(root: Path, name: str) -> None:
    (root / "registry-pipeline.toml").write_text(f'[dagster]\nexecutor = "{name}"\n', encoding="utf-8")


@pytest.fixture
def without_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(config, "find_spec", lambda name: None if name == "dagster_celery" else find(name))


@pytest.mark.parametrize("name", ["in_process", "multiprocess", "celery"])
def test_the_toml_names_the_executor_of_every_job(tmp_path: Path, name: str) -> None:
    set_executor(tmp_path, name)

    job = build_defs(tmp_path).resolve_job_def(REBUILD_JOB)

    assert job.executor_def.name == name


def test_without_a_line_in_the_toml_steps_run_in_the_process_of_their_run(tmp_path: Path) -> None:
    assert build_defs(tmp_path).resolve_job_def(REBUILD_JOB).executor_def.name == "in_process"
    assert make_executor(DagsterTable()).name == "in_process"


def test_without_the_extra_the_code_location_loads_and_ui_says_what_to_install(
    tmp_path: Path, without_celery: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_executor(tmp_path, "celery")

    job = build_defs(tmp_path).resolve_job_def(REBUILD_JOB)
    code = main(["-C", str(tmp_path), "ui"])
    errors = capsys.readouterr().err

    assert job.executor_def.name == "celery"
    assert code == 2
    assert "dagster-celery is not installed" in errors
    assert "pip install 'registry-pipeline[scale]'" in errors
    with pytest.raises(ConfigError, match="dagster-celery is not installed; install the extra"):
        job.executor_def.executor_creation_fn(None)  # type: ignore[misc,arg-type]


def test_a_step_of_a_run_that_is_over_is_refused(rebuilt: DagsterRepo) -> None:
    run = rebuilt.instance.get_runs()[0]
    assert run.status is DagsterRunStatus.SUCCESS

    with pytest.raises(RefusedError, match=f"{run.run_id} is over"):
        rebuilt.resource().load_in_run(run.run_id)


@pytest.mark.parametrize("status", [DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE])
def test_a_step_stops_when_its_run_is_cancelled_or_dead(fresh: DagsterRepo, status: DagsterRunStatus) -> None:
    instance, job = fresh.instance, fresh.definitions.resolve_job_def(REBUILD_JOB)
    run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    report = {
        DagsterRunStatus.CANCELING: instance.report_run_canceling,
        DagsterRunStatus.CANCELED: instance.report_run_canceled,
        DagsterRunStatus.FAILURE: instance.report_run_failed,
    }[status]

    with fresh.resource().defer_cancellation(run.run_id) as is_cancelled:
        before = is_cancelled()
        report(run)

        assert (before, is_cancelled()) == (False, True)


@pytest.mark.parametrize("name", ["validate", "build_report"])
def test_a_run_that_is_cancelled_while_it_validates_or_renders_changes_nothing(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    request, module = rebuilt.requested(), validation if name == "validate" else rebuild
    before, work = rebuilt.active(), getattr(module, name)

    def cancel(*arguments: Any) -> Any:
        run = next(run for run in rebuilt.instance.get_runs() if run.job_name == ACTIVATE_JOB)
        rebuilt.instance.report_run_canceling(run)
        return work(*arguments)

    monkeypatch.setattr(module, name, cancel)
    rebuilt.execute_request(request)

    assert (rebuilt.active() == before) is (name == "validate")
    assert not any(REPORT_ASSET in folder for folder in rebuilt.folders())


def change_records(monkeypatch: pytest.MonkeyPatch, repo: DagsterRepo, **changes: Any) -> None:
    """Have the instance return its run records with other times, or another status."""
    read = repo.instance.get_run_record_by_id

    def read_changed(run_id: str) -> Any:
        record = read(run_id)
        assert record is not None
        status = changes.get("status", record.dagster_run.status)
        changed = {name: value for name, value in changes.items() if name != "status"}
        return record._replace(dagster_run=record.dagster_run.with_status(status), **changed)

    monkeypatch.setattr(repo.instance, "get_run_record_by_id", read_changed)


def read_times(repo: DagsterRepo) -> list[float]:
    """Return the times at which the registries were materialized."""
    events = [repo.instance.get_latest_materialization_event(AssetKey(name)) for name in REGISTRIES]
    return [event.timestamp for event in events if event is not None]


def test_what_a_worker_sealed_after_the_run_had_died_is_not_activated(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_records(monkeypatch, rebuilt, status=DagsterRunStatus.FAILURE, end_time=min(read_times(rebuilt)) - 1)

    proposal = propose(rebuilt.instance, rebuilt.repository)

    assert proposal.runs == ()
    assert {obstacle.next_step for obstacle in proposal.obstacles.values()} == {"launch rebuild_job"}
    assert all("had ended" in obstacle.reason for obstacle in proposal.obstacles.values())


def test_what_a_run_sealed_before_it_failed_can_be_activated(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_records(monkeypatch, rebuilt, status=DagsterRunStatus.FAILURE, end_time=max(read_times(rebuilt)) + 1)

    assert {run.registry_id for run in propose(rebuilt.instance, rebuilt.repository).runs} == set(REGISTRIES)


@pytest.mark.parametrize(("seconds", "found"), [(30, 1), (300, 0)])
def test_the_clock_of_a_worker_may_be_a_minute_behind(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch, seconds: int, found: int
) -> None:
    (run_id,) = (run.run_id for run in rebuilt.instance.get_runs())
    change_records(monkeypatch, rebuilt, start_time=min(read_times(rebuilt)) + seconds)
    key = AssetKey(REGISTRIES[0])

    events = fetch_of_run(rebuilt.instance, rebuilt.instance.fetch_materializations, key, run_id)

    assert len(events) == found
