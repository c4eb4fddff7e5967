"""The operator of the daemon is notified of what failed: runs, and checks of runs that succeeded."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    ExecuteInProcessResult,
    SensorDefinition,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from registry_pipeline.config import CONFIG_NAME, UI_URL_VARIABLE
from registry_pipeline.defs import failure_sensors
from registry_pipeline.defs.failure_sensors import failed_check_sensor, failed_run_sensor
from registry_pipeline.defs.notification import COMMAND_VARIABLE, WEBHOOK_VARIABLE
from registry_pipeline.defs.resources import REPOSITORY
from registry_pipeline.errors import EvidenceError
from registry_pipeline.registries import validation
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import DagsterRepo, checks_of
from registry_pipeline_tests.defs.webhook import Webhook, open_webhook

ENVELOPE = {"schema_version", "event", "job", "dagster_run_id", "status", "repository_root", "location", "url"}
ENVELOPE |= {"problems", "text"}
PROBLEM = {"asset", "check", "registries", "codes", "message", "next_step"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (COMMAND_VARIABLE, WEBHOOK_VARIABLE, UI_URL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with open_webhook() as webhook:
        monkeypatch.setenv(WEBHOOK_VARIABLE, webhook.url)
        yield webhook


@dataclass
class Daemon:
    """Evaluates both sensors as Dagster's daemon does, and keeps their cursors."""

    repo: DagsterRepo
    cursors: dict[str, str | None] = field(default_factory=dict)

    def tick(self, sensor: SensorDefinition) -> SensorExecutionData:
        with build_sensor_context(
            instance=self.repo.instance,
            cursor=self.cursors.get(sensor.name),
            resources={REPOSITORY: self.repo.resource()},
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[sensor.name] = data.cursor
        return data

    def tick_all(self) -> None:
        for _ in range(5):
            self.tick(failed_run_sensor)
            self.tick(failed_check_sensor)


@pytest.fixture
def daemon(activated: DagsterRepo) -> Daemon:
    daemon = Daemon(activated)
    daemon.tick_all()  # the first tick only notes where the event log ends
    return daemon


def alter_active_run(repo: DagsterRepo) -> None:
    flip_byte(repo.repository.path(repo.active()["drift_signals"].path) / "DRIFT_SIGNALS_v0_1.json")


def fail(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, message: str = "the disk is gone") -> ExecuteInProcessResult:
    """Launch a job whose steps fail."""

    def broken(*_arguments: object) -> None:
        raise EvidenceError(message, "look for it")

    with monkeypatch.context() as patch:
        patch.setattr(validation, "validate", broken)
        result = daemon.repo.execute("check_job")
    assert not result.success
    return result


def only(webhook: Webhook) -> dict[str, Any]:
    (document,) = webhook.documents
    return document


def errors(data: SensorExecutionData) -> list[str]:
    found = [reaction.error for reaction in data.dagster_run_reactions or ()]
    return [error.to_string() for error in found if error is not None]


def test_a_failed_blocking_check_is_one_message_with_registry_code_and_next_step(
    daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UI_URL_VARIABLE, "http://127.0.0.1:3000/")
    alter_active_run(daemon.repo)

    result = daemon.repo.execute("check_job")
    daemon.tick_all()

    document = only(webhook)
    problem, other = document["problems"]
    assert set(document) == ENVELOPE
    assert set(problem) == set(other) == PROBLEM
    assert (document["event"], document["job"], document["status"]) == ("run_failed", "check_job", "FAILURE")
    assert document["dagster_run_id"] == result.run_id
    assert document["repository_root"] == str(daemon.repo.repository.root)
    assert document["url"] == f"http://127.0.0.1:3000/runs/{result.run_id}"
    assert (problem["asset"], problem["check"], problem["registries"]) == ("drift_signals", "seal", ["drift_signals"])
    assert problem["codes"] == ["HASH_MISMATCH"]
    assert document["text"] == (
        "check_job: drift_signals: check seal: HASH_MISMATCH. "
        "Next: rebuild the run; never edit a sealed run (and 1 more)"
    )


def test_a_step_that_failed_is_reported_with_its_message_and_advice(
    daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(daemon, monkeypatch)
    daemon.tick_all()

    document = only(webhook)
    first = document["problems"][0]
    assert document["text"].endswith(f". Next: look for it (and {len(document['problems']) - 1} more)")
    assert (first["check"], first["message"], first["next_step"]) == (None, "the disk is gone", "look for it")
    assert first["registries"] == [first["asset"].removeprefix("check_")]


def test_a_refused_activation_names_the_registry_that_was_refused(daemon: Daemon, webhook: Webhook) -> None:
    repo = daemon.repo
    assert repo.rebuild().success
    request = repo.requested()
    run_id = request.run_config["ops"]["active_registry_pointers"]["config"]["runs"]["drift_signals"]["run_id"]
    flip_byte(repo.repository.publish_root / run_id / "DRIFT_SIGNALS_v0_1.json")

    assert not repo.execute_request(request).success
    daemon.tick_all()

    (problem,) = only(webhook)["problems"]
    assert problem["registries"] == ["drift_signals"]
    assert problem["codes"] == ["ACTIVATE_NOT_VERIFIED"]
    assert problem["next_step"].startswith("rebuild the registry; ")


def test_an_altered_active_run_is_reported_although_the_run_of_its_check_succeeds(
    daemon: Daemon, webhook: Webhook
) -> None:
    alter_active_run(daemon.repo)

    assert daemon.repo.execute("check_pointers_job").success
    daemon.tick_all()

    document = only(webhook)
    (problem,) = document["problems"]
    assert (document["event"], document["job"], document["status"]) == ("check_failed", "check_pointers_job", "SUCCESS")
    assert (problem["check"], problem["registries"]) == ("active_seals", ["drift_signals"])
    assert "POINTER_SEAL_INVALID" in problem["codes"]


def test_a_check_that_fails_every_hour_for_the_same_reason_is_reported_once(daemon: Daemon, webhook: Webhook) -> None:
    alter_active_run(daemon.repo)
    for _ in range(3):
        assert daemon.repo.execute("check_pointers_job").success

    daemon.tick_all()

    assert len(webhook.documents) == 1


def test_a_check_that_passed_in_between_or_fails_for_another_reason_is_reported_again(
    daemon: Daemon, webhook: Webhook
) -> None:
    for _ in range(3):  # altered, as before, altered
        alter_active_run(daemon.repo)
        assert daemon.repo.execute("check_pointers_job").success
    flip_byte(daemon.repo.repository.path(daemon.repo.active()["run_registry"].path) / "RUN_REGISTRY_v0_1.jsonl")
    assert daemon.repo.execute("check_pointers_job").success

    daemon.tick_all()

    named = [document["problems"][0]["registries"] for document in webhook.documents]
    assert named == [["drift_signals"], ["drift_signals"], ["run_registry", "drift_signals"]]


def test_a_source_that_is_gone_is_reported_once(daemon: Daemon, webhook: Webhook) -> None:
    repository = daemon.repo.repository
    repository.path(repository.config.expected_versions).unlink()
    for _ in range(2):
        assert daemon.repo.rebuild().success

    daemon.tick_all()

    (problem,) = only(webhook)["problems"]
    assert (problem["asset"], problem["check"]) == ("expected_versions", "source")
    assert problem["codes"] == ["CAPTURE_MISSING"]


def test_a_check_that_fails_with_a_warning_is_no_message(rebuilt: DagsterRepo, webhook: Webhook) -> None:
    daemon = Daemon(rebuilt)
    daemon.tick_all()

    result = rebuilt.execute("check_pointers_job")  # nothing is active
    daemon.tick_all()

    assert not any(check.passed for check in checks_of(result, "active_registry_pointers").values())
    assert webhook.documents == []


def test_runs_that_succeed_are_no_message_and_get_no_line_in_their_logs(daemon: Daemon, webhook: Webhook) -> None:
    assert daemon.repo.execute("check_pointers_job").success

    data = daemon.tick(failed_check_sensor)

    assert (webhook.documents, data.dagster_run_reactions, data.run_requests) == ([], [], [])


def test_a_run_that_dagster_launches_again_is_reported_only_if_the_last_one_fails(
    daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = daemon.repo.definitions.resolve_job_def("rebuild_job")
    died = daemon.repo.instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    daemon.repo.instance.report_run_failed(died, "The process of the run ended.")
    again = fail(daemon, monkeypatch)

    daemon.tick_all()

    assert only(webhook)["dagster_run_id"] == again.run_id


def test_a_run_whose_process_died_is_reported_with_what_the_daemon_says(daemon: Daemon, webhook: Webhook) -> None:
    run = daemon.repo.instance.create_run_for_job(
        daemon.repo.definitions.resolve_job_def("rebuild_job"),
        status=DagsterRunStatus.STARTED,
        tags={"dagster/max_retries": "0"},
    )
    daemon.repo.instance.report_run_failed(run, "Exceeded maximum runtime of 7200 seconds.")

    daemon.tick_all()

    (problem,) = only(webhook)["problems"]
    assert (problem["asset"], problem["message"]) == (None, "Exceeded maximum runtime of 7200 seconds.")
    assert problem["next_step"] == f"open the Dagster run {run.run_id[:12]}"


def test_a_webhook_that_fails_fails_the_tick_without_its_address_and_the_next_message_is_sent(
    daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(daemon, monkeypatch)
    webhook.status = 500
    (error,) = errors(daemon.tick(failed_run_sensor))
    webhook.status = 204
    second = fail(daemon, monkeypatch)

    assert errors(daemon.tick(failed_run_sensor)) == []

    assert "the notification was not delivered: the server answered 500" in error
    assert "secret-token" not in error
    assert [document["dagster_run_id"] for document in webhook.documents][1:] == [second.run_id]


def test_without_a_setting_a_tick_says_which_variables_to_set(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(daemon, monkeypatch)

    skipped = daemon.tick(failed_run_sensor).skip_message or ""

    assert COMMAND_VARIABLE in skipped
    assert WEBHOOK_VARIABLE in skipped
    assert failure_sensors.failed_run_sensor.default_status is DefaultSensorStatus.STOPPED


def test_a_repository_cannot_configure_a_notification(daemon: Daemon) -> None:
    toml = daemon.repo.repository.root / CONFIG_NAME
    toml.write_text('[dagster]\nnotify_command = "id"\n', encoding="utf-8")

    assert not daemon.repo.rebuild().success


def test_a_command_gets_the_message_on_standard_input(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    words = [sys.executable, "-c", program, str(tmp_path / "got; touch x")]
    monkeypatch.setenv(COMMAND_VARIABLE, shlex.join(words))

    fail(daemon, monkeypatch)

    assert errors(daemon.tick(failed_run_sensor)) == []
    assert set(json.loads((tmp_path / "got; touch x").read_bytes())) == ENVELOPE
