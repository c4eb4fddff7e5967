"""The door as people use it: webserver and daemon as processes on loopback, asked through GraphQL and a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from registry_pipeline import runbook
from registry_pipeline.catalog import STACK
from registry_pipeline.config import Governed, load_governed
from registry_pipeline_tests.defs.conftest import REGISTRIES, make_removable

pytestmark = [pytest.mark.xdist_group("dagster"), pytest.mark.door]

START_SECONDS = 150
WORK_SECONDS = 240

Value = TypeVar("Value")

WORKSPACE = "{repositoriesOrError {... on RepositoryConnection {nodes {name location {name}}}}}"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess {run {runId}}
    ... on PythonError {message}
  }
}"""
RUN = "query Run($id: ID!) {runOrError(runId: $id) {... on Run {status}}}"
PAGE = """
query Page($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    ... on Asset {assetMaterializations(limit: 1) {runId metadataEntries {label ... on IntMetadataEntry {intValue}}}}
  }
}"""


@dataclass(frozen=True)
class Served:
    """A governed repository whose Dagster answers at `url`."""

    url: str
    governed: Governed

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            document: dict[str, Any] = json.load(answer)
        assert "errors" not in document, document
        data: dict[str, Any] = document["data"]
        return data

    def newest(self, asset: str) -> dict[str, Any] | None:
        """Return the newest materialization of an asset as its page shows it."""
        found = self.graphql(PAGE, key={"path": [asset]})["assetOrError"].get("assetMaterializations", [])
        return found[0] if found else None


def until(what: str, ask: Callable[[], Value | None], seconds: float) -> Value:
    """Ask until there is an answer, and fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(0.2)
    pytest.fail(f"{what}: not within {seconds} seconds")


@pytest.fixture(scope="module")
def served(known_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start `registry-pipeline ui` as a process, and stop it as Ctrl-C does."""
    root = tmp_path_factory.mktemp("served") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    command = [sys.executable, "-m", "registry_pipeline", "-C", str(root), "--json", "ui", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    told = root.parent / "told.json"
    with told.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environment, start_new_session=True)
    try:
        yield Served(until("the address", lambda: _address(told, process), START_SECONDS), load_governed(root))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        make_removable(root)


def _address(told: Path, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "`ui` ended by itself"
    try:
        url: str = json.loads(told.read_bytes())["url"]
    except ValueError:
        return None
    return url


@pytest.fixture(scope="module")
def launched(served: Served) -> str:
    """Launch the rebuild through GraphQL and return how it ended."""
    node = served.graphql(WORKSPACE)["repositoriesOrError"]["nodes"][0]
    where = {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
    params = {"selector": {**where, "jobName": "rebuild_job"}, "runConfigData": {}, "mode": "default"}
    answer = served.graphql(LAUNCH, params=params)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer

    def over() -> str | None:
        status: str = served.graphql(RUN, id=answer["run"]["runId"])["runOrError"]["status"]
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    return until("the rebuild", over, WORK_SECONDS)


def test_a_rebuild_launched_through_graphql_is_put_in_force_by_the_sensor_and_reported(
    served: Served, launched: str
) -> None:
    report = until("the report", lambda: served.newest("system_health_report"), WORK_SECONDS)
    pointers = served.newest("active_registry_pointers")

    assert launched == "SUCCESS"
    assert pointers is not None
    assert pointers["runId"] == report["runId"]
    assert {"label": "moved", "intValue": len(STACK)} in pointers["metadataEntries"]
    active = runbook.read_pointers(served.governed)
    assert all(active.active(name) is not None for name in REGISTRIES)


def test_the_page_of_the_graph_shows_every_asset(served: Served, launched: str, tmp_path: Path) -> None:
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
        page.goto(f"{served.url}/asset-groups", wait_until="domcontentloaded")
        for name in (*REGISTRIES, "active_registry_pointers", "system_health_report"):
            page.get_by_text(name, exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "graph.png"))
        page.goto(f"{served.url}/assets/run_registry", wait_until="domcontentloaded")
        page.get_by_text("ROOT_SHA256", exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "run_registry.png"))
        browser.close()

    assert (tmp_path / "graph.png").stat().st_size > 0
