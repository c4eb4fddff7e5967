"""What the activation sensor takes for evidence, and how often it asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    MetadataValue,
    define_asset_job,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.test_utils import create_run_for_test

from registry_pipeline import runbook
from registry_pipeline.defs import evidence
from registry_pipeline.defs.active_assets import REFUSED_AT_TAG, REFUSED_TAG
from registry_pipeline.defs.evidence import CHECK_NAMES, ROOT_KEY, SEALED_KEY, Materialized, sealed_to_json
from registry_pipeline.defs.schedules import daily_rebuild_schedule
from registry_pipeline.defs.sensors import CLOSURE_TAG, TRIES, activation_sensor
from registry_pipeline.errors import EvidenceError
from registry_pipeline_tests.defs.conftest import Door, verdicts_of

pytestmark = pytest.mark.xdist_group("dagster")

UNJUDGED = dict.fromkeys(CHECK_NAMES, "has not judged it")


def newest(door: Door, registry_id: str) -> Materialized:
    return evidence.materializations(door.instance, registry_id, 1)[0]


def repeat(door: Door, made: Materialized) -> Materialized:
    """Report the same folder as a further materialization, on which no check has run."""
    assert made.sealed is not None
    page = {SEALED_KEY: MetadataValue.json(sealed_to_json(made.sealed))}
    door.instance.report_runless_asset_event(AssetMaterialization(made.registry_id, metadata=page))
    return newest(door, made.registry_id)


def judge(door: Door, made: Materialized, *, storage_id: int, root: str, passed: bool = True) -> None:
    """Report every check of a registry with the target and the root that are given."""
    for name in CHECK_NAMES:
        target = AssetCheckEvaluationTargetMaterializationData(storage_id=storage_id, run_id="", timestamp=0.0)
        evaluation = AssetCheckEvaluation(
            asset_key=AssetKey(made.registry_id),
            check_name=name,
            passed=passed,
            metadata={ROOT_KEY: MetadataValue.text(root)},
            target_materialization_data=target,
        )
        door.instance.report_runless_asset_event(evaluation)


def failed_try(door: Door, status: DagsterRunStatus, **tags: str) -> None:
    closure = door.requested().tags[CLOSURE_TAG]
    create_run_for_test(
        door.instance, job_name="activate_pointers_job", status=status, tags={CLOSURE_TAG: closure, **tags}
    )


def test_a_check_counts_for_the_materialization_and_the_root_that_it_judged_and_no_other(rebuilt: Door) -> None:
    first = newest(rebuilt, "drift_signals")
    assert first.sealed is not None
    root = first.sealed.ref.manifest_sha256
    assert evidence.unproved_checks(rebuilt.instance, first) == {}

    again = repeat(rebuilt, first)

    assert evidence.unproved_checks(rebuilt.instance, again) == UNJUDGED, "the checks judged the older one"
    judge(rebuilt, again, storage_id=again.storage_id, root="0" * 64)
    assert evidence.unproved_checks(rebuilt.instance, again) == UNJUDGED, "another root"
    judge(rebuilt, again, storage_id=first.storage_id, root=root)
    assert evidence.unproved_checks(rebuilt.instance, again) == UNJUDGED, "another materialization"
    judge(rebuilt, again, storage_id=again.storage_id, root=root)
    assert evidence.unproved_checks(rebuilt.instance, again) == {}


def test_the_newest_verdict_on_a_materialization_holds(rebuilt: Door) -> None:
    made = newest(rebuilt, "drift_signals")
    assert made.sealed is not None

    judge(rebuilt, made, storage_id=made.storage_id, root=made.sealed.ref.manifest_sha256, passed=False)

    assert evidence.unproved_checks(rebuilt.instance, made) == dict.fromkeys(CHECK_NAMES, "failed")
    assert "drift_signals" not in rebuilt.asked_for()


def test_a_check_that_was_planned_and_never_ran_is_no_verdict(activated: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise EvidenceError("the disk is gone", "look for it")

    monkeypatch.setattr(runbook, "validate", broken)

    result = activated.rebuild()

    assert result.asset_materializations_for_node("run_registry")
    assert not result.get_asset_check_evaluations()
    assert evidence.unproved_checks(activated.instance, newest(activated, "run_registry")) == UNJUDGED
    assert "check seal has not judged it" in activated.skipped()


def test_a_run_that_is_not_over_is_waited_for(rebuilt: Door) -> None:
    run = rebuilt.instance.get_runs()[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run), "is_finished", property(lambda _run: False))

        assert "belongs to a Dagster run that is not over" in rebuilt.skipped()

    assert rebuilt.asked_for()


def test_the_same_set_has_the_same_run_key_until_a_try_has_failed(rebuilt: Door) -> None:
    first = rebuilt.requested()

    assert rebuilt.requested().run_key == first.run_key
    failed_try(rebuilt, DagsterRunStatus.CANCELED)
    assert rebuilt.requested().run_key == f"{first.tags[CLOSURE_TAG]}:1" != first.run_key


def test_it_gives_up_at_the_third_failed_try(rebuilt: Door) -> None:
    for status in (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE):
        failed_try(rebuilt, status)

    assert rebuilt.skipped().startswith(f"given up after {TRIES} failed tries")


def test_it_does_not_ask_while_a_try_is_under_way(rebuilt: Door) -> None:
    failed_try(rebuilt, DagsterRunStatus.STARTED)

    assert "is putting in force" in rebuilt.skipped()


def test_a_refusal_is_asked_for_again_only_after_the_pointer_file_has_changed(rebuilt: Door) -> None:
    now = runbook.pointer_hash(rebuilt.governed) or ""
    failed_try(rebuilt, DagsterRunStatus.FAILURE, **{REFUSED_TAG: "POINTER_EDITED", REFUSED_AT_TAG: now})

    assert rebuilt.skipped().startswith("refused (POINTER_EDITED), and not asked for again")
    path = rebuilt.governed.pointer_path
    path.write_bytes(path.read_bytes() + b"\n")
    assert rebuilt.requested().run_key is not None


def test_what_was_in_force_and_was_replaced_is_not_proposed_again(rebuilt: Door) -> None:
    failed_try(rebuilt, DagsterRunStatus.SUCCESS)

    assert rebuilt.skipped().startswith("was in force once and was replaced")


def test_a_build_that_describes_an_older_moment_than_the_active_run_is_left_alone(rebuilt: Door) -> None:
    record = rebuilt.instance.get_run_records()[0]
    later = datetime.fromtimestamp(record.start_time or 0, UTC) + timedelta(hours=1)
    run = runbook.start_build_run(rebuilt.governed, later)
    runbook.build_stack(rebuilt.governed, run, actor="Ada", reason="by hand")

    assert "describes an older moment than the active run" in rebuilt.skipped()


def test_the_sensor_is_on_and_the_schedule_is_off_until_somebody_turns_it() -> None:
    assert activation_sensor.default_status is DefaultSensorStatus.RUNNING
    assert daily_rebuild_schedule.default_status is DefaultScheduleStatus.STOPPED
    assert daily_rebuild_schedule.execution_timezone == "UTC"


def test_a_repository_that_cannot_be_read_is_told_and_not_a_crash(rebuilt: Door) -> None:
    (rebuilt.governed.root / "registry-pipeline.toml").write_text("unknown_key = 1\n", encoding="utf-8")

    assert "unknown key" in rebuilt.skipped()


def test_a_check_executed_alone_judges_the_latest_and_takes_a_candidate_back(rebuilt: Door) -> None:
    before, made = rebuilt.asked_for(), newest(rebuilt, "drift_signals")
    assert made.sealed is not None
    artifact = rebuilt.governed.publish_root / made.sealed.ref.run_id / "DRIFT_SIGNALS_v0_1.json"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes() + b" ")
    alone = define_asset_job("checks_alone", AssetSelection.checks_for_assets("drift_signals"))
    door = replace(rebuilt, definitions=Definitions.merge(rebuilt.definitions, Definitions(jobs=[alone])))

    result = door.execute("checks_alone")

    assert verdicts_of(result, "drift_signals")["seal"] is False
    assert "drift_signals" in before
    assert "drift_signals" not in rebuilt.asked_for()
