"""`runs`: queries of the active run registry."""

from __future__ import annotations

import json
import shutil

import pytest

from registry_pipeline_tests.cli.conftest import Repository

RUN_REGISTRY = "2026-03-01__120000__run_registry_build"


def test_every_line_of_the_active_registry_is_listed(seen: Repository) -> None:
    result = seen("runs", "--own", "--limit", "0", "--order", "registry", "--json")

    document = result.document("runs")
    artifact = seen.runs / RUN_REGISTRY / "RUN_REGISTRY_v0_1.jsonl"
    lines = [json.loads(line) for line in artifact.read_bytes().splitlines()]
    assert (result.code, document["count"], document["matched"]) == (0, len(lines), len(lines))
    assert [{k: v for k, v in each.items() if k != "states"} for each in document["records"]] == lines
    assert document["run_registry"]["run_id"] == seen.active("run_registry")


def test_all_filters_can_be_combined(seen: Repository) -> None:
    words = ("--operation", "OP-B01", "--option", "B", "--root", "reports/runs", "--state", "unsealed")

    document = seen("runs", *words, "--since", "2026-02-25", "--until", "2026-02-25", "--json").document("runs")

    assert [each["run_id"] for each in document["records"]] == ["2026-02-25__000000__op-b01"]
    assert seen("runs", *words, "--since", "2026-02-25T00:00:01Z", "--json").document("runs")["count"] == 0


def test_the_text_has_a_table_and_says_what_was_left_out(seen: Repository) -> None:
    head, first, *_, last = seen("runs", "--until", "2026-02-11", "-n", "2").out.splitlines()

    assert head.split() == ["created", "operation", "option", "seal", "warnings", "run"]
    assert first.split()[-1].endswith("op-b02")
    assert f"of {RUN_REGISTRY}" in last
    assert "more with --limit 0" in last
    assert "without a time left out" in last


def test_an_unknown_operation_is_no_failure_and_a_similar_one_is_named(seen: Repository) -> None:
    result = seen("runs", "--operation", "OP-A1")

    assert (result.code, "did you mean 'OP-A01'?" in result.out) == (0, True)


def test_without_an_active_registry_there_is_nothing_to_query(known: Repository) -> None:
    result = known("runs")

    assert (result.code, result.out) == (7, "")
    assert "no run_registry is active" in result.err
    assert "registry-pipeline build" in result.err


def test_an_active_registry_that_is_missing_or_invalid_is_not_queried(built: Repository) -> None:
    built.tamper(RUN_REGISTRY, "RUN_REGISTRY_v0_1.jsonl")
    assert built("runs").code == 3
    shutil.rmtree(built.runs / RUN_REGISTRY)
    result = built("runs")

    assert (result.code, f"{RUN_REGISTRY} is missing" in result.err) == (7, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--since", "yesterday"), "neither a day"),
        (("--since", "2026-02-30"), "neither a day"),
        (("--since", "2026-02-01T00:00:00"), "neither a day"),
        (("--until", "2026-W08-1"), "neither a day"),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "--until is before --since"),
        (("--state", "broken"), "broken"),
        (("--limit", "-1"), "-1"),
    ],
)
def test_an_invalid_filter_is_a_usage_error(seen: Repository, words: tuple[str, ...], message: str) -> None:
    result = seen("runs", *words)

    assert (result.code, message in result.err) == (2, True)
    assert "Traceback" not in result.err


def test_the_last_day_of_the_calendar_is_a_day(seen: Repository) -> None:
    assert seen("runs", "--until", "9999-12-31", "--since", "0001-01-01").code == 0
