"""Days as partitions: what a run of one or many days seals, shows and checks, and how it is cancelled."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetSelection,
    DagsterRunStatus,
    DailyPartitionsDefinition,
    Definitions,
    ExecuteInProcessResult,
)
from dagster import define_asset_job as asset_job

from registry_pipeline.config import REPO_VARIABLE
from registry_pipeline.defs import event_log
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.daily import DAILY, DAILY_JOB
from registry_pipeline.pipeline import daily
from registry_pipeline.registries import catalog
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.runs import pointer_file
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import (
    DagsterRepo,
    codes_of,
    failure_of,
    make_removable,
    open_dagster_repo,
    verdicts_of,
)
from registry_pipeline_tests.histories import make_historic
from registry_pipeline_tests.registries.repositories import git

FORCE = {"ops": {DAILY: {"config": {"force": True}}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_historic(tmp_path_factory.mktemp("history") / "repository").root


@pytest.fixture
def past(made: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    root = tmp_path / "repository"
    shutil.copytree(made, root, symlinks=True)
    with open_dagster_repo(root) as repo:
        yield repo
    make_removable(root)


def span(first: str, last: str) -> dict[str, Any]:
    """Return what a backfill of one run tells the run."""
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return {"tags": tags}


def pages(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of each partition's materialization."""
    made = result.asset_materializations_for_node(DAILY)
    assert all(event.partition is not None for event in made)
    return {str(event.partition): {name: value.value for name, value in event.metadata.items()} for event in made}


def test_one_partition_is_one_folder_with_its_figures_as_numbers(past: DagsterRepo) -> None:
    result = past.execute(DAILY_JOB, partition_key="2026-02-12")

    assert result.success
    page = pages(result)["2026-02-12"]
    envelope = past.run_json(page["run_id"])
    assert (envelope["partition"], envelope["dagster_run_id"]) == ("2026-02-12", result.run_id)
    assert envelope["git_commit"] == page["git_commit"]
    figures = (
        "schema_drift",
        "threshold_drift",
        "canon_dirty",
        "operations",
        "observed",
        "stale",
        "drifting",
        "runs_known",
    )
    assert {name: page[name] for name in figures} == {
        "schema_drift": 0,
        "threshold_drift": 0,
        "canon_dirty": 0,
        "operations": 2,
        "observed": 2,
        "stale": 1,
        "drifting": 1,
        "runs_known": 3,
    }
    assert page["state"] == "sealed"
    assert page["as_of_utc"] == "2026-02-12T23:59:59Z"
    drift = json.loads((past.repository.publish_root / page["run_id"] / "DRIFT_SIGNALS_v0_1.json").read_bytes())
    assert page["canon_tree_hash"] == drift["canon_tree_hash"]
    assert verdicts_of(result, DAILY) == dict.fromkeys(catalog.spec_of(DAILY).check_names, True)


def test_each_partition_of_a_run_has_its_own_folder_and_page(past: DagsterRepo) -> None:
    result = past.execute(DAILY_JOB, **span("2026-01-18", "2026-02-21"))

    assert result.success
    shown = pages(result)
    assert len(shown) == 35
    assert len({page["run_id"] for page in shown.values()}) == 35
    assert {day for day, page in shown.items() if page["run_id"].endswith(f"__asof_{day}")} == set(shown)
    assert shown["2026-01-19"]["threshold_drift"] == 0
    assert shown["2026-01-20"]["threshold_drift"] == 1
    assert len({page["content_sha256"] for page in shown.values()}) > 3
    checks = {e.check_name: e.metadata["folders"].value for e in result.get_asset_check_evaluations()}
    assert checks == dict.fromkeys(catalog.spec_of(DAILY).check_names, 35)


def test_partitions_that_are_built_again_name_the_existing_folders_unless_forced(past: DagsterRepo) -> None:
    first = pages(past.execute(DAILY_JOB, **span("2026-02-09", "2026-02-12")))
    again = pages(past.execute(DAILY_JOB, **span("2026-02-09", "2026-02-12")))
    forced = pages(past.execute(DAILY_JOB, run_config=FORCE, **span("2026-02-09", "2026-02-12")))

    assert {day: page["run_id"] for day, page in again.items()} == {day: page["run_id"] for day, page in first.items()}
    assert {page["state"] for page in again.values()} == {"unchanged"}
    for day, page in forced.items():
        assert page["run_id"] != first[day]["run_id"]
        assert page["content_sha256"] == first[day]["content_sha256"]


