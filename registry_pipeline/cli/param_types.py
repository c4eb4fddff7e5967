"""Command-line parameters that are instants and spans of days, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import click

from registry_pipeline.canonical import parse_instant, parse_utc

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_YEAR: Final = 1970
_MAX_DIGITS: Final = 5


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


def parse_days(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[date, ...] | None:
    """Return all days of an option `DATE` or `FIRST..LAST` (both included), None for None; else raise BadParameter."""
    if value is None:
        return None
    texts = value.split("..", 1)
    days = []
    for text in texts:
        try:
            days.append(date.fromisoformat(text if _DAY.fullmatch(text) else ""))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a day in the form 2026-03-01", ctx, param) from None
    first, last = days[0], days[-1]
    if last < first:
        raise click.BadParameter(f"{value!r} goes backwards; write {texts[1]}..{texts[0]}", ctx, param)
    return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))


class Age(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """A number of days before now, or a day, which means its start; the value is a number or an instant."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        """Return the span or the instant."""
        if isinstance(value, datetime | timedelta):
            return value
        if value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
            return timedelta(days=int(value))
        instant = parse_utc(f"{value}T00:00:00Z")
        if instant is None:
            self.fail(f"{value!r} is neither a number of days (90) nor a day (2026-02-28)", param, ctx)
        return instant
