"""A rebuild in Dagster that finds nothing to do: every asset reports its active run again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import AssetKey, SkipReason

from registry_pipeline.defs.resources import UP_TO_DATE_TAG
from registry_pipeline_tests.copies import add_run_folder
from registry_pipeline_tests.defs.conftest import (
    DagsterRepo,
    copy_of,
    open_dagster_repo,
    page_of,
    troubles,
    verdicts_of,
)

BUILT = ("run_registry", "op_status_table", "drift_signals", "governance_scorecard")


@pytest.fixture(scope="session")
def settled_repository(activated_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that was rebuilt and activated until the later builds knew what the first ones activated."""
    root = tmp_path_factory.mktemp("settled") / "repository"
    shutil.copytree(activated_repository, root, symlinks=True)
    with open_dagster_repo(root) as repo:
        for _ in range(3):
            assert repo.rebuild().success
            answer = repo.evaluate_sensor()
            if isinstance(answer, SkipReason):
                return root
            assert repo.execute_request(answer).success
    raise AssertionError("every rebuild found something to do")


@pytest.fixture
def settled(settled_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    with copy_of(settled_repository, tmp_path / "repository") as repo:
        yield repo


def versions(repo: DagsterRepo) -> dict[str, str | None]:
    events = {name: repo.instance.get_latest_materialization_event(AssetKey(name)) for name in BUILT}
    return {
        name: None
        if event is None or event.asset_materialization is None
        else (event.asset_materialization.tags or {})["dagster/data_version"]
        for name, event in events.items()
    }


def test_every_asset_reports_its_active_run_again_and_nothing_is_proposed(settled: DagsterRepo) -> None:
    active, before, known = settled.active(), settled.folders(), versions(settled)

    result = settled.rebuild()

    assert result.success, troubles(result)
    assert settled.folders() == before
    for name in BUILT:
        page = page_of(result, name)
        assert (page["state"], page["run_id"]) == ("unchanged", active[name].run_id)
        assert set(verdicts_of(result, name).values()) == {True}
    assert versions(settled) == known
    run = settled.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[UP_TO_DATE_TAG] == f"yes in {result.run_id}"
    assert settled.skipped()


def test_one_change_seals_all_that_is_built_from_several_sources(settled: DagsterRepo) -> None:
    add_run_folder(settled.repository.publish_root / "some_work")

    result = settled.rebuild()

    assert {page_of(result, name)["state"] for name in BUILT} == {"sealed"}
    assert page_of(result, "expected_versions")["state"] == "unchanged"


def test_the_answer_of_another_run_does_not_count(settled: DagsterRepo) -> None:
    job_run = settled.execute("rebuild_job", tags={UP_TO_DATE_TAG: "no in another-run"})

    assert {page_of(job_run, name)["state"] for name in BUILT} == {"unchanged"}
