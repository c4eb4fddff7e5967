"""Small charts of figures over days, as SVG paths: one axis, scales from zero, and a gap where a day is unknown.

Curves and strips are stretched to the width of the page; their lines and the names of the months are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final, Literal

from registry_pipeline.values import value_type

DAYS: Final = 120
"""How many days before its own a page shows."""
DAY_WIDTH: Final = 3
"""The width of a day in a chart or a strip, in units; a run is one unit wide."""
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# The heights of zero and of the end of the scale.
_ZERO, _TOP = 58, 8


@value_type
class Series:
    """A figure over days; a day that is missing, or whose value is None, is unknown."""

    title: str
    values: Mapping[date, float | None]
    # `late` for what should be zero.
    mood: Literal["tick", "late"] = "tick"
    # A flag is 0 or 1.
    unit: Literal["", " %", " d", "flag"] = ""
    # The end of the scale; None for the largest value.
    top: float | None = None


@value_type
class ChartGroup:
    """Charts that one table repeats, and what to do if there are too few days for them."""

    title: str
    series: tuple[Series, ...]
    advice: str


def find_first_day(last: date) -> date:
    """Return the first day of a page that ends with a day."""
    return last - timedelta(DAYS - 1)


def draw_charts(group: ChartGroup, last: date) -> dict[str, Any]:
    """Return what the template of charts needs; without at least two days there are no charts."""
    first = find_first_day(last)
    days = sorted({day for series in group.series for day in series.values if first <= day <= last})
    return {
        "title": group.title,
        "advice": group.advice,
        "charts": [_draw_chart(series, first, last) for series in group.series] if len(days) > 1 else [],
        "rows": [(day, [_format(series, series.values.get(day)) for series in group.series]) for day in reversed(days)],
        "anchor": f"days-{group.title.lower().replace(' ', '-')}",
        "months": list_months(first, last),
    }


def list_months(first: date, last: date) -> list[tuple[int, float, float, str]]:
    """Return each month that begins in these days: its x, the same and its width in percent, and its name."""
    days = [first + timedelta(number) for number in range((last - first).days + 1)]
    starts = [number for number, day in enumerate(days) if day.day == 1]
    return [
        (
            start * DAY_WIDTH,
            find_percent(start, len(days)),
            find_percent(end - start, len(days)),
            MONTHS[days[start].month - 1],
        )
        for start, end in pairwise([*starts, len(days)])
    ]


def find_percent(part: int, whole: int) -> float:
    """Return a part in percent of the whole, 0 if there is no whole."""
    return round(100 * part / whole, 1) if whole else 0.0


def format_day(day: date, *, with_year: bool = False) -> str:
    """Return a day in words that do not depend on the locale."""
    return f"{day.day} {MONTHS[day.month - 1]}{f' {day.year}' if with_year else ''}"


def _draw_chart(series: Series, first: date, last: date) -> dict[str, Any]:
    known = {day: v for day, v in sorted(series.values.items()) if v is not None and first <= day <= last}
    if not known:
        label = f"{series.title}: unknown on every day"
        empty = {"last": "unknown", "scale": "", "top": "", "path": "", "point": ""}
        return {"title": series.title, "mood": series.mood, "label": label} | empty
    largest, newest = max(known.values()), max(known)
    now = _format(series, known[newest])
    if series.unit == "flag":
        scale = extent = f"on {sum(map(bool, known.values()))} of {len(known)} days"
        top = 1.0
    else:
        top = max(largest, 1) if series.top is None else max(series.top, largest, 1)
        scale = f"max {_format(series, largest)}{'' if top in (largest, 1) else f', scale to {top:g}'}"
        extent = f"{_format(series, min(known.values()))} to {_format(series, largest)}"
    return {
        "title": series.title,
        "mood": series.mood,
        "last": now,
        "scale": scale if newest == last else f"{scale} · last on {newest}",
        "top": f"{top:g}{series.unit}" if series.unit != "flag" else "",
        "label": f"{series.title}, {min(known)} to {newest}: {extent}, {now} on {newest}",
        "path": _draw_steps(known, first, top),
        "point": f"M{(newest - first).days * DAY_WIDTH + DAY_WIDTH - 1} {_find_height(known[newest], top)}h0",
    }


def _format(series: Series, value: float | None) -> str:
    if value is None:
        return "unknown"
    return ("yes" if value else "no") if series.unit == "flag" else f"{value:g}{series.unit}"


def _draw_steps(known: Mapping[date, float], first: date, top: float) -> str:
    """Return a path with a step for each day; the path is broken where a day is unknown."""
    path, x, height = "", -1, ""
    for day, value in known.items():
        start, step = (day - first).days * DAY_WIDTH, _find_height(value, top)
        if start != x:
            path += f"{f'H{x}' if path else ''}M{start} {step}"
        elif step != height:
            path += f"H{start}V{step}"
        x, height = start + DAY_WIDTH, step
    return f"{path}H{x}"


def _find_height(value: float, top: float) -> str:
    return f"{_ZERO - round((_ZERO - _TOP) * value / top, 1):g}"


def draw_ticks(days: Sequence[date], first: date) -> str:
    """Return a path with a vertical line for each day."""
    return "".join(f"M{(day - first).days * DAY_WIDTH + 1} 1v6" for day in days)
