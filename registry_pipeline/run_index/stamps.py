"""UTC to the minute or to the second, as the logs write it (seed 004, 2.1; SPEC 11)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

FORM: Final = "YYYY-MM-DDTHH:MMZ or YYYY-MM-DDTHH:MM:SSZ"
"""How a stamp is told to people."""

_STAMP: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?Z")


@lru_cache(maxsize=4096)
def second_of(text: str) -> str | None:
    """Return a stamp to the second, `YYYY-MM-DDTHH:MM:SSZ`, which sorts as time does; None if it is no such stamp."""
    match = _STAMP.fullmatch(text)
    if match is None or not _is_day(match[1]):
        return None
    return text if match[2] else f"{text[:-1]}:00Z"


def instant_of(text: str) -> datetime | None:
    """Return the instant of a stamp, None if it is none."""
    second = second_of(text)
    return None if second is None else datetime.strptime(second, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