def test_one_days_damage_fails_the_check_of_the_whole_run(past: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    validate = registries_validation.validate

    def damaged(repository: Any, sealed: Any) -> Any:
        if sealed.ref.run_id.endswith("2026-02-10"):
            flip_byte(pointer_file.run_folder(repository, sealed.ref) / "DRIFT_SIGNALS_v0_1.json")
        return validate(repository, sealed)

    monkeypatch.setattr(registries_validation, "validate", damaged)
    result = past.execute(DAILY_JOB, **span("2026-02-09", "2026-02-12"))

    assert not result.success, "the check blocks"
    seal = next(e for e in result.get_asset_check_evaluations() if e.check_name == "seal")
    assert (seal.passed, seal.metadata["failing"].value, seal.metadata["folders"].value) == (False, 1, 4)
    assert "asof_2026-02-10" in str(seal.metadata["failing_folders"].value)
    assert "HASH_MISMATCH" in codes_of(seal.metadata)


def test_checks_that_are_executed_alone_verify_the_newest_folder_of_every_day(past: DagsterRepo) -> None:
    old = pages(past.execute(DAILY_JOB, **span("2026-02-09", "2026-02-12")))
    new = pages(past.execute(DAILY_JOB, run_config=FORCE, partition_key="2026-02-12"))
    alone = asset_job("alone", AssetSelection.checks_for_assets(DAILY))
    repo = dataclasses.replace(past, definitions=Definitions.merge(past.definitions, Definitions(jobs=[alone])))

    flip_byte(past.repository.publish_root / old["2026-02-12"]["run_id"] / "DRIFT_SIGNALS_v0_1.json")
    replaced = repo.execute("alone")
    flip_byte(past.repository.publish_root / new["2026-02-12"]["run_id"] / "DRIFT_SIGNALS_v0_1.json")
    broken = repo.execute("alone")

    assert verdicts_of(replaced, DAILY) == dict.fromkeys(catalog.spec_of(DAILY).check_names, True)
    assert {e.metadata["folders"].value for e in replaced.get_asset_check_evaluations()} == {4}
    assert verdicts_of(broken, DAILY)["seal"] is False


def test_a_refused_day_fails_with_a_message_and_a_hint(past: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    (past.repository.root / ".git").rename(past.repository.root / "gone")

    result = past.execute(DAILY_JOB, partition_key="2026-02-12")

    assert not result.success
    assert "read from git" in failure_of(result, DAILY)


def test_a_run_that_fails_in_the_middle_reports_the_days_that_it_sealed(past: DagsterRepo) -> None:
    root = past.repository.root
    blob = git(root, "rev-parse", "side:docs/expected.json")
    (root / ".git/objects" / blob[:2] / blob[2:]).unlink()

    result = past.execute(DAILY_JOB, **span("2026-02-18", "2026-02-22"))

    assert not result.success
    made = event_log.read_run_materializations(past.instance, DAILY, result.run_id)
    names = {each.sealed.ref.run_id for each in made if each.sealed is not None}
    assert len(names) == 2
    assert names == {name for name in past.folders() if "asof" in name}


def test_a_cancelled_run_ends_between_two_days_and_reports_the_sealed_ones(
    past: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dagster cancels a run: an interrupt of the process that executes it."""
    build_days = daily.build_days

    def cancelled_in_the_third(*args: Any, **options: Any) -> Iterator[Any]:
        for number, day in enumerate(build_days(*args, **options), 1):
            if number == 3:
                signal.raise_signal(signal.SIGTERM)
            yield day

    monkeypatch.setattr(daily, "build_days", cancelled_in_the_third)
    before = past.folders()
    with pytest.raises(BaseException, match=r".*") as caught:
        past.definitions.resolve_job_def(DAILY_JOB).execute_in_process(
            instance=past.instance, **span("2026-02-09", "2026-02-20")
        )

    assert "Interrupt" in type(caught.value).__name__
    sealed = past.folders() - before
    assert {name[-10:] for name in sealed} == {"2026-02-09", "2026-02-10", "2026-02-11"}
    (run,) = past.instance.get_runs()
    assert run.status in (DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE)
    made = event_log.read_run_materializations(past.instance, DAILY, run.run_id)
    assert {each.sealed.ref.run_id for each in made if each.sealed is not None} == sealed


def test_partitions_are_the_days_from_history_start_to_yesterday_in_utc(past: DagsterRepo) -> None:
    days = past.definitions.resolve_assets_def(DAILY).partitions_def

    assert isinstance(days, DailyPartitionsDefinition)
    keys = days.get_partition_keys()
    assert (keys[0], days.timezone, days.end_offset) == ("2026-01-05", "UTC", 0)


@pytest.mark.parametrize("toml", ["", "history_start = nonsense\n", "unknown_key = 1\n", None])
def test_without_a_first_day_the_definitions_load_without_history_and_say_so(
    tmp_path: Path, toml: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if toml is not None:
        (tmp_path / "registry-pipeline.toml").write_text(toml, encoding="utf-8")
    monkeypatch.setenv(REPO_VARIABLE, str(tmp_path / ("" if toml is not None else "nowhere")))

    definitions = build_defs()

    assert AssetKey(DAILY) not in definitions.resolve_asset_graph().get_all_asset_keys()
    assert "history_start is not set" in str(definitions.metadata["CONFIG_HISTORY_START"].value)
    assert definitions.resolve_job_def("rebuild_job").name == "rebuild_job"


def test_loading_does_not_start_git(past: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert build_defs(past.repository.root).resolve_assets_def(DAILY).partitions_def is not None


def test_loading_gives_no_warning(past: DagsterRepo) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_defs(past.repository.root)
