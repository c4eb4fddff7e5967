"""Green means green: what is missing, altered, refused or not active fails a check where a person looks for it."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from dagster import AssetCheckSeverity, AssetKey, DefaultScheduleStatus, ExecuteInProcessResult, FreshnessPolicy

from registry_pipeline.cli.main import main
from registry_pipeline.config import CONFIG_NAME
from registry_pipeline.defs import event_log
from registry_pipeline.defs.active_checks import ACTIVE_CHECK
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.proposal import POINTERS_ASSET, REFUSED_TAG
from registry_pipeline_tests.defs.conftest import (
    REGISTRIES,
    DagsterRepo,
    checks_of,
    codes_of,
    failure_of,
)
from registry_pipeline_tests.defs.event_log import newest, repeat

VERSIONS = "expected_versions"
WARN, ERROR = AssetCheckSeverity.WARN, AssetCheckSeverity.ERROR


def count_active_results(repo: DagsterRepo) -> int:
    """Return how many results of the checks `active` are in the event log."""
    history = repo.instance.event_log_storage.get_asset_check_execution_history
    return sum(len(history(repo.key(name, ACTIVE_CHECK), limit=1000)) for name in REGISTRIES)


def pointer_checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {name: check.passed for name, check in checks_of(result, POINTERS_ASSET).items()}


def test_every_registry_whose_source_was_read_has_a_passed_check_of_it(rebuilt: DagsterRepo) -> None:
    assert [name for name in REGISTRIES if not rebuilt.check(name, "source").passed] == []


def test_a_registry_without_any_sealed_run_passes_no_check(fresh: DagsterRepo) -> None:
    fresh.repository.path(fresh.repository.config.expected_versions).unlink()

    result = fresh.rebuild()

    checks = checks_of(result, VERSIONS)
    assert {name: (c.passed, c.severity) for name, c in checks.items()} == dict.fromkeys(checks, (False, WARN))
    assert "nothing was checked" in (checks["seal"].description or "")


def test_the_sensor_says_of_every_registry_that_its_newest_build_is_active_and_says_it_once(
    rebuilt: DagsterRepo,
) -> None:
    request = rebuilt.requested()
    assert count_active_results(rebuilt) == 0, "what is about to be activated has no result yet"
    assert rebuilt.execute_request(request).success

    rebuilt.skipped()
    written = count_active_results(rebuilt)
    rebuilt.skipped()

    assert count_active_results(rebuilt) == written == len(REGISTRIES)
    assert [name for name in REGISTRIES if not rebuilt.check(name, ACTIVE_CHECK).passed] == []


def test_a_build_that_cannot_be_activated_alone_has_the_reason_and_the_next_step_in_its_check(
    activated: DagsterRepo,
) -> None:
    activated.skipped()
    assert activated.materialize("run_registry").success

    activated.skipped()

    check = activated.check("run_registry", ACTIVE_CHECK)
    assert (check.passed, check.severity) == (False, WARN)
    assert "the newest build is not active: " in (check.description or "")
    assert "Next: run `registry-pipeline build" in (check.description or "")
    assert check.metadata["active_run"].value == activated.active()["run_registry"].run_id
    assert activated.check("op_status_table", ACTIVE_CHECK).passed


def test_executed_by_hand_the_check_says_the_same_as_the_sensor(activated: DagsterRepo) -> None:
    assert activated.materialize("run_registry").success
    activated.skipped()

    result = activated.materialize_checks("check_active")

    for name in ("run_registry", "op_status_table"):
        by_sensor, by_hand = activated.check(name, ACTIVE_CHECK), checks_of(result, name)[ACTIVE_CHECK]
        assert (by_hand.passed, by_hand.description) == (by_sensor.passed, by_sensor.description)
        assert by_hand.passed is (name == "op_status_table")


def test_what_is_about_to_be_activated_has_no_result(rebuilt: DagsterRepo) -> None:
    result = rebuilt.materialize_checks("check_active")

    assert checks_of(result, "drift_signals") == {}


def test_materialize_all_neither_passes_nor_fails_the_checks_that_its_activation_will_change(
    fresh: DagsterRepo,
) -> None:
    result = fresh.materialize()

    assert result.success
    assert ACTIVE_CHECK not in checks_of(result, "drift_signals")


def test_after_another_writer_the_sensor_corrects_the_check(activated: DagsterRepo) -> None:
    activated.skipped()
    made = newest(activated, "drift_signals")
    wrong = event_log.make_check_event(made, ACTIVE_CHECK, passed=False, description="not so", metadata={})
    activated.instance.report_runless_asset_event(wrong)

    activated.skipped()

    assert activated.check("drift_signals", ACTIVE_CHECK).passed


def test_an_activation_of_the_command_line_is_no_reason_to_go_back(activated: DagsterRepo) -> None:
    moment = "2100-03-01T12:00:00Z"
    root = str(activated.repository.root)
    assert main(["-C", root, "--now", moment, "--allow-future", "build"]) == 0

    activated.skipped()

    check = activated.check("drift_signals", ACTIVE_CHECK)
    assert check.passed
    assert check.description == "the active run is newer than every build that Dagster knows"


def test_a_rebuild_does_not_wait_for_the_checks_of_activation(rebuilt: DagsterRepo) -> None:
    assert ACTIVE_CHECK not in checks_of(rebuilt.rebuild(), "drift_signals")


def test_a_refused_activation_fails_the_check_of_the_registry_that_it_names(rebuilt: DagsterRepo) -> None:
    request = rebuilt.requested()
    folder = rebuilt.repository.publish_root / rebuilt.asked_for()["drift_signals"]
    artifact = folder / "DRIFT_SIGNALS_v0_1.json"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes() + b" ")

    refused = rebuilt.execute_request(request)

    check = rebuilt.check("drift_signals", ACTIVE_CHECK)
    headline = failure_of(refused, POINTERS_ASSET)
    assert not check.passed
    assert "activation refused: ACTIVATE_NOT_VERIFIED" in (check.description or "")
    assert "Next: rebuild the registry" in (check.description or "")
    assert headline.startswith("drift_signals: ACTIVATE_NOT_VERIFIED: ")
    assert count_active_results(rebuilt) == 1

    rebuilt.skipped()

    others = rebuilt.check("run_registry", ACTIVE_CHECK)
    assert rebuilt.check("drift_signals", ACTIVE_CHECK).description == check.description
    assert "it waits for drift_signals, whose activation was refused" in (others.description or "")
    assert "Next: rebuild the registry" in (others.description or "")


def test_a_refusal_names_no_registry_that_has_only_a_warning(rebuilt: DagsterRepo) -> None:
    request = rebuilt.requested()
    (rebuilt.repository.root / CONFIG_NAME).write_text('repository_id = "shop-harbour"\n', encoding="utf-8")
    artifact = rebuilt.repository.publish_root / rebuilt.asked_for()["drift_signals"] / "DRIFT_SIGNALS_v0_1.json"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes() + b" ")

    refused = rebuilt.execute_request(request)

    run = rebuilt.instance.get_run_by_id(refused.run_id)
    assert run is not None
    assert run.tags[REFUSED_TAG] == "ACTIVATE_NOT_VERIFIED"
    assert failure_of(refused, POINTERS_ASSET).startswith("drift_signals: ACTIVATE_NOT_VERIFIED: ")
    assert count_active_results(rebuilt) == 1


def test_a_source_of_which_a_part_could_not_be_read_is_no_pass(fresh: DagsterRepo) -> None:
    folder = fresh.repository.root / "reports" / "runs"
    shutil.rmtree(folder)
    folder.write_text("not a folder")

    result = fresh.rebuild()

    check = checks_of(result, "run_registry")["source"]
    assert result.success
    assert (check.passed, check.severity) == (False, WARN)
    assert "RUN_ROOT_UNREADABLE" in (check.description or "")


@pytest.mark.parametrize("number", [6, 120])
def test_a_good_build_is_found_behind_any_number_of_reported_ones(rebuilt: DagsterRepo, number: int) -> None:
    good = newest(rebuilt, "threshold_packs_file")
    for _ in range(number):
        repeat(rebuilt, good)

    assert good.sealed is not None
    assert rebuilt.asked_for()["threshold_packs_file"] == good.sealed.ref.run_id


def test_after_an_activation_the_checks_of_the_pointers_pass(rebuilt: DagsterRepo) -> None:
    result = rebuilt.execute_request(rebuilt.requested())

    assert pointer_checks(result) == dict.fromkeys(("pointer_file", "chain", "active_seals", "consistency"), True)


@pytest.mark.parametrize("kind", ["deleted", "altered"])
def test_an_active_run_that_was_deleted_or_altered_fails_the_check_of_the_seals(
    activated: DagsterRepo, kind: str
) -> None:
    folder = activated.repository.publish_root / activated.active()["drift_signals"].run_id
    folder.chmod(0o755)
    if kind == "deleted":
        shutil.rmtree(folder)
    else:
        (folder / "DRIFT_SIGNALS_v0_1.json").chmod(0o644)
        (folder / "DRIFT_SIGNALS_v0_1.json").write_bytes(b"{}")

    result = activated.execute("check_pointers_job")

    check = checks_of(result, POINTERS_ASSET)["active_seals"]
    assert pointer_checks(result) == {"pointer_file": True, "chain": True, "active_seals": False, "consistency": True}
    assert check.severity is ERROR
    assert ("POINTER_RUN_MISSING" if kind == "deleted" else "SIZE_MISMATCH") in codes_of(check.metadata)
    assert (check.description or "").startswith(f"drift_signals {folder.name}: ")
    assert "Next: " in (check.description or "")


def test_a_pointer_file_that_somebody_edited_fails_the_check_of_the_chain(activated: DagsterRepo) -> None:
    pointers = activated.repository.pointer_path
    pointers.write_bytes(pointers.read_bytes() + b"\n")

    result = activated.execute("check_pointers_job")

    assert pointer_checks(result)["chain"] is False
    assert "POINTER_EDITED" in (checks_of(result, POINTERS_ASSET)["chain"].description or "")


def test_with_nothing_active_no_check_of_the_pointers_passes(fresh: DagsterRepo) -> None:
    result = fresh.execute("check_pointers_job")

    checks = checks_of(result, POINTERS_ASSET)
    assert {check.passed for check in checks.values()} == {False}
    assert {check.severity for check in checks.values()} == {WARN}
    assert "nothing to check" in (checks["active_seals"].description or "")


def test_under_ui_the_pointers_are_checked_every_hour_without_being_switched_on(fresh: DagsterRepo) -> None:
    definitions = build_defs(fresh.repository.root, automated=True)
    schedule = definitions.resolve_schedule_def("hourly_pointers_schedule")

    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "check_pointers_job"
    assert str(schedule.cron_schedule).split()[1:] == ["*"] * 4


@pytest.mark.parametrize(("hours", "expected"), [(None, 36), (12, 12), (0, None)])
def test_every_registry_is_overdue_after_the_configured_hours(
    fresh: DagsterRepo, hours: int | None, expected: int | None
) -> None:
    toml = fresh.repository.root / CONFIG_NAME
    toml.write_text("" if hours is None else f"[dagster]\nfreshness_hours = {hours}\n")

    graph = build_defs(fresh.repository.root).resolve_asset_graph()

    policies = {graph.get(AssetKey(name)).freshness_policy for name in REGISTRIES}
    assert policies == {None if expected is None else FreshnessPolicy.time_window(timedelta(hours=expected))}
