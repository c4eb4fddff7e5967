"""`[stale_days]`: limits of operations and options, and what `doctor` proposes from the runs."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import parse_config
from registry_pipeline.registries.base.values import group_operations
from registry_pipeline.registries.system_health.build import REPORT, render_health_report
from registry_pipeline.stale_limits import ProposedLimit, StaleLimits, propose_limit
from registry_pipeline_tests.registries.builder_values import CONTEXT
from registry_pipeline_tests.registries.health_values import health_inputs, status_row
from registry_pipeline_tests.registries.test_health_report import summary

TOML = """
[stale_days]
default = 3
[stale_days.operations]
"OP-QA*" = 7
"OP-QA01" = 30
"OP-*" = 14
[stale_days.options]
D = 60
"""
START = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("operation_id", "option", "days"),
    [
        ("OP-QA01", "QA", 30),  # an id wins over a glob before it
        ("OP-QA02", "QA", 7),  # the first glob that matches
        ("OP-D01", "D", 14),  # a glob wins over the option
        ("NIGHTLY", "D", 60),
        ("NIGHTLY", "A", 3),
    ],
)
def test_the_most_specific_limit_counts(operation_id: str, option: str, days: int) -> None:
    assert parse_config(TOML.encode(), Path("/nowhere")).stale_days.limit_of(operation_id, option) == days


def test_a_number_alone_is_the_default() -> None:
    assert parse_config(b"stale_days = 5", Path("/nowhere")).stale_days == StaleLimits(default=5)


def test_each_operation_is_stale_at_its_own_limit() -> None:
    rows = [status_row(f"OP-{name}", staleness_days=days) for name, days in (("A", 9), ("B", 10), ("C", 2), ("D", 1))]
    limits = StaleLimits(operations={"OP-A": 10, "OP-B": 10})

    assert [row["operation_id"] for row in group_operations(rows, limits)["stale"]] == ["OP-B", "OP-C"]


def test_the_report_names_the_limits_that_differ_from_the_default() -> None:
    rows = (status_row("OP-A01", staleness_days=9), status_row("OP-A02"), status_row("OP-B01", option="B"))
    limits = StaleLimits(operations={"OP-A01": 10}, options={"B": 4, "A": 2})
    report = render_health_report(health_inputs(*rows, stale_limits=limits), CONTEXT).files[REPORT].decode()

    assert summary(*rows, stale_limits=limits)["stale_limits"] == {"OP-A01": 10, "OP-B01": 4}
    assert "Stale is 2 days or older; of 2 operations with a limit of their own: OP-A01 10, OP-B01 4." in report
    assert "stale_limits" not in summary(*rows), "without limits the bytes are those of earlier versions"


def every(days: int, count: int) -> list[date]:
    return [START + timedelta(days * number) for number in range(count)]


@pytest.mark.parametrize(
    ("days", "proposed"),
    [
        (every(1, 30), None),  # never stale between two runs
        (every(7, 4), None),  # three gaps are too few
        (every(7, 5), ProposedLimit("OP-A01", 11, 7, 2)),
        ([*every(7, 11), START + timedelta(200)], ProposedLimit("OP-A01", 11, 7, 2)),  # one long pause is not usual
        (every(7, 9) * 3, ProposedLimit("OP-A01", 11, 7, 2)),  # several runs of a day are one day
        ([], None),
    ],
)
def test_a_limit_is_one_and_a_half_usual_gaps(days: list[date], proposed: ProposedLimit | None) -> None:
    assert propose_limit("OP-A01", "A", days, StaleLimits()) == proposed


@given(st.lists(st.dates(START, START + timedelta(3000))), st.integers(0, 100))
def test_after_a_proposal_is_accepted_nothing_is_proposed(days: list[date], default: int) -> None:
    proposed = propose_limit("OP-A01", "A", days, StaleLimits(default=default))

    if proposed is not None:
        assert proposed.limit_days > proposed.current_limit_days
        assert propose_limit("OP-A01", "A", days, StaleLimits(operations={"OP-A01": proposed.limit_days})) is None
