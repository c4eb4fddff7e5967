"""Days as partitions: what a run of one or many days seals, shows and checks, and how it is cancelled."""

from __future__ import annotations

import json
import signal
import warnings
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterRunStatus, DailyPartitionsDefinition
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from registry_pipeline.config import REPO_VARIABLE
from registry_pipeline.defs import event_log
from registry_pipeline.defs.assets import code_version
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.daily import DAILY_JOB
from registry_pipeline.pipeline import daily
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline.registries import catalog
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.drift_signals_daily.build import build_drift_signals_daily
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import DagsterRepo, checks_of, codes_of, failure_of, verdicts_of
from registry_pipeline_tests.defs.days import FORCE, pages, read_events, span
from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.registries.repositories import git

_KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from dagster import DagsterInstance
from registry_pipeline.defs.build import build_defs
from registry_pipeline.pipeline import daily
from registry_pipeline.runs import writer

root, home, first, last, when = sys.argv[1:]
batches, renames = [], []
seal_all_built, rename = daily.seal_all_built, writer.rename_noreplace

def die_in_the_second_batch(*args):
    batches.append(args)
    if len(batches) == 2 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    sealed = seal_all_built(*args)
    if len(batches) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return sealed

def die_between_two_days(source, target):
    renames.append(target)
    if len(batches) == 2 and len(renames) == 32 + 3 and when == "between":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

daily.seal_all_built, writer.rename_noreplace = die_in_the_second_batch, die_between_two_days
with DagsterInstance.from_config(home) as instance:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    build_defs(Path(root)).resolve_job_def("drift_signals_daily_job").execute_in_process(instance=instance, tags=tags)
"""


def read_statuses(repo: DagsterRepo) -> dict[str, set[str]]:
    """Return the days by the status that Dagster shows on the page of the asset."""
    days = repo.definitions.resolve_assets_def(DAILY).partitions_def
    assert days is not None
    status = get_and_update_asset_status_cache_value(repo.instance, AssetKey(DAILY), days)
    assert status is not None
    return {
        "materialized": set(status.deserialize_materialized_partition_subsets(days).get_partition_keys()),
        "failed": set(status.deserialize_failed_partition_subsets(days).get_partition_keys()),
        "in progress": set(status.deserialize_in_progress_partition_subsets(days).get_partition_keys()),
    }


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
    assert verdicts_of(result, DAILY) == dict.fromkeys(catalog.SHIPPED.spec_of(DAILY).check_names, True)


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
    assert checks == dict.fromkeys(catalog.SHIPPED.spec_of(DAILY).check_names, 35)


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


def test_each_day_has_the_data_version_of_its_content_and_the_code_version(past: DagsterRepo) -> None:
    result = past.execute(DAILY_JOB, **span("2026-02-09", "2026-02-12"))

    hashes = {day: page["content_sha256"] for day, page in pages(result).items()}
    tags = {str(event.partition): event.tags or {} for event in read_events(past)}
    assert {day: tag[event_log.DATA_VERSION_TAG] for day, tag in tags.items()} == hashes
    assert len(set(hashes.values())) > 1
    assert {tag[event_log.CODE_VERSION_TAG] for tag in tags.values()} == {code_version(catalog.SHIPPED.spec_of(DAILY))}


@pytest.mark.process
@pytest.mark.parametrize(("when", "sealed_in_time"), [("before", 0), ("between", 2), ("after", 5)])
def test_a_killed_run_keeps_the_days_that_it_reported_and_a_new_run_builds_the_others(
    past: DagsterRepo, when: str, sealed_in_time: int
) -> None:
    """The process dies while it seals the second batch of days, of which none is reported."""
    home = past.repository.dagster_home
    program = fork_server("registry_pipeline.defs.build")
    done = program.run(_KILLED_RUN, str(past.repository.root), str(home), "2026-01-08", "2026-02-13", when)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    first_batch = {str(date(2026, 1, 8) + timedelta(days=number)) for number in range(32)}
    others = [f"2026-02-{day:02}" for day in range(9, 14)]
    (run,) = past.instance.get_runs()
    assert read_statuses(past) == {"materialized": first_batch, "failed": set(), "in progress": set(others)}
    past.instance.report_run_failed(run)  # as Dagster's monitor does when it misses the process
    assert read_statuses(past) == {"materialized": first_batch, "failed": set(others), "in progress": set()}
    folders = [name for name in past.folders() if "asof" in name]
    assert len(folders) == 32 + sealed_in_time
    assert {verify_folder(past.repository.publish_root / name).verdict for name in folders} == {"pass"}

    rest = past.execute(DAILY_JOB, **span(others[0], others[-1]))

    assert rest.success
    states = [page["state"] for _, page in sorted(pages(rest).items())]
    assert states == ["unchanged"] * sealed_in_time + ["sealed"] * (5 - sealed_in_time)
    assert [event.partition for event in read_events(past)] == [*sorted(first_batch), *others]
    assert read_statuses(past) == {"materialized": {*first_batch, *others}, "failed": set(), "in progress": set()}


def test_a_run_without_a_partition_fails_with_the_next_step(past: DagsterRepo) -> None:
    result = past.execute(DAILY_JOB)

    assert not result.success
    assert "the run has no partition" in failure_of(result, DAILY)


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
    made = event_log.read_run_materializations(past.instance, past.location.key(DAILY), result.run_id)
    names = {each.sealed.ref.run_id for each in made if each.sealed is not None}
    assert len(names) == 2
    assert names == {name for name in past.folders() if "asof" in name}


def test_a_cancelled_run_ends_between_two_days_and_reports_the_sealed_ones(
    past: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dagster cancels a run: an interrupt of the process that executes it."""

    def cancelled_in_the_third(inputs: Any, context: Any) -> Any:
        if context.generated_utc.startswith("2026-02-11"):
            signal.raise_signal(signal.SIGTERM)
        return build_drift_signals_daily(inputs, context)

    monkeypatch.setattr(daily, "build_drift_signals_daily", cancelled_in_the_third)
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
    made = event_log.read_run_materializations(past.instance, past.location.key(DAILY), run.run_id)
    assert {each.sealed.ref.run_id for each in made if each.sealed is not None} == sealed


