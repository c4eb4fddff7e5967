"""History through Dagster's processes: a backfill of sixty days under the daemon, and `dg launch` from a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import REPO_VARIABLE, load_repository
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, Served, until
from registry_pipeline_tests.histories import FIRST_DAY, make_historic

pytestmark = [pytest.mark.process, pytest.mark.soak]

DAYS = [str(FIRST_DAY + timedelta(days=count)) for count in range(60)]
CHECKOUT = Path(__file__).parents[2]

BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess {backfillId}
    ... on PythonError {message}
  }
}"""
STATE = """
query State($id: String!) {
  partitionBackfillOrError(backfillId: $id) {... on PartitionBackfill {status numPartitions error {message}}}
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {... on Runs {results {runId status}}}
}"""
MADE = """
query Made($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    ... on Asset {
      assetMaterializations(limit: 500) {
        runId partition
        metadataEntries {label ... on IntMetadataEntry {intValue} ... on TextMetadataEntry {text}}
      }
    }
  }
}"""
STATUSES = """
query Statuses($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetPartitionStatuses {... on TimePartitionStatuses {ranges {startKey endKey status}}}
      dataVersionByPartition(partitions: ["2026-01-19", "2026-01-20"])
    }
  }
}"""
ASSET = {"path": ["drift_signals_daily"]}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = make_historic(tmp_path_factory.mktemp("history") / "repository").root
    machine = Machine(load_repository(root))
    try:
        machine.start(machine.web)
        until("the webserver", machine.answers, START_SECONDS)
        machine.start(machine.daemon)
        yield machine
    finally:
        machine.stop()
        make_removable(root)


def backfill(served: Served, days: list[str], **request: Any) -> list[str]:
    """Launch a backfill as the page of the asset does, and return the runs that it took once it is complete."""
    params = {"assetSelection": [ASSET], "partitionNames": days, **request}
    answer = served.graphql(BACKFILL, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer

    def over() -> list[str] | None:
        state = served.graphql(STATE, id=answer["backfillId"])
        backfill_state, runs = state["partitionBackfillOrError"], state["runsOrError"]["results"]
        assert backfill_state["status"] in ("REQUESTED", "COMPLETED", "COMPLETED_SUCCESS"), state
        assert not [run for run in runs if run["status"] == "FAILURE"], state
        return None if backfill_state["status"] == "REQUESTED" else [run["runId"] for run in runs]

    return until("the backfill", over, WORK_SECONDS)


def made(served: Served) -> list[dict[str, Any]]:
    """Return the materializations of the asset, the newest first, each with its metadata by label."""
    found: list[dict[str, Any]] = served.graphql(MADE, key=ASSET)["assetOrError"]["assetMaterializations"]
    for each in found:
        entries = each["metadataEntries"]
        each["page"] = {entry["label"]: entry.get("intValue", entry.get("text")) for entry in entries}
    return found


@dataclass(frozen=True)
class Backfill:
    """The runs that the first backfill took, and what Dagster showed after it."""

    runs: list[str]
    shown: list[dict[str, Any]]


@pytest.fixture(scope="module")
def backfilled(machine: Machine) -> Backfill:
    runs = backfill(machine.served, DAYS)
    return Backfill(runs, [each for each in made(machine.served) if each["runId"] in runs])


def test_a_backfill_of_sixty_days_is_one_run_and_sixty_folders_and_can_be_plotted(
    machine: Machine, backfilled: Backfill
) -> None:
    runs, shown = backfilled.runs, backfilled.shown
    folders = [each["page"]["run_id"] for each in shown]
    assert len(runs) == 1
    assert sorted(each["partition"] for each in shown) == DAYS
    assert {each["runId"] for each in shown} == set(runs)
    assert len(set(folders)) == len(DAYS)
    assert all((machine.repository.publish_root / name / "MANIFEST.sha256").is_file() for name in folders)
    drifts = {each["partition"]: each["page"]["threshold_drift"] for each in shown}
    assert [day for day in DAYS if drifts[day]] == [
        d for d in DAYS if "2026-01-20" <= d < "2026-02-10" or d >= "2026-02-20"
    ]


def test_dagster_shows_each_day_as_materialized_with_a_data_version_of_its_own(
    machine: Machine, backfilled: Backfill
) -> None:
    node = machine.served.graphql(STATUSES, key=ASSET)["assetNodeOrError"]

    expected = [{"startKey": DAYS[0], "endKey": DAYS[-1], "status": "MATERIALIZED"}]
    assert node["assetPartitionStatuses"]["ranges"] == expected
    contents = {each["partition"]: each["page"]["content_sha256"] for each in backfilled.shown}
    assert node["dataVersionByPartition"] == [contents["2026-01-19"], contents["2026-01-20"]]
    assert contents["2026-01-19"] != contents["2026-01-20"]


def test_days_that_are_rebuilt_have_the_same_artifact_bytes(machine: Machine, backfilled: Backfill) -> None:
    before = {each["partition"]: each["page"]["run_id"] for each in backfilled.shown}

    forced = {"ops": {"drift_signals_daily": {"config": {"force": True}}}}
    runs = backfill(machine.served, DAYS, runConfigData=forced)

    after = {each["partition"]: each["page"]["run_id"] for each in made(machine.served) if each["runId"] in runs}
    assert sorted(after) == DAYS
    for day in DAYS:
        assert before[day] != after[day]
        for name in ("DRIFT_SIGNALS_v0_1.json", "OPERATION_STATUS_TABLE_v0_1.json"):
            old, new = (machine.repository.publish_root / run[day] / name for run in (before, after))
            assert old.read_bytes() == new.read_bytes()


def test_one_day_is_launched_from_a_shell(machine: Machine) -> None:
    day = str(date.fromisoformat(DAYS[-1]) + timedelta(days=1))
    home = machine.repository.dagster_home
    environment = {**os.environ, REPO_VARIABLE: str(machine.repository.root), "DAGSTER_HOME": str(home)}
    command = [
        str(Path(sys.executable).with_name("dg")),
        "launch",
        "--assets",
        "drift_signals_daily",
        "--partition",
        day,
    ]

    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    newest = made(machine.served)[0]
    envelope = json.loads((machine.repository.publish_root / newest["page"]["run_id"] / "run.json").read_bytes())
    assert (newest["partition"], envelope["partition"], envelope["dagster_run_id"]) == (day, day, newest["runId"])
