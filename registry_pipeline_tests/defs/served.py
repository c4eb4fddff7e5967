"""Dagster's processes on loopback, queried through GraphQL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from registry_pipeline.cli.commands.ui import HOST, find_dagster_commands, make_environment, prepare_home
from registry_pipeline.config import Repository

# A test that hangs is ended by pytest-timeout. These limits end it shortly before, with the name of what it waited for.
START_SECONDS = 550
WORK_SECONDS = 550

Value = TypeVar("Value")

LOCATIONS = "{repositoriesOrError {... on RepositoryConnection {nodes {name location {name}}}}}"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess {run {runId}}
    ... on RunConfigValidationInvalid {errors {message}}
    ... on PythonError {message}
  }
}"""
RUNS = "query Runs($job: String) {runsOrError(filter: {pipelineName: $job}) {... on Runs {results {runId status}}}}"
PAGE = """
query Page($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    ... on Asset {
      assetMaterializations(limit: 1) {
        runId
        metadataEntries {label ... on IntMetadataEntry {intValue} ... on TextMetadataEntry {text}}
      }
    }
  }
}"""


@dataclass(frozen=True)
class Served:
    """A repository whose Dagster answers at `url`."""

    url: str
    repository: Repository

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        with build_opener(ProxyHandler({})).open(request, timeout=WORK_SECONDS) as answer:
            document: dict[str, Any] = json.load(answer)
        assert "errors" not in document, document
        data: dict[str, Any] = document["data"]
        return data

    def location(self) -> dict[str, str]:
        """Return the names of the code location and of its repository, as every selector needs them."""
        node = self.graphql(LOCATIONS)["repositoriesOrError"]["nodes"][0]
        return {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}

    def request_launch(
        self,
        job: str,
        *,
        assets: Sequence[str] = (),
        tags: dict[str, str] | None = None,
        config: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Request a run of a job, or of some of its assets with their checks, and return Dagster's answer."""
        selector: dict[str, Any] = {**self.location(), "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": name.split("/")} for name in assets]
        labels = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        params = {
            "selector": selector,
            "runConfigData": config or {},
            "mode": "default",
            "executionMetadata": {"tags": labels},
        }
        answer: dict[str, Any] = self.graphql(LAUNCH, params=params)["launchRun"]
        return answer

    def launch(self, job: str, *, assets: Sequence[str] = (), tags: dict[str, str] | None = None) -> str:
        """Launch a job, or some of its assets, as their pages do, and return the id of the run."""
        answer = self.request_launch(job, assets=assets, tags=tags)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def runs(self, job: str) -> dict[str, str]:
        """Return the status of each run of a job, the newest first."""
        return {run["runId"]: run["status"] for run in self.graphql(RUNS, job=job)["runsOrError"]["results"]}

    def wait_for_end(self, job: str, run_id: str) -> str:
        """Wait until a run is over, and return its status."""

        def over() -> str | None:
            status = self.runs(job)[run_id]
            return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

        return until(f"the end of {job}", over, WORK_SECONDS)

    def newest(self, asset: str) -> dict[str, Any] | None:
        """Return the newest materialization of an asset as its page shows it."""
        found = self.graphql(PAGE, key={"path": [asset]})["assetOrError"].get("assetMaterializations", [])
        return found[0] if found else None


class Machine:
    """Webserver and daemon of a repository, as `ui` starts them; each can die by itself."""

    def __init__(self, repository: Repository) -> None:
        self.repository, self.started = repository, list[subprocess.Popen[bytes]]()
        prepare_home(repository.dagster_home)
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        self.web, self.daemon = find_dagster_commands(repository.dagster_home, port)
        self.served = Served(f"http://{HOST}:{port}", repository)

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        home = self.repository.dagster_home
        environment = make_environment(self.repository.root, home)
        with (home / "log").open("ab") as log:
            self.started.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            )
        return self.started[-1]

    def answers(self) -> bool | None:
        with suppress(URLError, OSError):
            return bool(self.served.location())
        return None

    def stop(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(what: str, ask: Callable[[], Value | None], seconds: float, *, pause: float = 0.5) -> Value:
    """Ask until there is an answer, and fail when there is none in time; `pause` is the time between two questions."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(pause)
    pytest.fail(f"{what}: not within {seconds} seconds")


@contextmanager
def open_browser_page() -> Iterator[Any]:
    """Open a page in Chromium without a window; skip the test where playwright or Chromium is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None and not os.environ.get("CI"):
        pytest.skip("chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=[*flags, "--disable-sync", "--no-first-run"]
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(WORK_SECONDS * 1000)
        yield page
        browser.close()
