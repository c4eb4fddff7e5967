"""Days and instants on the command line: `--since` and `--until`, both inclusive, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import click

from registry_pipeline.canon import parse_instant, parse_utc


class Moment(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """A day, of which the whole counts, or an instant with its zone."""

    name = "time"

    def __init__(self, at: time) -> None:
        self.at = at

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant; a day is taken at the time of day that this option stands for."""
        if isinstance(value, datetime):
            return value
        instant = parse_instant(value)
        if instant is not None:
            return instant
        day = parse_utc(f"{value}T00:00:00Z")
        if day is None:
            self.fail(f"{value!r} is neither a day (2026-02-28) nor an instant (2026-02-28T09:00:00Z)", param, ctx)
        return datetime.combine(day, self.at, UTC)
