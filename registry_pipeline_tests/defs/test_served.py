"""A repository with webserver and daemon as processes on loopback, used through GraphQL and a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.defs.notification import WEBHOOK_VARIABLE
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs import pointer_file
from registry_pipeline_tests.copies import flip_byte, make_removable
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Served, open_browser_page, until
from registry_pipeline_tests.defs.webhook import Webhook, open_webhook

pytestmark = pytest.mark.process

HISTORY = """
query History($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      description isMaterializable isPartitioned partitionKeys partitionStats {numPartitions numFailed}
      assetPartitionStatuses {... on TimePartitionStatuses {ranges {status}}}
    }
  }
}"""


STEPS = "query Steps($id: ID!) {runOrError(runId: $id) {... on Run {executionPlan {steps {key}}}}}"


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    with open_webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def served(known_repository: Path, tmp_path_factory: pytest.TempPathFactory, webhook: Webhook) -> Iterator[Served]:
    """Start `registry-pipeline ui` as a process, and stop it as Ctrl-C does."""
    root = tmp_path_factory.mktemp("served") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    command = [sys.executable, "-m", "registry_pipeline", "-C", str(root), "--json", "ui", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", WEBHOOK_VARIABLE: webhook.url, "no_proxy": "*"}
    address_file = root.parent / "address.json"
    with address_file.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environment, start_new_session=True)
    try:
        yield Served(
            until("the address", lambda: _address(address_file, process), START_SECONDS), load_repository(root)
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(WORK_SECONDS) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        make_removable(root)


def _address(address_file: Path, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "`ui` ended by itself"
    try:
        url: str = json.loads(address_file.read_bytes())["url"]
    except ValueError:
        return None
    return url


@pytest.fixture(scope="module")
def launched(served: Served) -> str:
    """Launch the rebuild through GraphQL and return how it ended."""
    return served.wait_for_end("rebuild_job", served.launch("rebuild_job"))


def test_the_code_location_has_the_name_that_dg_gives_it(served: Served) -> None:
    assert served.location()["repositoryLocationName"] == "registry_pipeline"


def test_without_a_first_day_dagster_shows_the_history_with_no_partition(served: Served) -> None:
    node = served.graphql(HISTORY, key={"path": ["drift_signals_daily"]})["assetNodeOrError"]

    assert (node["isPartitioned"], node["partitionKeys"]) == (True, [])
    # Dagster's button for all assets would ask for a partition of it, and there is none.
    assert not node["isMaterializable"]
    assert node["assetPartitionStatuses"]["ranges"] == []
    assert node["partitionStats"] == {"numPartitions": 0, "numFailed": 0}
    assert "CONFIG_HISTORY_START: history_start is not set" in node["description"]


def test_a_rebuild_launched_through_graphql_is_activated_by_the_sensor_and_reported(
    served: Served, launched: str
) -> None:
    report = until("the report", lambda: served.newest("system_health_report"), WORK_SECONDS)
    pointers = served.newest("active_registry_pointers")

    assert launched == "SUCCESS"
    assert pointers is not None
    assert pointers["runId"] == report["runId"]
    assert {"label": "moved", "intValue": len(REGISTRIES)} in pointers["metadataEntries"]
    head = read_chain_state(served.repository).head
    assert head is not None
    assert head.record.actor == f"dagster:activation_sensor (Dagster run {report['runId']})"
    active = pointer_file.read_pointers(served.repository)
    assert all(active.active(name) is not None for name in REGISTRIES)


def test_the_page_of_a_group_shows_every_asset_of_it(served: Served, launched: str, tmp_path: Path) -> None:
    with open_browser_page() as page:
        group = f"{served.url}/locations/registry_pipeline/asset-groups/control"
        page.goto(group, wait_until="domcontentloaded")
        for name in ("active_registry_pointers", "registry_delta_log", "system_health_report"):
            page.get_by_text(name, exact=True).first.wait_for()
        page.screenshot(path=str(tmp_path / "graph.png"))
        page.goto(f"{served.url}/assets/run_registry", wait_until="domcontentloaded")
        page.get_by_text("ROOT_SHA256", exact=True).first.wait_for()
        page.screenshot(path=str(tmp_path / "run_registry.png"))

    assert (tmp_path / "graph.png").stat().st_size > 0


def test_runs_that_the_command_line_seals_appear_and_are_checked_by_dagster(served: Served, launched: str) -> None:
    assert launched == "SUCCESS"
    until("the report of the rebuild", lambda: served.newest("system_health_report"), WORK_SECONDS)
    built = subprocess.run(
        [sys.executable, "-m", "registry_pipeline", "-C", str(served.repository.root), "--json", "build"],
        check=True,
        capture_output=True,
    )
    sealed = {row["registry_id"]: row["run_id"] for row in json.loads(built.stdout)["built"] if not row["reused"]}

    run_id = until("the checks of the set", lambda: next(iter(served.runs("check_job")), None), WORK_SECONDS)
    assert served.wait_for_end("check_job", run_id) == "SUCCESS"
    steps = {step["key"] for step in served.graphql(STEPS, id=run_id)["runOrError"]["executionPlan"]["steps"]}
    assert steps == {f"check_{registry_id}" for registry_id in (*sealed, "system_health_report")}
    assert len(sealed) < len(REGISTRIES), "unchanged captures are not sealed again, so there is nothing to check"
    for registry_id, run_id in sealed.items():
        newest = served.newest(registry_id)
        assert newest is not None
        assert newest["runId"] == ""
        assert {"label": "run_id", "text": run_id} in newest["metadataEntries"]


def test_an_altered_active_run_is_posted_to_the_webhook_with_a_link_to_its_run(
    served: Served, launched: str, webhook: Webhook
) -> None:
    assert launched == "SUCCESS"
    until("the report of the rebuild", lambda: served.newest("system_health_report"), WORK_SECONDS)
    active = pointer_file.read_pointers(served.repository).active_refs()["drift_signals"]
    file = served.repository.path(active.path) / "DRIFT_SIGNALS_v0_1.json"
    flip_byte(file)
    try:
        run_id = served.launch("check_pointers_job")
        assert served.wait_for_end("check_pointers_job", run_id) == "SUCCESS"
        # A failure is reported once, so the document names the run that found it first: another run of this server may
        # have checked the pointers just before.
        document = until("the notification", lambda: webhook.find("drift_signals: check active_seals: "), WORK_SECONDS)
    finally:
        flip_byte(file)

    assert document["event"] == "check_failed"
    assert document["url"] == f"{served.url}/runs/{document['dagster_run_id']}"
    assert served.wait_for_end(document["job"], document["dagster_run_id"]) == "SUCCESS"
    assert document["repository_root"] == str(served.repository.root)
