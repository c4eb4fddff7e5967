"""Pointers move in one job only, in one record, and the report follows."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey

from registry_pipeline.config import load_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.proposal import REFUSED_TAG
from registry_pipeline.errors import BusyError
from registry_pipeline.pipeline import steps
from registry_pipeline.pointers import activation as pointers_activation
from registry_pipeline.pointers import find_runs
from registry_pipeline.runs.sealed_run import NotBuilt
from registry_pipeline.values import replace
from registry_pipeline_tests.defs.conftest import REGISTRIES, DagsterRepo, failure_of, page_of, troubles


def test_the_sensor_requests_a_complete_rebuild_and_the_job_activates_it_in_one_record(
    rebuilt: DagsterRepo,
) -> None:
    before = rebuilt.folders()

    result = rebuilt.execute_request(rebuilt.requested())

    assert result.success, troubles(result)
    page, report = page_of(result, "active_registry_pointers"), page_of(result, "system_health_report")
    record = rebuilt.repository.path(page["activation_record"]) / "POINTER_ACTIVATION_v0_1.json"
    moves = json.loads(record.read_bytes())["moves"]
    assert sorted(move["registry_id"] for move in moves) == sorted(REGISTRIES) == sorted(rebuilt.active())
    assert page["moved"] == page["active_registries"] == len(REGISTRIES)
    inputs = rebuilt.run_json(report["run_id"])["inputs"]["registries"]
    assert report["health_state"] == "DEGRADED_NON_BLOCKING"
    named = {ref.run_id for ref in rebuilt.active().values()} | {record.parent.name}
    assert {i["sealed_ref"]["run_id"] for i in inputs} <= named
    tags = ["pointer_activation", "pointer_activation", "registry_delta_log_build", "system_health_render"]
    assert sorted(name.split("__")[2] for name in rebuilt.folders() - before) == tags
    assert rebuilt.skipped() == "the newest build of every registry is active"


def test_record_and_report_have_the_time_of_activation(rebuilt: DagsterRepo) -> None:
    later = datetime(2100, 1, 1, tzinfo=UTC)
    repo = dataclasses.replace(rebuilt, definitions=build_defs(rebuilt.repository.root, clock=lambda: later))

    result = repo.execute_request(repo.requested())

    record = page_of(result, "active_registry_pointers")["activation_record"].rsplit("/")[-1]
    report = page_of(result, "system_health_report")["run_id"]
    assert {repo.run_json(name)["as_of_utc"] for name in (record, report)} == {"2100-01-01T00:00:00Z"}


def test_materialize_all_moves_no_pointer_and_the_report_says_that_nothing_is_active(fresh: DagsterRepo) -> None:
    before = fresh.repository.pointer_path.read_bytes()

    result = fresh.materialize()

    assert result.success, troubles(result)
    assert fresh.repository.pointer_path.read_bytes() == before
    assert page_of(result, "active_registry_pointers")["moved"] == 0
    assert "none is active" in page_of(result, "system_health_report")["state"]


def test_materialize_all_renders_the_active_state(activated: DagsterRepo) -> None:
    active = activated.active()

    result = activated.materialize()

    assert result.success, troubles(result)
    assert activated.active() == active
    report = activated.run_json(page_of(result, "system_health_report")["run_id"])
    assert active["drift_signals"].run_id in {i["sealed_ref"]["run_id"] for i in report["inputs"]["registries"]}


def test_a_request_has_no_effect_outside_its_job(rebuilt: DagsterRepo) -> None:
    config = dict(rebuilt.requested().run_config)["ops"]
    job = rebuilt.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=rebuilt.instance, run_config={"ops": config}, asset_selection=[AssetKey("active_registry_pointers")]
    )

    assert page_of(result, "active_registry_pointers")["moved"] == 0
    assert not rebuilt.active()


def test_the_job_verifies_again_and_refuses_runs_altered_since_the_checks(rebuilt: DagsterRepo) -> None:
    request = rebuilt.requested()
    altered = find_runs.list_all_runs(rebuilt.repository)
    drift = next(run for run in altered if run.run_id.endswith("drift_signals_build") and "2026-01" not in run.run_id)
    artifact = Path(drift.path) / "DRIFT_SIGNALS_v0_1.json"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes() + b" ")
    before = rebuilt.repository.pointer_path.read_bytes()

    result = rebuilt.execute_request(request)

    headline = failure_of(result, "active_registry_pointers")
    assert headline.startswith("drift_signals: ACTIVATE_NOT_VERIFIED: ")
    assert "Next: rebuild the registry" in headline
    assert rebuilt.repository.pointer_path.read_bytes() == before
    assert not result.asset_materializations_for_node("system_health_report")
    run = rebuilt.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert "ACTIVATE_NOT_VERIFIED" in run.tags[REFUSED_TAG]
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert "refused (ACTIVATE_NOT_VERIFIED), not requested again" in rebuilt.skipped()


def write_id(repo: DagsterRepo, repository_id: str) -> DagsterRepo:
    """Give the repository an id; return the interface as Dagster loads it then."""
    toml = repo.repository.root / "registry-pipeline.toml"
    toml.write_text(f'repository_id = "{repository_id}"\n', encoding="utf-8")
    return dataclasses.replace(repo, repository=load_repository(repo.repository.root))


def test_the_job_refuses_foreign_runs_and_the_sensor_does_not_request_them_again(fresh: DagsterRepo) -> None:
    repo = write_id(fresh, "repository-a")
    assert repo.rebuild().success
    request = repo.requested()
    before = repo.repository.pointer_path.read_bytes()
    repo = write_id(repo, "repository-b")

    result = repo.execute_request(request)

    assert "the run belongs to another repository" in failure_of(result, "active_registry_pointers")
    run = repo.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[REFUSED_TAG] == "ACTIVATE_FOREIGN"
    assert (repo.repository.pointer_path.read_bytes(), repo.active()) == (before, {})
    assert "refused (ACTIVATE_FOREIGN), not requested again" in repo.skipped()


def test_runs_of_this_repository_are_activated_without_a_warning(fresh: DagsterRepo) -> None:
    repo = write_id(fresh, "repository-a")
    assert repo.rebuild().success

    result = repo.execute_request(repo.requested())

    assert result.success, troubles(result)
    record = page_of(result, "active_registry_pointers")["activation_record"].rsplit("/")[-1]
    assert {repo.run_json(name)["repository_id"] for name in (record, repo.active()["run_registry"].run_id)} == {
        "repository-a"
    }


def test_a_lost_race_is_retried_with_new_verdicts(rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    activate, tries = pointers_activation.activate, []

    def slower(*args: Any, **options: Any) -> Any:
        tries.append(len(args[2]))
        if len(tries) == 1:
            raise BusyError("another activation holds the lock", "wait")
        return activate(*args, **options)

    monkeypatch.setattr(pointers_activation, "activate", slower)

    result = rebuilt.execute_request(rebuilt.requested())

    assert result.success, troubles(result)
    assert tries == [len(REGISTRIES)] * 2
    assert len(rebuilt.active()) == len(REGISTRIES)


def test_a_failing_check_moves_no_pointer(activated: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    active, build = activated.active(), steps.build

    def with_a_wrong_field(repository: Any, run: Any, spec: Any, sealed: Any, **options: Any) -> Any:
        built = build(repository, run, spec, sealed, **options)
        if spec.registry_id != "op_status_table" or isinstance(built, NotBuilt):
            return built
        files = {name: data.replace(b'"OBSERVED"', b'"SEEN"') for name, data in built.artifacts.files.items()}
        return replace(built, artifacts=replace(built.artifacts, files=files))

    monkeypatch.setattr(steps, "build", with_a_wrong_field)

    result = activated.rebuild()

    assert not result.success
    assert not result.asset_materializations_for_node("drift_signals")
    assert activated.skipped()
    assert activated.active() == active


def test_the_newest_complete_rebuild_wins_over_a_newer_incomplete_one(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting = ("run_registry", "op_status_table", "drift_signals")
    complete = rebuilt.asked_for()
    build = steps.build

    def stops(repository: Any, run: Any, spec: Any, sealed: Any, **options: Any) -> Any:
        if spec.registry_id == "drift_signals":
            raise BusyError("no more", "wait")
        return build(repository, run, spec, sealed, **options)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "build", stops)
        assert not rebuilt.rebuild().success

    asked_for = rebuilt.asked_for()
    assert {name: asked_for[name] for name in resting} == {name: complete[name] for name in resting}


def test_of_two_complete_rebuilds_the_newer_is_requested(rebuilt: DagsterRepo) -> None:
    newer = rebuilt.rebuild()

    assert rebuilt.asked_for() == {name: page_of(newer, name)["run_id"] for name in REGISTRIES}


def test_a_registry_rebuilt_alone_is_not_activated_and_has_a_reason(activated: DagsterRepo) -> None:
    activated.materialize("run_registry")

    assert "run_registry" in activated.skipped()
    assert "would depend on" in activated.skipped()


def test_a_missing_named_folder_is_refused_without_a_traceback(rebuilt: DagsterRepo) -> None:
    request = rebuilt.requested()
    gone = rebuilt.repository.publish_root / rebuilt.asked_for()["drift_signals"]
    gone.chmod(0o755)
    gone.rename(rebuilt.repository.root / "elsewhere")

    result = rebuilt.execute_request(request)

    headline = failure_of(result, "active_registry_pointers")
    assert headline.startswith("drift_signals: ACTIVATE_NOT_VERIFIED: ")
    assert "Next: rebuild the registry" in headline
    assert not rebuilt.active()


def test_the_pointers_have_the_data_version_of_the_active_runs(activated: DagsterRepo) -> None:
    before = _data_version(activated)
    activated.materialize("active_registry_pointers")
    unmoved = _data_version(activated)
    activated.rebuild()
    activated.execute_request(activated.requested())

    assert before == unmoved != _data_version(activated)


def _data_version(repo: DagsterRepo) -> str:
    event = repo.instance.get_latest_materialization_event(AssetKey("active_registry_pointers"))
    assert event is not None
    assert event.asset_materialization is not None
    return (event.asset_materialization.tags or {})["dagster/data_version"]
