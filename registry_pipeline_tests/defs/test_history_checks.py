"""The checks of past days: on the days of a run, and executed alone on what is new."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import pytest
from dagster import AssetCheckEvaluation, AssetSelection, Definitions
from dagster import define_asset_job as asset_job

from registry_pipeline.defs.daily import DAILY_JOB
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline.registries import catalog
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import DagsterRepo, checks_of
from registry_pipeline_tests.defs.days import FORCE, pages, span

NAMES = catalog.SHIPPED.spec_of(DAILY).check_names


@pytest.fixture
def repo(past: DagsterRepo) -> DagsterRepo:
    """A repository with a job that executes the checks alone, and one that builds days without their checks."""
    alone = asset_job("alone", AssetSelection.checks_for_assets(DAILY))
    unchecked = asset_job("unchecked", AssetSelection.assets(DAILY).without_checks())
    jobs = Definitions(jobs=[alone, unchecked])
    return dataclasses.replace(past, definitions=Definitions.merge(past.definitions, jobs))


def build(repo: DagsterRepo, first: str, last: str, *, force: bool = False) -> dict[str, str]:
    """Build days, and return their run folders."""
    result = repo.execute(DAILY_JOB, run_config=FORCE if force else {}, **span(first, last))
    return {day: str(page["run_id"]) for day, page in pages(result).items()}


def damage(repo: DagsterRepo, run_id: str) -> None:
    flip_byte(repo.repository.publish_root / run_id / "DRIFT_SIGNALS_v0_1.json")


def check_alone(repo: DagsterRepo) -> AssetCheckEvaluation:
    """Execute the checks alone, and return the result of `seal`."""
    checks = checks_of(repo.execute("alone"), DAILY)
    assert set(checks) == set(NAMES)
    return checks["seal"]


def checked(result: AssetCheckEvaluation) -> list[str]:
    return str(result.metadata["days"].value).split(", ")


def list_days(first: str, count: int) -> list[str]:
    return [str(date.fromisoformat(first) + timedelta(days=number)) for number in range(count)]


def test_the_checks_of_a_run_check_its_days_and_say_which(repo: DagsterRepo) -> None:
    build(repo, "2026-02-01", "2026-02-03")

    result = repo.execute(DAILY_JOB, **span("2026-02-09", "2026-02-12"))

    for check in checks_of(result, DAILY).values():
        assert checked(check) == list_days("2026-02-09", 4)
        assert check.description == "checked 4 days (of this run), 2026-02-09 to 2026-02-12: no findings"


def test_executed_alone_they_check_the_newest_folder_of_each_new_day(repo: DagsterRepo) -> None:
    old = build(repo, "2026-02-01", "2026-02-12")
    build(repo, "2026-02-12", "2026-02-12", force=True)
    damage(repo, old["2026-02-12"])

    result = check_alone(repo)

    assert result.passed
    assert checked(result) == list_days("2026-02-01", 12)
    assert result.description == "checked 12 days (new), 2026-02-01 to 2026-02-12: no findings"


def test_days_that_were_checked_alone_are_not_new(repo: DagsterRepo) -> None:
    build(repo, "2026-02-01", "2026-02-12")
    assert check_alone(repo).passed
    build(repo, "2026-01-18", "2026-01-20")

    result = check_alone(repo)

    assert checked(result) == list_days("2026-01-18", 3)
    assert result.description == "checked 3 days (new), 2026-01-18 to 2026-01-20: no findings"


def test_if_no_day_is_new_the_last_seven_are_checked(repo: DagsterRepo) -> None:
    runs = build(repo, "2026-02-01", "2026-02-12")
    assert check_alone(repo).passed

    again = check_alone(repo)
    damage(repo, runs["2026-02-06"])
    broken = check_alone(repo)

    assert again.passed
    assert checked(again) == list_days("2026-02-06", 7)
    assert again.description == ("checked 7 days (the last ones, none is new), 2026-02-06 to 2026-02-12: no findings")
    assert not broken.passed
    assert "failed: 2026-02-06: HASH_MISMATCH" in (broken.description or "")


def test_a_day_that_fails_is_checked_until_it_is_sealed_again(repo: DagsterRepo) -> None:
    runs = build(repo, "2026-02-01", "2026-02-03")
    assert check_alone(repo).passed
    damage(repo, runs["2026-02-01"])
    assert not check_alone(repo).passed
    build(repo, "2026-02-04", "2026-02-20")

    still = check_alone(repo)
    build(repo, "2026-02-01", "2026-02-01")
    sealed_again = check_alone(repo)

    assert not still.passed
    assert checked(still) == list_days("2026-02-01", 20)
    assert sealed_again.passed
    assert "2026-02-01" in checked(sealed_again)
    assert checked(check_alone(repo)) == list_days("2026-02-14", 7)


def test_days_whose_own_checks_did_not_run_are_new_even_if_a_later_run_was_checked(repo: DagsterRepo) -> None:
    unchecked = repo.execute("unchecked", **span("2026-02-02", "2026-02-03"))
    build(repo, "2026-02-04", "2026-02-04")

    assert unchecked.success
    assert checks_of(unchecked, DAILY) == {}

    assert checked(check_alone(repo)) == list_days("2026-02-02", 3)


def test_without_a_day_nothing_is_checked_and_nothing_passes(repo: DagsterRepo) -> None:
    result = check_alone(repo)

    assert not result.passed
    assert result.description == "the asset has no sealed run: nothing was checked"
    build(repo, "2026-02-01", "2026-02-01")
    assert checked(check_alone(repo)) == ["2026-02-01"]
