"""What the command line seals appears in Dagster: complete builds only, without a run, checked by Dagster itself."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterRunStatus,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.test_utils import create_run_for_test

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.main import main
from registry_pipeline.defs import event_log
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.cli_builds_sensor import CHECK_JOB, command_line_sensor
from registry_pipeline.defs.event_log import CheckResults
from registry_pipeline.pipeline import log as pipeline_log
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.values import replace
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import QUIET, DagsterRepo

NOON = datetime(2100, 3, 1, 12, tzinfo=UTC)


def build(repo: DagsterRepo, *words: str, minutes: int = 0) -> None:
    """Type `registry-pipeline build`, at noon of a day after whatever Dagster has built."""
    moment = utc_text(NOON + timedelta(minutes=minutes))
    assert main(["-C", str(repo.repository.root), "--now", moment, "--allow-future", "build", *words]) == 0


def sealed(repo: DagsterRepo, stamp: str = "2100-03-01__120000") -> list[str]:
    """Return the registries of which a build of that moment sealed a folder; some sources are not in the repository."""
    return [
        spec.registry_id
        for spec in SHIPPED.build_order
        if (repo.repository.publish_root / f"{stamp}__{spec.tag}").is_dir()
    ]


def tick(repo: DagsterRepo, cursor: str | None = None) -> SensorResult | SkipReason:
    """Evaluate the sensor as the daemon does, and log its events as the daemon does."""
    with build_sensor_context(instance=repo.instance, cursor=cursor) as context:
        answer = command_line_sensor(context, repository=repo.resource())
    assert isinstance(answer, SensorResult | SkipReason)
    for event in answer.asset_events if isinstance(answer, SensorResult) else ():
        repo.instance.report_runless_asset_event(event)
    return answer


def reported(answer: SensorResult | SkipReason) -> dict[str, AssetMaterialization]:
    assert isinstance(answer, SensorResult), answer
    events = [event for event in answer.asset_events if isinstance(event, AssetMaterialization)]
    return {event.asset_key.to_user_string(): event for event in events}


def reason(answer: SensorResult | SkipReason) -> str:
    skip_reason = answer if isinstance(answer, SkipReason) else answer.skip_reason
    assert isinstance(skip_reason, SkipReason), answer
    return skip_reason.skip_message or ""


def check(repo: DagsterRepo, answer: SensorResult | SkipReason) -> ExecuteInProcessResult:
    assert isinstance(answer, SensorResult)
    (request,) = answer.run_requests or ()
    assert isinstance(request, RunRequest)
    assert request.asset_check_keys
    job = repo.definitions.resolve_job_def(CHECK_JOB).get_subset(asset_check_selection=set(request.asset_check_keys))
    return job.execute_in_process(
        instance=repo.instance, run_config=QUIET, raise_on_error=False, tags=dict(request.tags)
    )


def newest(repo: DagsterRepo, registry_id: str) -> event_log.Materialization:
    (made,) = event_log.read_materializations(repo.instance, repo.location.key(registry_id), limit=1)
    return made


def test_a_build_appears_as_one_set_and_dagster_checks_it(fresh: DagsterRepo) -> None:
    build(fresh)

    answer = tick(fresh)

    assert set(reported(answer)) == {*sealed(fresh), "active_registry_pointers", "system_health_report"}
    assert check(fresh, answer).success
    for registry_id in sealed(fresh):
        made = newest(fresh, registry_id)
        assert made.dagster_run_id == ""
        assert made.sealed is not None
        assert made.sealed.ref == (fresh.active().get(registry_id) or made.sealed.ref)
        assert CheckResults(fresh.instance, SHIPPED).find_missing_or_failed(made) == {}


def test_a_reported_build_is_not_reported_again(fresh: DagsterRepo) -> None:
    build(fresh)
    answer = tick(fresh)
    assert isinstance(answer, SensorResult)

    assert reason(tick(fresh, answer.cursor)) == "the command line sealed nothing that Dagster does not know"
    assert "Dagster knows it already" in reason(tick(fresh, None))


def test_of_builds_before_the_first_tick_the_newest_is_reported(fresh: DagsterRepo) -> None:
    build(fresh)
    build(fresh, minutes=1)
    build(fresh, "run_registry", "--only", "--force", minutes=2)

    answer = tick(fresh)

    made = reported(answer)["run_registry"]
    assert str(made.metadata["run_id"].value).startswith("2100-03-01__120100__")
    assert isinstance(answer, SensorResult)
    assert "run_registry without" in reason(tick(fresh, answer.cursor))


def test_a_set_that_another_repository_sealed_is_not_reported(fresh: DagsterRepo) -> None:
    toml = fresh.repository.root / "registry-pipeline.toml"
    toml.write_text('repository_id = "repository-a"\n', encoding="utf-8")
    build(fresh)

    toml.write_text('repository_id = "repository-b"\n', encoding="utf-8")
    assert reason(tick(fresh)) == "the command line sealed nothing that Dagster does not know"

    toml.write_text('repository_id = "repository-a"\n', encoding="utf-8")
    assert "run_registry" in reported(tick(fresh))


def test_later_sets_are_reported_one_per_tick_in_order(fresh: DagsterRepo) -> None:
    build(fresh)
    first = tick(fresh)
    build(fresh, minutes=1)
    build(fresh, "--force", minutes=2)

    assert isinstance(first, SensorResult)
    second = tick(fresh, first.cursor)
    assert isinstance(second, SensorResult)
    third = tick(fresh, second.cursor)

    assert isinstance(third, SensorResult)
    assert [first.cursor, second.cursor, third.cursor] == [utc_text(NOON + timedelta(minutes=m)) for m in range(3)]


def test_a_partial_set_would_displace_consistent_runs_and_is_not_reported(rebuilt: DagsterRepo) -> None:
    before = newest(rebuilt, "run_registry")
    build(rebuilt, "run_registry", "--only")

    assert "run_registry without op_status_table, drift_signals" in reason(tick(rebuilt))
    assert newest(rebuilt, "run_registry") == before


def test_a_build_that_dagster_made_later_is_not_displaced(rebuilt: DagsterRepo) -> None:
    main(["-C", str(rebuilt.repository.root), "--now", "2020-01-01T00:00:00Z", "build", "--no-activate"])

    assert "Dagster knows a later build" in reason(tick(rebuilt))


def test_the_sensor_waits_for_a_build_in_progress(fresh: DagsterRepo) -> None:
    build(fresh)

    with steps.hold_build_lock(fresh.repository):
        assert "in progress" in reason(tick(fresh))

    assert reported(tick(fresh))


def test_the_checks_of_one_set_end_before_the_next_is_reported(fresh: DagsterRepo) -> None:
    build(fresh)
    create_run_for_test(fresh.instance, job_name=CHECK_JOB, status=DagsterRunStatus.STARTED)

    assert reason(tick(fresh)) == "the checks of the previous build are running"


def test_only_the_registries_that_were_reported_are_checked(activated: DagsterRepo) -> None:
    build(activated, "drift_signals", "--force")
    answer = tick(activated)

    result = check(activated, answer)

    expected = {name for name in reported(answer) if name != "active_registry_pointers"}
    evaluations = result.get_asset_check_evaluations()
    assert {evaluation.asset_key.to_user_string() for evaluation in evaluations} == expected
    assert "drift_signals" in expected
    assert "run_registry" not in expected
    assert len(evaluations) == 3 * len(expected)


def test_the_check_job_launched_by_hand_checks_every_registry(rebuilt: DagsterRepo) -> None:
    result = rebuilt.execute(CHECK_JOB)

    checked = {evaluation.asset_key.to_user_string() for evaluation in result.get_asset_check_evaluations()}
    assert checked == {
        *(spec.registry_id for spec in SHIPPED.build_order),
        "drift_signals_daily",
        "system_health_report",
    }


def test_a_folder_that_was_altered_appears_and_fails_its_checks(fresh: DagsterRepo) -> None:
    build(fresh, "--no-activate")
    (run,) = fresh.repository.publish_root.glob("2100-*__drift_signals_build")
    flip_byte(run / "DRIFT_SIGNALS_v0_1.json")

    answer = tick(fresh)

    assert not check(fresh, answer).success
    failed = CheckResults(fresh.instance, SHIPPED).find_missing_or_failed(newest(fresh, "drift_signals"))
    assert failed["seal"] == "failed"
    assert CheckResults(fresh.instance, SHIPPED).find_missing_or_failed(newest(fresh, "run_registry")) == {}


def test_the_activation_sensor_does_not_activate_builds_of_the_command_line(fresh: DagsterRepo) -> None:
    build(fresh, "--no-activate")
    check(fresh, tick(fresh))

    assert "was sealed by the command line" in fresh.skipped()
    assert fresh.active() == {}


def test_dagster_sees_the_set_as_fresh_and_as_built_from_each_other(fresh: DagsterRepo) -> None:
    build(fresh)
    events = reported(tick(fresh))

    version = {name: (event.tags or {})[event_log.DATA_VERSION_TAG] for name, event in events.items()}
    for registry_id in sealed(fresh):
        tags, upstreams = events[registry_id].tags or {}, SHIPPED.registries[registry_id].depends_on
        input_versions = {name: tags[f"dagster/input_data_version/{name}"] for name in upstreams}
        assert input_versions == {name: version[name] for name in upstreams}


def test_an_upstream_that_dagster_built_keeps_the_version_that_dagster_shows(activated: DagsterRepo) -> None:
    shown = activated.instance.get_latest_materialization_event(AssetKey("expected_versions"))
    assert shown is not None
    assert shown.asset_materialization is not None
    build(activated)

    events = reported(tick(activated))

    assert "expected_versions" not in events
    tags, wanted = events["drift_signals"].tags or {}, shown.asset_materialization.tags or {}
    assert tags["dagster/input_data_version/expected_versions"] == wanted[event_log.DATA_VERSION_TAG]


def test_the_page_shows_the_run_its_records_and_its_folder(fresh: DagsterRepo) -> None:
    build(fresh)
    event = reported(tick(fresh))["run_registry"]

    page = {name: value.value for name, value in event.metadata.items()}
    lines = (fresh.repository.publish_root / str(page["run_id"]) / "RUN_REGISTRY_v0_1.jsonl").read_bytes().splitlines()
    assert page["state"] == "sealed by the command line"
    assert page["dagster/row_count"] == len(lines)
    assert json.loads(lines[0])["run_id"] in str(page["preview"])


def test_a_folder_of_an_older_tool_with_a_similar_name_is_not_reported(fresh: DagsterRepo) -> None:
    """The repository holds registry runs of the seeds' tools, under the names that ours have."""
    assert list(fresh.repository.publish_root.glob("*__drift_signals_build"))

    assert reason(tick(fresh)) == "the command line sealed nothing that Dagster does not know"


