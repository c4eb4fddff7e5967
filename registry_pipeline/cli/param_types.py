"""Types of command-line parameters: instants and spans of days, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import click

from registry_pipeline.canonical import parse_instant, parse_utc

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_YEAR: Final = 1970


class Moment(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """An instant with its time zone, or a day, which means the time `at` on that day."""

    name = "time"

    def __init__(self, at: time) -> None:
        self.at = at

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant."""
        instant = value if isinstance(value, datetime) else parse_instant(value)
        if instant is not None:
            return instant
        day = parse_utc(f"{value}T00:00:00Z")
        if day is None:
            self.fail(f"{value!r} is neither a day (2026-02-28) nor an instant (2026-02-28T09:00:00Z)", param, ctx)
        return datetime.combine(day, self.at, UTC)


class UtcText(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """A UTC instant in the form `YYYY-MM-DDTHH:MM:SSZ`."""

    name = "utc"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant."""
        if isinstance(value, datetime):
            return value
        instant = parse_utc(value)
        if instant is None:
            self.fail(f"{value!r} is not UTC in the form 2026-03-01T12:00:00Z", param, ctx)
        if instant.year < _FIRST_YEAR:
            self.fail(f"{value} is before {_FIRST_YEAR}; no run id can contain it", param, ctx)
        return instant


class DaySpanText(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """`DATE` or `FIRST..LAST`, with dates as 2026-03-01; the value is the tuple of these days."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, ...]:
        """Return the days."""
        if isinstance(value, tuple):
            return value
        first_text, dots, last_text = str(value).partition("..")
        first = self._parse_day(first_text, param, ctx)
        last = self._parse_day(last_text, param, ctx) if dots else first
        if last < first:
            self.fail(f"{value!r} goes backwards; write {last_text}..{first_text}", param, ctx)
        return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))

    def _parse_day(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            day = None
        return day or self.fail(f"{text!r} is not a day in the form 2026-03-01", param, ctx)
