"""The schedule that adds yesterday to the history of days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from dagster import DefaultScheduleStatus, RunRequest, ScheduleDefinition, build_schedule_context

from registry_pipeline.config import CONFIG_NAME
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.daily import DAILY_JOB
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline_tests.defs.conftest import DagsterRepo
from registry_pipeline_tests.defs.days import pages
from registry_pipeline_tests.histories import FIRST_DAY, TOML


def find_schedule(repo: DagsterRepo) -> ScheduleDefinition:
    return repo.definitions.get_repository_def().get_schedule_def("daily_history_schedule")


def tick(repo: DagsterRepo, *moment: int) -> RunRequest | str:
    """Evaluate a tick as the daemon does, and return its request or why it has none."""
    with build_schedule_context(
        instance=repo.instance,
        scheduled_execution_time=datetime(*moment, tzinfo=UTC),  # type: ignore[arg-type,misc]
        repository_def=repo.definitions.get_repository_def(),
        resources={"repository": repo.resource()},
    ) as context:
        data = find_schedule(repo).evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else data.skip_message or ""


def with_toml(repo: DagsterRepo, toml: str) -> DagsterRepo:
    """Return the repository as it is loaded with another configuration."""
    (repo.repository.root / CONFIG_NAME).write_text(toml, encoding="utf-8")
    return replace(repo, definitions=build_defs(repo.repository.root))


def test_it_is_off_and_ticks_every_day_in_utc(past: DagsterRepo) -> None:
    schedule = find_schedule(past)

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 0 * * *", "UTC")
    assert schedule.default_status is DefaultScheduleStatus.STOPPED
    assert schedule.job_name == DAILY_JOB


def test_a_tick_requests_the_partition_of_the_day_before(past: DagsterRepo) -> None:
    request = tick(past, 2026, 2, 13, 0, 15)

    assert isinstance(request, RunRequest)
    assert (request.run_key, request.partition_key) == (f"{DAILY}:2026-02-12", "2026-02-12")
    result = past.execute(DAILY_JOB, partition_key=request.partition_key, tags=dict(request.tags))
    assert result.success
    assert list(pages(result)) == ["2026-02-12"]


def test_a_late_tick_requests_the_day_before_its_own_time(past: DagsterRepo) -> None:
    requests = [tick(past, 2026, 2, day, 0, 15) for day in (13, 14, 15)]

    days = [request.partition_key for request in requests if isinstance(request, RunRequest)]
    keys = {request.run_key for request in requests if isinstance(request, RunRequest)}
    assert days == ["2026-02-12", "2026-02-13", "2026-02-14"]
    assert len(keys) == 3


def test_the_first_day_is_requested_and_no_day_before_it(past: DagsterRepo) -> None:
    first = tick(past, 2026, 1, 6, 0, 15)

    assert isinstance(first, RunRequest)
    assert first.partition_key == str(FIRST_DAY)
    assert tick(past, 2026, 1, 5, 0, 15) == (
        "wait until 2026-01-05 is over (2026-01-04 is before history_start, 2026-01-05)"
    )


def test_without_a_first_day_the_tick_says_what_to_set(past: DagsterRepo) -> None:
    repo = with_toml(past, TOML.replace(f"history_start = {FIRST_DAY}\n", ""))

    assert tick(repo, 2026, 2, 13, 0, 15) == (
        f"set history_start in {CONFIG_NAME}, then reload the code location (it is not set)"
    )


def test_an_invalid_toml_is_named_and_not_a_missing_first_day(past: DagsterRepo) -> None:
    repo = with_toml(past, "history_start = nonsense\n")

    reason = tick(repo, 2026, 2, 13, 0, 15)

    assert isinstance(reason, str)
    assert CONFIG_NAME in reason
    assert "is not set" not in reason
