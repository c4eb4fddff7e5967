"""Two repositories served by one `registry-pipeline ui`: each is built, activated, reported and checked by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.defs.location import ROOT_TAG
from registry_pipeline.defs.notification import WEBHOOK_VARIABLE
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs import pointer_file
from registry_pipeline_tests.copies import flip_byte, make_removable
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Served, until
from registry_pipeline_tests.defs.test_locations import set_location
from registry_pipeline_tests.defs.webhook import Webhook, open_webhook
from registry_pipeline_tests.histories import make_historic

# Two minutes of waiting for a daemon; test_locations.py compares the same lives in one process.
pytestmark = [pytest.mark.process, pytest.mark.soak]

NAMES = ("payments", "billing-eu")
RUNS = """
query Runs($job: String) {
  runsOrError(filter: {pipelineName: $job}) {
    ... on Runs {results {runId status repositoryOrigin {repositoryLocationName} tags {key value}}}
  }
}"""
ASSETS = "{assetsOrError {... on AssetConnection {nodes {key {path}}}}}"


@dataclass(frozen=True)
class ServedLocation(Served):
    """One of the repositories that Dagster serves."""

    name: str = ""

    def location(self) -> dict[str, str]:
        return {"repositoryName": "__repository__", "repositoryLocationName": self.name}

    def own_runs(self, job: str) -> list[dict[str, Any]]:
        runs = self.graphql(RUNS, job=job)["runsOrError"]["results"]
        return [run for run in runs if run["repositoryOrigin"]["repositoryLocationName"] == self.name]


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    with open_webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, webhook: Webhook) -> Iterator[Mapping[str, ServedLocation]]:
    """Start `registry-pipeline ui` for both, rebuild both at once, and wait until both are active."""
    folder = tmp_path_factory.mktemp("served")
    roots = {name: make_historic(folder / name).root for name in NAMES}
    for name, root in roots.items():
        set_location(root, name)
    first, second = roots.values()
    command = [sys.executable, "-m", "registry_pipeline", "-C", str(first), "--json", "ui", "--port", "0"]
    address_file = folder / "address.json"
    with address_file.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--also", str(second)],
            stdout=out,
            env={**os.environ, "PYTHONUNBUFFERED": "1", WEBHOOK_VARIABLE: webhook.url, "no_proxy": "*"},
            start_new_session=True,
        )
    try:
        url = until("the address", lambda: _read_address(address_file, process), START_SECONDS)
        both = {name: ServedLocation(url, load_repository(root), name) for name, root in roots.items()}
        for run_id, repo in [(repo.launch("rebuild_job"), repo) for repo in both.values()]:
            assert repo.wait_for_end("rebuild_job", run_id) == "SUCCESS"
        for repo in both.values():
            until(f"the activation of {repo.name}", partial(_find_activation, repo), WORK_SECONDS)
        yield both
        process.send_signal(signal.SIGINT)
        assert process.wait(WORK_SECONDS) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        make_removable(folder)


def _read_address(address_file: Path, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "`ui` ended by itself"
    try:
        url: str = json.loads(address_file.read_bytes())["url"]
    except ValueError:
        return None
    return url


def _find_activation(repo: ServedLocation) -> str | None:
    ended = [run["runId"] for run in repo.own_runs("activate_pointers_job") if run["status"] == "SUCCESS"]
    return ended[0] if ended else None


def test_each_repository_is_activated_by_its_own_sensor(served: Mapping[str, ServedLocation]) -> None:
    for repo in served.values():
        chain = read_chain_state(repo.repository)
        assert [record.record.action for record in chain.records] == ["init", "activate"]
        assert chain.records[-1].record.actor == f"dagster:activation_sensor (Dagster run {_find_activation(repo)})"
        for job in ("rebuild_job", "activate_pointers_job"):
            tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in repo.own_runs(job)]
            assert {each[ROOT_TAG] for each in tags} == {str(repo.repository.root)}


def test_every_asset_belongs_to_a_location(served: Mapping[str, ServedLocation]) -> None:
    nodes = served[NAMES[0]].graphql(ASSETS)["assetsOrError"]["nodes"]

    assert {node["key"]["path"][0] for node in nodes} == set(NAMES)


def test_builds_of_the_same_second_are_reported_and_checked_in_each_repository(
    served: Mapping[str, ServedLocation],
) -> None:
    moment = ["--now", "2100-03-01T12:00:00Z", "--allow-future"]
    for repo in served.values():
        words = ["-C", str(repo.repository.root), *moment, "build", "--force", "--no-activate"]
        subprocess.run([sys.executable, "-m", "registry_pipeline", *words], check=True, capture_output=True)

    for repo in served.values():

        def find_checks(repo: ServedLocation = repo) -> str | None:
            return next((run["runId"] for run in repo.own_runs("check_job")), None)

        run_id = until(f"the checks of {repo.name}", find_checks, WORK_SECONDS)
        assert repo.wait_for_end("check_job", run_id) == "SUCCESS"


def test_an_altered_run_of_one_repository_is_reported_once_and_for_that_one(
    served: Mapping[str, ServedLocation], webhook: Webhook
) -> None:
    altered, other = served.values()
    active = pointer_file.read_pointers(altered.repository).active_refs()["drift_signals"]
    flip_byte(altered.repository.path(active.path) / "DRIFT_SIGNALS_v0_1.json")

    for repo in (altered, other):
        assert repo.wait_for_end("check_pointers_job", repo.launch("check_pointers_job")) == "SUCCESS"

    until("the notification", lambda: webhook.find("drift_signals: check active_seals: "), WORK_SECONDS)
    assert {document["repository_root"] for document in webhook.documents} == {str(altered.repository.root)}
    assert webhook.documents[0]["text"].startswith(f"{webhook.documents[0]['location']}: check_pointers_job: ")
    assert webhook.documents[0]["location"] == altered.name
    assert [document["event"] for document in webhook.documents] == ["check_failed"]
