"""Charts of figures over days: one axis, scales from zero, and gaps that stay gaps."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.system_health.charts import (
    DAY_WIDTH,
    DAYS,
    ChartGroup,
    Series,
    draw_charts,
    find_first_day,
)

LAST = date(2026, 3, 1)
FIRST = find_first_day(LAST)


def draw(values: dict[int, float | None], **options: Any) -> dict[str, Any]:
    """Return the chart of a figure by the number of the day."""
    days = {FIRST + timedelta(number): value for number, value in values.items()}
    return draw_charts(ChartGroup("Figures", (Series("Stale", days, **options),), "build days"), LAST)


def find_steps(path: str) -> dict[int, float]:
    """Return the height of each day that a path covers."""
    heights = dict[int, float]()
    x, y = 0, 0.0
    for letter, numbers in re.findall(r"([MHV])([\d. ]+)", path):
        if letter == "M":
            x, y = int(numbers.split()[0]), float(numbers.split()[1])
        elif letter == "V":
            y = float(numbers)
        else:
            heights |= dict.fromkeys(range(x // DAY_WIDTH, int(numbers) // DAY_WIDTH), y)
            x = int(numbers)
    return heights


@given(st.dictionaries(st.integers(0, DAYS - 1), st.none() | st.integers(0, 50), min_size=2))
def test_a_chart_shows_every_known_day_at_its_height_and_no_other_day(values: dict[int, int | None]) -> None:
    known = {number: value for number, value in values.items() if value is not None}
    top = max(*known.values(), 1, 1)

    (chart,) = draw(dict(values))["charts"]

    steps = find_steps(chart["path"])
    assert steps.keys() == known.keys()
    assert all(abs(58 - steps[number] - 50 * value / top) < 0.06 for number, value in known.items())


def test_two_charts_of_one_scale_can_be_compared() -> None:
    (chart,) = draw({0: 4, 1: 10}, top=40)["charts"]

    assert find_steps(chart["path"]) == {0: 53, 1: 45.5}
    assert chart["scale"] == f"max 10, scale to 40 · last on {FIRST + timedelta(1)}"


def test_a_flag_counts_the_days_that_are_known() -> None:
    group = draw({DAYS - 3: 1, DAYS - 2: None, DAYS - 1: 0}, unit="flag")

    assert group["charts"][0]["last"] == "no"
    assert group["charts"][0]["scale"] == "on 1 of 2 days"
    assert [values for _, values in group["rows"]] == [["no"], ["unknown"], ["yes"]]


def test_days_outside_of_the_page_are_left_out() -> None:
    group = draw({-1: 90, 5: 1, 6: 2, DAYS: 80})

    assert [day for day, _ in group["rows"]] == [FIRST + timedelta(6), FIRST + timedelta(5)]
    assert "max 2" in group["charts"][0]["scale"]


def test_what_is_unknown_on_every_day_is_no_line() -> None:
    (chart,) = draw({1: None, 2: None})["charts"]

    assert (chart["last"], chart["path"]) == ("unknown", "")


def test_one_day_makes_no_chart() -> None:
    assert draw({3: 1})["charts"] == []
    assert draw({3: 1})["advice"] == "build days"