def test_days_that_the_command_line_sealed_are_partitions_of_their_asset(fresh: DagsterRepo) -> None:
    toml = fresh.repository.root / "registry-pipeline.toml"
    toml.write_text("history_start = 2026-01-01\n" + (toml.read_text() if toml.is_file() else ""))
    build(fresh, "drift_signals_daily", "--as-of", "2026-02-03..2026-02-05")
    with_days = dataclasses.replace(fresh, definitions=build_defs(fresh.repository.root))

    answer = tick(with_days)

    assert isinstance(answer, SensorResult)
    events = [event for event in answer.asset_events if isinstance(event, AssetMaterialization)]
    assert [event.partition for event in events] == ["2026-02-03", "2026-02-04", "2026-02-05"]
    assert {str(event.metadata["run_id"].value)[-10:] for event in events} == {event.partition for event in events}
    assert {event.metadata["canon_dirty"].value for event in events} == {0}
    assert check(with_days, answer).success
    assert "Dagster knows it already" in reason(tick(with_days))


def test_a_plain_folder_is_reported_and_breaks_nothing(fresh: DagsterRepo) -> None:
    gone = replace(fresh.repository, root=fresh.repository.root / "docs")

    assert not steps.is_build_in_progress(gone)
    assert list(pipeline_log.list_build_groups(gone)) == []
