"""Runs of one second are ordered as they were built, in `latest` and in `log`."""

from __future__ import annotations

import pytest

from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.reference import RunId
from registry_pipeline_tests.cli.conftest import NOON, Repository


@pytest.fixture
def built_twice(built: Repository) -> Repository:
    """A repository with two builds of one second; the second one sealed only what is computed."""
    assert built("build", now=NOON).code == 0
    return built


def test_latest_is_the_run_that_was_built_last(built_twice: Repository) -> None:
    shown = built_twice("show", "latest", "--json").document("show")

    assert shown["run_id"] == "2026-03-01__120000__system_health_render__02"


def test_log_lists_two_builds_of_one_second_one_after_the_other(built_twice: Repository) -> None:
    records = built_twice("log", "--limit", "0", "--json").document("log")["records"]
    noon = [r for r in reversed(records) if r["created_utc"] == NOON]

    second = next(number for number, r in enumerate(noon) if r["kind"] == "build" and r["run_id"].endswith("__02"))
    built = [r["registry_id"] for r in noon if r["kind"] == "build"]
    assert all(r["run_id"].endswith("__02") for r in noon[second:] if r["kind"] == "build")
    assert noon[second - 1]["kind"] == noon[-1]["kind"] == "activation"
    assert built[: built.index("system_health_report")] == [
        name for name in SHIPPED.registries if name in {spec.registry_id for spec in SHIPPED.build_order}
    ]


def test_log_lists_a_rollback_after_the_activations_of_its_second(built_twice: Repository) -> None:
    assert built_twice("rollback", "--reason", "wrong", now=NOON).code == 0
    records = built_twice("log", "--limit", "0", "--json").document("log")["records"]
    actions = [r["action"] for r in reversed(records) if r["kind"] == "activation"]

    assert actions == ["init", "activate", "activate", "rollback"]


def test_another_time_decides_before_the_build_order() -> None:
    names = [
        "2026-03-01__120000__run_registry_build__02",
        "2026-03-01__120001__unknown_tool",
        "2026-03-01__120001__run_registry_build",
    ]
    parsed = [run_id for run_id in map(RunId.parse, reversed(names)) if run_id is not None]

    assert [str(run_id) for run_id in sorted(parsed, key=SHIPPED.make_build_order_key)] == names
