"""A notification is delivered, or the error says why, without the secrets of the operator."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline.defs import notification
from registry_pipeline.defs.notification import COMMAND_VARIABLE, WEBHOOK_VARIABLE, Notification, Problem, send
from registry_pipeline.errors import ConfigError, RegistryPipelineError
from registry_pipeline.values import replace
from registry_pipeline_tests.defs.webhook import Webhook, open_webhook

SECRET = "secret-token"  # noqa: S105 - none
PROBLEM = Problem("run_registry", "rules", ("run_registry",), ("RUN_REMOVED",), "a run is gone", "restore it")
MESSAGE = Notification("run_failed", "rebuild_job", "1" * 36, "FAILURE", "/shop", None, (PROBLEM,))


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("no_proxy", "*")
    with open_webhook() as webhook:
        yield webhook


def python(program: str, *arguments: str) -> dict[str, str]:
    return {COMMAND_VARIABLE: shlex.join([sys.executable, "-c", program, *arguments])}


def refusal(environ: dict[str, str]) -> RegistryPipelineError:
    with pytest.raises(RegistryPipelineError) as caught:
        send(MESSAGE, environ)
    assert SECRET not in f"{caught.value.message} {caught.value.advice}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_a_webhook_gets_the_document(webhook: Webhook) -> None:
    send(MESSAGE, {WEBHOOK_VARIABLE: webhook.url})

    assert webhook.documents == [
        {
            "schema_version": "0.1",
            "event": "run_failed",
            "job": "rebuild_job",
            "dagster_run_id": "1" * 36,
            "status": "FAILURE",
            "repository_root": "/shop",
            "url": None,
            "problems": [
                {
                    "asset": "run_registry",
                    "check": "rules",
                    "registries": ["run_registry"],
                    "codes": ["RUN_REMOVED"],
                    "message": "a run is gone",
                    "next_step": "restore it",
                }
            ],
            "location": None,
            "text": "rebuild_job: run_registry: check rules: RUN_REMOVED. Next: restore it",
        }
    ]


def test_the_text_starts_with_the_code_location_of_the_repository_if_it_has_one() -> None:
    named = replace(MESSAGE, location="payments")

    assert named.to_json()["location"] == "payments"
    assert named.format_text() == f"payments: {MESSAGE.format_text()}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(webhook: Webhook, status: int) -> None:
    webhook.status, webhook.location = status, f"{webhook.url}/elsewhere"

    error = refusal({WEBHOOK_VARIABLE: webhook.url})

    assert f"the server answered {status}, a redirect, which is not followed" in error.message
    assert (len(webhook.documents), webhook.gets) == (1, [])


def test_a_server_that_refuses_or_does_not_answer_is_an_error(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.status = 404
    assert "the server answered 404" in refusal({WEBHOOK_VARIABLE: webhook.url}).message

    monkeypatch.setattr(notification, "LIMIT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        assert refusal({WEBHOOK_VARIABLE: address}).message.endswith("did not answer within 0.1 seconds")
    assert "refused" in refusal({WEBHOOK_VARIABLE: address}).message


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/secret-token", "secret-token", "http://", "http://[secret-token"]
)
def test_an_address_of_another_scheme_is_refused(address: str) -> None:
    error = refusal({WEBHOOK_VARIABLE: address})

    assert isinstance(error, ConfigError)
    assert error.message == f"{WEBHOOK_VARIABLE} is not a URL"


def test_a_malformed_port_is_an_error_without_the_address() -> None:
    assert "InvalidURL" in refusal({WEBHOOK_VARIABLE: "http://127.0.0.1:secret-token/"}).message


def test_a_command_is_executed_without_a_shell(tmp_path: Path) -> None:
    target = tmp_path / "a $(touch b); c"

    send(MESSAGE, python("import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", str(target)))

    assert target.read_bytes().startswith(b'{"schema_version": "0.1"')
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_command_that_does_not_read_its_input_and_ends_with_zero_is_a_success() -> None:
    send(MESSAGE, python("pass"))


def test_a_command_that_fails_or_is_missing_is_an_error_with_its_name_alone() -> None:
    failed = refusal(python("raise SystemExit(3)", SECRET))
    missing = refusal({COMMAND_VARIABLE: f"/no/such/program {SECRET}"})

    assert failed.message.endswith(f"{Path(sys.executable).name} ended with code 3")
    assert missing.message.endswith("program: No such file or directory")


def test_a_command_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification, "LIMIT_SECONDS", 0.5)

    error = refusal(python("import threading; threading.Event().wait()"))

    assert "did not end within 0.5 seconds" in error.message


@pytest.mark.parametrize("command", ["'", " ", '"" x'])
def test_a_text_that_is_no_command_is_refused(command: str) -> None:
    assert isinstance(refusal({COMMAND_VARIABLE: command}), ConfigError)


def test_with_both_or_neither_nobody_is_notified(webhook: Webhook) -> None:
    for environ in ({}, {WEBHOOK_VARIABLE: webhook.url, COMMAND_VARIABLE: "true"}):
        assert "and not both" in refusal(environ).advice
    assert webhook.documents == []


def test_a_problem_without_codes_is_its_message_and_the_text_counts_the_others() -> None:
    bare = Problem(None, None, (), (), "the process ended " + "x" * 400, "open the Dagster run 123")
    text = Notification("run_failed", "check_job", "1", "FAILURE", None, None, (bare, PROBLEM, PROBLEM)).format_text()

    assert text.startswith("check_job: the process ended x")
    assert text.endswith("x. Next: open the Dagster run 123 (and 2 more)")
    assert len(text) < 400
