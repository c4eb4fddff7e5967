"""The two grammars of ids, `dash` and `ulid`, and how a new id is made.

`dash` is a prefix, a real date and time, and four characters; `ulid` is a prefix and a ULID. Artists, genres and hook
families are slugs in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal

from registry_pipeline.values import value_type

Kind = Literal[
    "run",
    "work",
    "version",
    "scripture_packet",
    "story",
    "song_frame",
    "override",
    "scene",
    "artist",
    "genre",
    "hook_family",
]
Choose = Callable[[str], str]
"""Returns a random character of a text. The caller passes it, so that tests are deterministic."""
_RANDOM: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SLUG: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_TIME_SUFFIX: Final = r"([0-9]{8}-[0-9]{4})-[A-Z0-9]{4}"
_ULID: Final = f"[0-7][{_CROCKFORD}]{{25}}"
_UNIT: Final = r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*"
_MAX_LENGTH: Final = 128
_TIME_PARTS: Final = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DASH: Final[dict[Kind, str]] = {
    "run": "RUN-",
    "work": "WORK-",
    "version": "VER-",
    "scripture_packet": "SCR-",
    "story": "SF-",
    "song_frame": "SFR-",
    "override": "OVR-",
    "scene": "SCN-",
}
_DASH_SLUGS: Final[dict[Kind, str]] = {"artist": "ART-", "genre": "GEN-", "hook_family": "HKF-"}
_ULIDS: Final[dict[Kind, str]] = {
    "run": "RUN_",
    "work": "WRK_",
    "version": "VER_",
    "story": "STY_",
    "song_frame": "SFR_",
    "override": "OVR_",
    "scene": "SCN_",
}
_ULID_SLUGS: Final[dict[Kind, str]] = {"artist": "ART_", "genre": "GEN_", "hook_family": "HKF_"}


@value_type
class Form:
    """The form of one kind of id: its pattern, a description for people, and whether it contains a date and time."""

    pattern: re.Pattern[str]
    description: str
    has_time: bool = False


def _forms(name: str) -> MappingProxyType[Kind, Form]:
    forms: dict[Kind, Form] = {}
    if name == "dash":
        for kind, prefix in _DASH.items():
            forms[kind] = Form(re.compile(prefix + _TIME_SUFFIX), f"{prefix}YYYYMMDD-HHMM-XXXX", has_time=True)
    else:
        for kind, prefix in _ULIDS.items():
            forms[kind] = Form(re.compile(prefix + _ULID), f"{prefix}<ULID>")
        forms["scripture_packet"] = Form(re.compile("SPK_" + _UNIT), "SPK_<unit>")
    for kind, prefix in (_DASH_SLUGS if name == "dash" else _ULID_SLUGS).items():
        forms[kind] = Form(re.compile(prefix + _SLUG), f"{prefix}<slug>, a slug of a-z, 0-9 and single hyphens")
    return MappingProxyType(forms)


class Grammar:
    """One of the two grammars, `dash` or `ulid`."""

    __slots__ = ("forms", "name")

    def __init__(self, name: Literal["dash", "ulid"]) -> None:
        self.name = name
        self.forms = _forms(name)

    def find_problem(self, kind: Kind, text: str) -> Literal["", "form", "date"]:
        """Return what is wrong with an id: its form, or a date and time that does not exist; "" if it is valid."""
        form = self.forms[kind]
        match = form.pattern.fullmatch(text)
        if match is None or len(text) > _MAX_LENGTH:
            return "form"
        return "date" if form.has_time and not _is_real_time(match[1]) else ""

    def mint(self, kind: Kind, now: datetime, choose: Choose) -> str:
        """Return a new id of a kind that contains a time (`dash`) or a ULID; `choose` picks the random characters."""
        if self.name == "dash":
            stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M")
            return f"{_DASH[kind]}{stamp}-{''.join(choose(_RANDOM) for _ in range(4))}"
        milliseconds, stamp = (now - _EPOCH) // timedelta(milliseconds=1), ""
        for _ in range(10):
            milliseconds, digit = divmod(milliseconds, 32)
            stamp = _CROCKFORD[digit] + stamp
        return f"{_ULIDS[kind]}{stamp}{''.join(choose(_CROCKFORD) for _ in range(16))}"


# The ids of one record mostly contain the same time, and a log has millions of them.
@lru_cache(maxsize=1 << 14)
def _is_real_time(stamp: str) -> bool:
    year, month, day, hour, minute = (int(stamp[start:end]) for start, end in _TIME_PARTS)
    try:
        datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return False
    return True


GRAMMARS: Final = MappingProxyType({"dash": Grammar("dash"), "ulid": Grammar("ulid")})
"""Both grammars by the value of `ids` in the [run_index] table."""
