"""What the activation sensor accepts as evidence, and how often it requests a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterRunStatus, DefaultScheduleStatus
from dagster._core.test_utils import create_run_for_test

from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.event_log import CheckResults
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.proposal import CLOSURE_TAG, REFUSED_AT_TAG, REFUSED_RUNS_TAG, REFUSED_TAG, TRIES
from registry_pipeline.defs.sensors import make_daily_schedule, make_rebuild_job
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pipeline import rebuild
from registry_pipeline.pointers import find_runs
from registry_pipeline.pointers import rollback as pointers_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.base import seal_build
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.sealed_run import Activation
from registry_pipeline_tests.collection_sources import COLLECTIONS
from registry_pipeline_tests.defs.conftest import CHECK_NAMES, REGISTRIES, DagsterRepo, page_of, verdicts_of
from registry_pipeline_tests.defs.event_log import newest, record_check

NOW = datetime(2100, 1, 1, tzinfo=UTC)
UNJUDGED = dict.fromkeys(CHECK_NAMES, "has no result")


def failed_try(repo: DagsterRepo, status: DagsterRunStatus, **tags: str) -> None:
    closure = repo.requested().tags[CLOSURE_TAG]
    create_run_for_test(
        repo.instance, job_name="activate_pointers_job", status=status, tags={CLOSURE_TAG: closure, **tags}
    )


def test_the_newest_verdict_on_a_materialization_counts(rebuilt: DagsterRepo) -> None:
    made = newest(rebuilt, "drift_signals")
    assert made.sealed is not None

    record_check(rebuilt, made, storage_id=made.storage_id, root=made.sealed.ref.manifest_sha256, passed=False)

    assert CheckResults(rebuilt.instance, SHIPPED).find_missing_or_failed(made) == dict.fromkeys(CHECK_NAMES, "failed")
    assert "drift_signals" not in rebuilt.asked_for()


def test_a_check_that_was_planned_and_never_ran_is_no_verdict(
    activated: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise EvidenceError("the disk is gone", "look for it")

    monkeypatch.setattr(registries_validation, "validate", broken)

    result = activated.rebuild()

    assert result.asset_materializations_for_node("run_registry")
    assert verdicts_of(result, "run_registry") == {}
    assert (
        CheckResults(activated.instance, SHIPPED).find_missing_or_failed(newest(activated, "run_registry")) == UNJUDGED
    )
    assert "check seal has no result" in activated.skipped()


def test_without_builds_the_sensor_names_the_job_that_builds(fresh: DagsterRepo) -> None:
    assert fresh.skipped() == "launch rebuild_job (nothing was built through Dagster yet)"


@pytest.mark.parametrize("typed", ["[", "[]", '{"drift_signals": 1}', "null"])
def test_a_refusal_whose_tag_somebody_typed_is_a_refusal_without_reasons(rebuilt: DagsterRepo, typed: str) -> None:
    pointers = pointer_file.read_pointer_hash(rebuilt.repository) or "none"
    tags = {REFUSED_AT_TAG: pointers, REFUSED_TAG: "X", REFUSED_RUNS_TAG: typed}
    failed_try(rebuilt, DagsterRunStatus.FAILURE, **tags)

    assert "refused (X), not requested again" in rebuilt.skipped()


def test_the_sensor_waits_for_a_run_in_progress(rebuilt: DagsterRepo) -> None:
    run = rebuilt.instance.get_runs()[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run), "is_finished", property(lambda _run: False))

        assert "built by a Dagster run that is not finished" in rebuilt.skipped()

    assert rebuilt.asked_for()


def test_the_same_set_has_the_same_run_key_until_an_attempt_fails(rebuilt: DagsterRepo) -> None:
    first = rebuilt.requested()

    assert rebuilt.requested().run_key == first.run_key
    failed_try(rebuilt, DagsterRunStatus.CANCELED)
    assert rebuilt.requested().run_key == f"{first.tags[CLOSURE_TAG]}:1" != first.run_key


def test_the_sensor_gives_up_after_three_failed_attempts(rebuilt: DagsterRepo) -> None:
    for status in (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE):
        failed_try(rebuilt, status)

    assert f"given up after {TRIES} failed runs" in rebuilt.skipped()


def test_the_sensor_requests_nothing_while_an_attempt_is_in_progress(rebuilt: DagsterRepo) -> None:
    failed_try(rebuilt, DagsterRunStatus.STARTED)

    assert "is activating" in rebuilt.skipped()


def test_a_replaced_active_run_is_not_proposed_again(rebuilt: DagsterRepo) -> None:
    failed_try(rebuilt, DagsterRunStatus.SUCCESS)

    assert "was active and was replaced" in rebuilt.skipped()


def test_a_build_of_an_older_time_than_the_active_run_is_not_proposed(rebuilt: DagsterRepo) -> None:
    record = rebuilt.instance.get_run_records()[0]
    later = datetime.fromtimestamp(record.start_time or 0, UTC) + timedelta(hours=1)
    run = seal_build.start_build_run(rebuilt.repository, later)
    rebuild.rebuild(rebuilt.repository, run, actor="Ada", reason="by hand")

    assert "the as-of time of the run is earlier than that of the active run" in rebuilt.skipped()


@pytest.mark.parametrize("automated", [False, True])
def test_what_starts_by_itself_is_on_only_if_the_start_of_dagster_says_so(
    fresh: DagsterRepo, *, automated: bool
) -> None:
    definitions = build_defs(fresh.repository.root, automated=automated).get_repository_def()

    running = {sensor.name for sensor in definitions.sensor_defs if sensor.default_status.value == "RUNNING"}
    running |= {schedule.name for schedule in definitions.schedule_defs if schedule.default_status.value == "RUNNING"}
    every = {"activation_sensor", "command_line_sensor", "hourly_pointers_schedule"}
    every |= {f"{name}_sensor" for name in COLLECTIONS}
    assert running == (every if automated else set())


def test_the_daily_rebuild_is_off_until_somebody_switches_it_on() -> None:
    daily_schedule = make_daily_schedule(make_rebuild_job(SHIPPED, Location()))
    assert daily_schedule.default_status is DefaultScheduleStatus.STOPPED
    assert daily_schedule.execution_timezone == "UTC"


def test_an_unreadable_repository_is_reported_without_a_crash(rebuilt: DagsterRepo) -> None:
    (rebuilt.repository.root / "registry-pipeline.toml").write_text("unknown_key = 1\n", encoding="utf-8")

    assert "unknown key" in rebuilt.skipped()


def test_a_rolled_back_run_is_not_proposed_again_and_a_newer_build_is(activated: DagsterRepo) -> None:
    repository, before = activated.repository, activated.active()
    newer = activated.rebuild()
    activated.execute_request(activated.requested())
    chosen = pointers_rollback.select_rollback(read_chain_state(repository))
    undone = pointers_rollback.rollback(
        repository, seal_build.start_build_run(repository, NOW), chosen, actor="Ada", reason="wrong"
    )
    assert isinstance(undone, Activation)
    assert activated.active() == before

    assert f"{page_of(newer, 'drift_signals')['run_id']}: a rollback deactivated this run" in activated.skipped()
    newest_of_all = activated.rebuild()
    assert activated.asked_for()["drift_signals"] == page_of(newest_of_all, "drift_signals")["run_id"]


def test_a_run_that_is_marked_bad_is_not_proposed(rebuilt: DagsterRepo) -> None:
    bad = rebuilt.asked_for()["drift_signals"]
    run = seal_build.start_build_run(rebuilt.repository, NOW)
    pointers_rollback.mark_bad(
        rebuilt.repository, run, find_runs.find_run(rebuilt.repository, bad), actor="Ada", reason="wrong input"
    )

    assert "drift_signals" not in rebuilt.asked_for()


def test_a_tick_that_requests_nothing_gives_three_reasons_at_most_each_with_its_next_step_first(
    rebuilt: DagsterRepo,
) -> None:
    for name in REGISTRIES:
        made = newest(rebuilt, name)
        assert made.sealed is not None
        record_check(rebuilt, made, storage_id=made.storage_id, root=made.sealed.ref.manifest_sha256, passed=False)

    reasons = rebuilt.skipped().split("; ")

    assert len(reasons) == 4
    assert all(f": open the checks of {reason.split(':')[0]}, fix the cause" in reason for reason in reasons[:3])
    assert reasons[3] == f"and {len(REGISTRIES) - 3} more"
