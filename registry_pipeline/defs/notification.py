"""Messages to the operator about what failed, sent by a command or a webhook.

Only the environment of Dagster's processes names them. The toml does not: it comes with a checkout, which must neither
make the daemon execute a program nor contain the secret in the address of a webhook.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import PurePath
from threading import Thread
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from registry_pipeline.errors import ConfigError, RegistryPipelineError
from registry_pipeline.values import asdict, value_type

COMMAND_VARIABLE: Final = "REGISTRY_PIPELINE_NOTIFY_COMMAND"
WEBHOOK_VARIABLE: Final = "REGISTRY_PIPELINE_NOTIFY_WEBHOOK"
# Dagster sends at most five messages in a tick, and ends a tick after sixty seconds.
LIMIT_SECONDS: Final = 10
_MAX_MESSAGE: Final = 300


@value_type
class Problem:
    """A step or a check that failed.

    Attributes:
        asset: the asset of the check, else the step; None if the run failed outside of its steps.
        check: the name of the check.
        registries: the registries that it is about, as far as they are known.
        codes: the codes of its findings, as far as they are known.
    """

    asset: str | None
    check: str | None
    registries: tuple[str, ...]
    codes: tuple[str, ...]
    message: str
    next_step: str

    def format_text(self) -> str:
        """Return registries, check, codes and next step on one line; without codes, the start of the message."""
        names = ", ".join(self.registries) or self.asset
        check = f"check {self.check}" if self.check else None
        what = ", ".join(self.codes) or self.message[:_MAX_MESSAGE]
        return ": ".join(filter(None, (names, check, what))) + f". Next: {self.next_step}"


@value_type
class Notification:
    """A run that failed, or checks that failed in a run that succeeded.

    Attributes:
        event: `run_failed` or `check_failed`.
        status: the status of the run, as Dagster names it.
        repository_root: the root of the repository; None if it was not found.
        url: the page of the run, if the environment names the web interface.
        problems: at least one.
        location: the name of the code location, if the repository has one.
    """

    event: str
    job: str
    dagster_run_id: str
    status: str
    repository_root: str | None
    url: str | None
    problems: tuple[Problem, ...]
    location: str | None = None

    def format_text(self) -> str:
        """Return the location, the job and its first problem on one line, with the number of the others."""
        more = len(self.problems) - 1
        others = f" (and {more} more)" if more else ""
        where = f"{self.location}: " if self.location else ""
        return f"{where}{self.job}: {self.problems[0].format_text()}{others}"

    def to_json(self) -> dict[str, Any]:
        """Return the document that is sent: the fields, a version, and the text."""
        return {"schema_version": "0.1", **asdict(self), "text": self.format_text()}


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        # urllib would repeat the request without the message, perhaps unencrypted. Without a new request, the redirect
        # is an error like any other status.
        return None


def is_configured(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names a command or a webhook."""
    return bool(environ.get(COMMAND_VARIABLE) or environ.get(WEBHOOK_VARIABLE))


def send(notification: Notification, environ: Mapping[str, str]) -> None:
    """Send a notification by the command or the webhook that the environment names.

    The command gets the document on standard input; it is executed without a shell. The webhook gets it by POST.

    Raises:
        ConfigError: the environment names both or none, or what it names is malformed.
        RegistryPipelineError: the notification was not delivered. The message contains no address and no argument.
    """
    command, webhook = environ.get(COMMAND_VARIABLE), environ.get(WEBHOOK_VARIABLE)
    message = json.dumps(notification.to_json()).encode()
    if command and not webhook:
        _execute_command(command, message)
    elif webhook and not command:
        _post(webhook, message)
    else:
        raise ConfigError("nobody was notified", f"set either {COMMAND_VARIABLE} or {WEBHOOK_VARIABLE}, and not both")


def _execute_command(command: str, message: bytes) -> None:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words or not words[0]:
        raise ConfigError(f"{COMMAND_VARIABLE} is not a command", "write a program and its arguments, as in a shell")
    name = PurePath(words[0]).name
    # What it prints on standard error is in the log of Dagster's daemon.
    try:
        ended = subprocess.run(words, input=message, stdout=subprocess.DEVNULL, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _make_error(COMMAND_VARIABLE, f"{name} did not end within {LIMIT_SECONDS} seconds") from None
    except OSError as error:
        raise _make_error(COMMAND_VARIABLE, f"{name}: {error.strerror}") from None
    if ended.returncode:
        raise _make_error(COMMAND_VARIABLE, f"{name} ended with code {ended.returncode}")


def _post(address: str, message: bytes) -> None:
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and parts.hostname is not None
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"{WEBHOOK_VARIABLE} is not a URL", "write an address that starts with https:// or http://")
    try:
        request = Request(address, message, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 - checked
        _limit_time(lambda: build_opener(_NoRedirects).open(request, timeout=LIMIT_SECONDS).close())
    except TimeoutError:
        raise _make_error(WEBHOOK_VARIABLE, f"the server did not answer within {LIMIT_SECONDS} seconds") from None
    except HTTPError as error:
        error.close()
        redirect = ", a redirect, which is not followed" if 300 <= error.code < 400 else ""
        raise _make_error(WEBHOOK_VARIABLE, f"the server answered {error.code}{redirect}") from None
    except (OSError, HTTPException, ValueError) as error:
        # The text of these errors may contain the address, which is a secret of the operator.
        cause = getattr(error, "reason", None)
        text = getattr(cause if isinstance(cause, OSError) else error, "strerror", None)
        raise _make_error(WEBHOOK_VARIABLE, text or type(cause or error).__name__) from None


def _limit_time(call: Callable[[], None]) -> None:
    """Call a function that opens a connection; raise TimeoutError if it has not returned after LIMIT_SECONDS."""
    # The time limit of a socket is that of each of its operations: a server that sends a byte now and then has no end.
    results: list[Exception | None] = []

    def work() -> None:
        try:
            call()
            results.append(None)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            results.append(error)

    worker = Thread(target=work, daemon=True)
    worker.start()
    worker.join(LIMIT_SECONDS)
    for error in results or [TimeoutError()]:
        if error is not None:
            raise error


def _make_error(variable: str, reason: str) -> RegistryPipelineError:
    return RegistryPipelineError(f"the notification was not delivered: {reason}", f"correct {variable}")