def test_partitions_are_the_days_from_history_start_to_yesterday_in_utc(past: DagsterRepo) -> None:
    days = past.definitions.resolve_assets_def(DAILY).partitions_def

    assert isinstance(days, DailyPartitionsDefinition)
    keys = days.get_partition_keys()
    assert (keys[0], days.timezone, days.end_offset) == ("2026-01-05", "UTC", 0)


@pytest.mark.parametrize("toml", ["", "history_start = nonsense\n", "unknown_key = 1\n", None])
def test_without_a_first_day_the_asset_has_no_partition_and_says_why(
    tmp_path: Path, toml: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if toml is not None:
        (tmp_path / "registry-pipeline.toml").write_text(toml, encoding="utf-8")
    monkeypatch.setenv(REPO_VARIABLE, str(tmp_path / ("" if toml is not None else "nowhere")))

    definitions = build_defs()

    daily_asset = definitions.resolve_assets_def(DAILY)
    assert isinstance(daily_asset.partitions_def, DailyPartitionsDefinition)
    assert daily_asset.partitions_def.get_partition_keys() == []
    assert not daily_asset.is_executable
    for text in (daily_asset.descriptions_by_key[AssetKey(DAILY)], definitions.metadata["CONFIG_HISTORY_START"].value):
        assert "history_start is not set" in str(text)
        assert "set history_start in registry-pipeline.toml, then reload the code location" in str(text)
    checks = definitions.resolve_asset_graph().asset_check_keys
    assert {key.name for key in checks if key.asset_key == AssetKey(DAILY)} == set(
        catalog.SHIPPED.spec_of(DAILY).check_names
    )
    assert "CONFIG_HISTORY_START" in (definitions.resolve_job_def(DAILY_JOB).description or "")


def test_without_a_first_day_the_job_checks_nothing_and_says_so(fresh: DagsterRepo) -> None:
    result = fresh.execute(DAILY_JOB)

    checks = checks_of(result, DAILY)
    assert set(checks) == set(catalog.SHIPPED.spec_of(DAILY).check_names)
    assert {check.passed for check in checks.values()} == {False}
    assert {check.description for check in checks.values()} == {"the asset has no sealed run: nothing was checked"}


def test_with_a_first_day_nothing_says_that_it_is_missing(past: DagsterRepo) -> None:
    description = past.definitions.resolve_assets_def(DAILY).descriptions_by_key[AssetKey(DAILY)]

    assert "history_start" not in description
    assert "CONFIG_HISTORY_START" not in past.definitions.metadata


def test_loading_does_not_start_git(past: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert build_defs(past.repository.root).resolve_assets_def(DAILY).partitions_def is not None


def test_loading_gives_no_warning(past: DagsterRepo) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_defs(past.repository.root)
