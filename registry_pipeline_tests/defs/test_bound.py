"""The repository is bound when the code location is loaded: nothing of one repository gets into another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInvalidConfigError

from registry_pipeline.config import REPO_VARIABLE, find_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.location import ROOT_TAG
from registry_pipeline.defs.resources import COMMIT_TAG, RepositoryResource
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import DagsterRepo, copy_of, failure_of, open_dagster_repo
from registry_pipeline_tests.pipeline.conftest import NOON


@pytest.fixture
def other(known_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    """A second repository, in which nothing was built."""
    with copy_of(known_repository, tmp_path / "other") as repo:
        yield repo


@pytest.mark.parametrize(
    "config",
    [
        {"repository": {"config": {"root": "/somewhere"}}},
        {"sealed_io": {"config": {"repository": {"root": "/somewhere"}}}},
    ],
    ids=["repository", "io_manager"],
)
def test_a_root_in_the_run_config_is_refused_before_anything_runs(fresh: DagsterRepo, config: object) -> None:
    before = fresh.folders()

    with pytest.raises(DagsterInvalidConfigError):
        fresh.execute("rebuild_job", run_config={"resources": config})

    assert fresh.folders() == before
    assert fresh.instance.get_runs() == []


def test_what_was_read_from_one_repository_is_not_sealed_in_another(fresh: DagsterRepo, other: DagsterRepo) -> None:
    run, spec = start_build_run(fresh.repository, NOON), SHIPPED.spec_of("run_registry")
    built = steps.build(fresh.repository, run, spec, {})
    before = other.folders()

    with pytest.raises(RefusedError, match="is not sealed in"):
        steps.seal(other.repository, run, spec, built)  # type: ignore[arg-type] # it is built

    assert other.folders() == before
    assert steps.seal(fresh.repository, run, spec, built).registry_id == spec.registry_id  # type: ignore[arg-type]


def test_a_run_is_tagged_with_its_root_and_commit(rebuilt: DagsterRepo) -> None:
    again = rebuilt.rebuild()

    run = rebuilt.instance.get_run_by_id(again.run_id)
    assert run is not None
    assert run.tags[ROOT_TAG] == str(rebuilt.repository.root)
    assert run.tags[COMMIT_TAG] == rebuilt.run_json(next(iter(rebuilt.asked_for().values())))["git_commit"]


def test_a_run_of_another_repository_is_refused(fresh: DagsterRepo) -> None:
    before = fresh.folders()

    result = fresh.execute("rebuild_job", tags={ROOT_TAG: "/another/repository"})

    assert "belongs to the repository /another/repository" in failure_of(result, "observe_sources")
    assert fresh.folders() == before


def test_builds_of_another_repository_with_the_same_dagster_home_are_no_candidates(
    fresh: DagsterRepo, other: DagsterRepo
) -> None:
    shared = DagsterRepo(other.repository, fresh.instance, other.definitions)
    assert fresh.rebuild().success
    assert fresh.asked_for()

    skipped = shared.skipped()
    checks = shared.execute("check_job")

    assert f"is in the repository {fresh.repository.root}" in skipped
    assert "own DAGSTER_HOME" in skipped
    assert not checks.success
    assert f"is a folder of the repository {fresh.repository.root}" in failure_of(checks, "check_run_registry")


def test_a_repository_that_was_moved_can_still_activate_its_builds(rebuilt: DagsterRepo, tmp_path: Path) -> None:
    shutil.copytree(rebuilt.repository.root, tmp_path / "moved", symlinks=True)

    with open_dagster_repo(tmp_path / "moved") as moved:
        result = moved.execute_request(moved.requested())

        assert result.success
        assert moved.active()
    make_removable(tmp_path / "moved")


def test_the_environment_counts_when_the_definitions_are_made_and_not_later(
    fresh: DagsterRepo, other: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPO_VARIABLE, str(fresh.repository.root))
    definitions = build_defs()
    monkeypatch.setenv(REPO_VARIABLE, str(other.repository.root))
    before = other.folders()

    result = DagsterRepo(fresh.repository, fresh.instance, definitions).rebuild()

    assert result.success
    assert find_repository() == other.repository
    assert other.folders() == before


def test_without_a_repository_the_code_location_loads_and_a_step_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPO_VARIABLE, str(tmp_path / "nowhere"))
    build_defs()

    with pytest.raises(NotFoundError, match="nowhere is not a folder"):
        RepositoryResource(NotFoundError("nowhere is not a folder", "name it")).load()
