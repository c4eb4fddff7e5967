"""What a person does and sees on the pages of Dagster: builds by the button, activation, and checks that fail."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import CONFIG_NAME, load_repository
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline_tests.collection_sources import PACKS, RANGES
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, Served, open_browser_page, until
from registry_pipeline_tests.histories import FIRST_DAY

pytestmark = pytest.mark.process

ASSET_JOB = "__ASSET_JOB"  # Dagster's own name of the job of a selection of assets
ACTIVATE_JOB = "activate_pointers_job"
DAILY = "drift_signals_daily"
REBUILD_JOB = "rebuild_job"
ALL_ASSETS = [*REGISTRIES, "active_registry_pointers", "registry_delta_log", "system_health_report"]
GROUPS = ("sources", "captures", "registries", "control")
DAY = str(FIRST_DAY)

ALL_RUNS = "{runsOrError {... on Runs {results {runId jobName assetSelection {path} tags {key value}}}}}"
ASSETS = "{assetNodes {assetKey {path} partitionDefinition {description}}}"
LAST_CHECK = """
query Check($key: AssetKeyInput!, $name: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, limit: 1) {
    runId status evaluation {description targetMaterialization {runId}}
  }
}"""


@pytest.fixture(scope="module")
def served(known_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A repository with a history of days, in which nothing was built yet."""
    root = tmp_path_factory.mktemp("pages") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    with (root / CONFIG_NAME).open("a") as config:
        config.write(f"history_start = {DAY}\n")
    machine = Machine(load_repository(root))
    try:
        machine.start(machine.web)
        until("the webserver", machine.answers, START_SECONDS)
        machine.start(machine.daemon)
        yield machine.served
    finally:
        machine.stop()
        make_removable(root)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with open_browser_page() as page:
        yield page


@dataclass(frozen=True)
class Launch:
    """A run that built registries, and what Dagster and the pointer file say of them."""

    run_id: str
    status: str
    runs: list[dict[str, Any]]
    """All runs that Dagster knew as soon as this one was launched."""
    built: Mapping[str, str]
    """The run folder of the newest build of each registry."""
    active: Mapping[str, SealedRef]
    """The active runs before the launch."""


def list_runs(served: Served) -> list[dict[str, Any]]:
    """Return the runs that somebody launched and those of the sensors, the newest first."""
    runs: list[dict[str, Any]] = served.graphql(ALL_RUNS)["runsOrError"]["results"]
    scheduled = "dagster/schedule_name"  # of the hourly schedule, which may be due at any moment of a test
    return [run for run in runs if scheduled not in {tag["key"] for tag in run["tags"]}]


def read_active(served: Served) -> dict[str, SealedRef]:
    return pointer_file.read_pointers(served.repository).active_refs()


def read_value(served: Served, asset: str, label: str) -> Any:
    """Return a value on the page of the newest materialization of an asset."""
    newest = served.newest(asset)
    assert newest is not None, asset
    entries = {entry["label"]: entry.get("intValue", entry.get("text")) for entry in newest["metadataEntries"]}
    return entries[label]


def finish(served: Served, job: str, run_id: str, active: Mapping[str, SealedRef]) -> Launch:
    """Wait for the end of a run that was just launched."""
    runs = list_runs(served)
    status = served.wait_for_end(job, run_id)
    return Launch(run_id, status, runs, {name: read_value(served, name, "run_id") for name in REGISTRIES}, active)


def wait_for_activation(served: Served, launch: Launch) -> str:
    """Wait until the builds of a run are active and the run that activated them is over, and return its id."""

    def activated() -> str | None:
        if {name: ref.run_id for name, ref in read_active(served).items()} != dict(launch.built):
            return None
        return next(iter(served.runs(ACTIVATE_JOB)))

    run_id = until("the activation", activated, WORK_SECONDS)
    assert served.wait_for_end(ACTIVATE_JOB, run_id) == "SUCCESS"
    return run_id


def read_check(served: Served, asset: str, name: str) -> dict[str, Any]:
    """Return the newest result of a check."""
    (execution,) = served.graphql(LAST_CHECK, key={"path": [asset]}, name=name)["assetCheckExecutions"]
    assert isinstance(execution, dict)
    return execution


def open_check(page: Any, served: Served, asset: str, name: str, text: str) -> str:
    """Open a failed check on the page of its asset, wait for a text of its latest result, and return the whole text."""
    page.goto(f"{served.url}/assets/{asset}?view=checks&checkDetail={name}", wait_until="domcontentloaded")
    page.get_by_text(text).first.wait_for()
    page.get_by_text("findings_count").first.wait_for()
    page.get_by_text("Next:").first.wait_for()

    def failed() -> str | None:
        body = str(page.locator("body").inner_text())
        return body if f"{name}\nFailed" in body else None

    return until(f"the check {name} as failed", failed, WORK_SECONDS)  # on a busy machine the list comes last


@pytest.fixture(scope="module")
def button_build(served: Served, page: Any, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Press the button on the page of the job."""
    active, pictures = read_active(served), tmp_path_factory.mktemp("pictures")
    page.goto(f"{served.url}/locations/registry_pipeline/jobs/{REBUILD_JOB}", wait_until="domcontentloaded")
    button = page.locator("button").filter(has_text="Materialize all")
    # On the page of all assets the label ends in an ellipsis, because the button asks for a partition there.
    label = button.inner_text()
    button.click()
    launched, dialog = page.get_by_text("Launched run"), page.get_by_role("dialog")
    launched.or_(dialog).first.wait_for()
    page.screenshot(path=str(pictures / "job.png"))
    assert (label.strip(), dialog.count()) == (f"Materialize all ({len(REGISTRIES)})", 0)
    return finish(served, REBUILD_JOB, list_runs(served)[0]["runId"], active)


@pytest.fixture(scope="module")
def activated(served: Served, button_build: Launch) -> str:
    """Return the run in which the builds of the button were activated."""
    return wait_for_activation(served, button_build)


def test_the_graph_reads_from_left_to_right_on_one_screen(served: Served, page: Any, tmp_path: Path) -> None:
    page.goto(f"{served.url}/asset-groups", wait_until="domcontentloaded")
    page.get_by_text("sources", exact=True).nth(2).wait_for()  # twice in the list beside the graph
    page.screenshot(path=str(tmp_path / "graph.png"))

    boxes = {name: page.get_by_text(name, exact=True).last.bounding_box() for name in GROUPS}
    size = page.viewport_size

    assert sorted(boxes, key=lambda name: boxes[name]["x"]) == list(GROUPS)
    assert all(0 < box["x"] < size["width"] - box["width"] and 0 < box["y"] < size["height"] for box in boxes.values())


def test_the_button_of_the_job_builds_all_registries_in_one_run_and_asks_for_no_partition(
    served: Served, button_build: Launch
) -> None:
    definitions = {
        node["assetKey"]["path"][0]: node["partitionDefinition"] for node in served.graphql(ASSETS)["assetNodes"]
    }
    (run,) = button_build.runs

    # There is a partition that the button could ask for.
    assert [name for name, definition in definitions.items() if definition is not None] == [DAILY, PACKS, RANGES]
    assert (run["runId"], run["jobName"]) == (button_build.run_id, REBUILD_JOB)
    assert {key["path"][0] for key in run["assetSelection"]} == set(REGISTRIES)
    assert button_build.status == "SUCCESS"


def test_what_the_button_built_is_activated_by_the_sensor(
    served: Served, page: Any, button_build: Launch, activated: str, tmp_path: Path
) -> None:
    (run,) = [run for run in list_runs(served) if run["runId"] == activated]

    assert button_build.active == {}
    assert set(read_active(served)) == set(REGISTRIES)
    assert {"key": "dagster/sensor_name", "value": "activation_sensor"} in run["tags"]
    page.goto(f"{served.url}/assets/active_registry_pointers", wait_until="domcontentloaded")
    page.get_by_text("pointer_file_sha256", exact=True).first.wait_for()
    page.get_by_text("Latest check results", exact=True).wait_for()
    page.screenshot(path=str(tmp_path / "pointers.png"))


def test_a_run_of_all_assets_with_one_partition_is_activated_too(served: Served, activated: str) -> None:
    """Dagster attributes no check of such a run to a materialization, not even those of unpartitioned assets."""
    active = read_active(served)

    run_id = served.launch(ASSET_JOB, assets=[*ALL_ASSETS, DAILY], tags={"dagster/partition": DAY})
    launch = finish(served, ASSET_JOB, run_id, active)

    assert launch.status == "SUCCESS"
    for asset in ("run_registry", DAILY):
        newest = served.newest(asset)
        assert newest is not None
        assert newest["runId"] == run_id
    for name in ("seal", "schema", "rules"):
        check = read_check(served, "run_registry", name)
        assert (check["runId"], check["status"]) == (run_id, "SUCCEEDED")
        assert check["evaluation"]["targetMaterialization"] is None
    assert launch.built["run_registry"] != active["run_registry"].run_id
    assert wait_for_activation(served, launch) != activated


def test_a_deleted_active_run_fails_a_check_that_names_it_and_the_next_step(
    served: Served, page: Any, activated: str, tmp_path: Path
) -> None:
    # No other test builds anything from this registry.
    run_id = read_active(served)["fingerprint_index"].run_id
    folder, elsewhere = served.repository.publish_root / run_id, tmp_path / "elsewhere"
    mode = folder.stat().st_mode
    folder.chmod(0o755)
    folder.rename(elsewhere)
    try:
        status = served.wait_for_end("check_pointers_job", served.launch("check_pointers_job"))
        text = open_check(page, served, "active_registry_pointers", "active_seals", "POINTER_RUN_MISSING")
        page.screenshot(path=str(tmp_path / "active_seals.png"))
    finally:
        elsewhere.rename(folder)
        folder.chmod(mode)

    assert status == "SUCCESS"  # the job did its work: what it found is in its checks
    assert "active_seals\nFailed" in text
    assert "chain\nSucceeded" in text
    missing = "POINTER_RUN_MISSING: the folder of the active run of fingerprint_index is missing."
    assert f"fingerprint_index {run_id}: {missing}" in text
    assert "Next: restore the run folder, or run registry-pipeline build" in text
    assert f"(got {served.repository.config.publish_root}/{run_id})" in text
    assert "severity\tcode\twhere\tfinding\tnext step" in text


def test_a_registry_without_its_source_is_not_materialized_and_does_not_stop_what_is_built_from_it(
    served: Served, page: Any, activated: str, tmp_path: Path
) -> None:
    path = served.repository.config.expected_versions
    source, before = served.repository.path(path), served.newest("expected_versions")
    content = source.read_bytes()
    source.unlink()
    try:
        run_id = served.launch(ASSET_JOB, assets=["expected_versions", "drift_signals"])
        status = served.wait_for_end(ASSET_JOB, run_id)
    finally:
        source.write_bytes(content)

    text = open_check(page, served, "expected_versions", "source", "CAPTURE_MISSING")
    page.screenshot(path=str(tmp_path / "source.png"))
    page.goto(f"{served.url}/assets/expected_versions?view=events", wait_until="domcontentloaded")
    page.get_by_text("Observed in run").first.wait_for()
    page.screenshot(path=str(tmp_path / "events.png"))
    downstream = served.newest("drift_signals")
    assert status == "SUCCESS"
    assert "source\nFailed" in text
    assert "seal\nSucceeded" in text
    assert f"CAPTURE_MISSING: {path}: the source cannot be read" in text
    assert "Next: restore the source" in text
    assert served.newest("expected_versions") == before
    assert downstream is not None
    assert downstream["runId"] == run_id


def test_a_repository_that_is_typed_into_the_launchpad_is_refused(
    served: Served, known_repository: Path, tmp_path: Path
) -> None:
    root = tmp_path / "another"
    shutil.copytree(known_repository, root, symlinks=True)
    another = load_repository(root)
    before, runs = {entry.name for entry in another.publish_root.iterdir()}, served.runs("rebuild_job")

    config = {"resources": {"repository": {"config": {"root": str(root)}}}}
    answer = served.request_launch("rebuild_job", config=config)

    assert answer["__typename"] == "RunConfigValidationInvalid"
    assert ['Received unexpected config entry "root"' in error["message"] for error in answer["errors"]] == [True]
    assert served.runs("rebuild_job") == runs  # without a run, nothing is sealed in the repository of the code location
    assert {entry.name for entry in another.publish_root.iterdir()} == before
