"""The ids of both grammars, and how a new one is minted (SPEC 11; seed 004, 2.1).

`dash`: a prefix, a real date and time, four characters; artists, genres and hook families are slugs. `ulid`: a prefix
and a ULID; scripture packets are units. Ids are text, compared code point by code point.
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
"""Returns one character of a text, at random: randomness comes in at the doors."""
_RANDOM: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SLUG: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_STAMPED: Final = r"([0-9]{8}-[0-9]{4})-[A-Z0-9]{4}"
_ULID: Final = f"[0-7][{_CROCKFORD}]{{25}}"
_UNIT: Final = r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*"
_LONGEST: Final = 128
_PARTS: Final = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13))
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
    """One kind of id: its pattern, how it is told to people, and whether it carries a date and time."""

    pattern: re.Pattern[str]
    told: str
    stamped: bool = False


def _forms(name: str) -> MappingProxyType[Kind, Form]:
    made: dict[Kind, Form] = {}
    if name == "dash":
        for kind, prefix in _DASH.items():
            made[kind] = Form(re.compile(prefix + _STAMPED), f"{prefix}YYYYMMDD-HHMM-XXXX", stamped=True)
    else:
        for kind, prefix in _ULIDS.items():
            made[kind] = Form(re.compile(prefix + _ULID), f"{prefix}<ULID>")
        made["scripture_packet"] = Form(re.compile("SPK_" + _UNIT), "SPK_<unit>")
    for kind, prefix in (_DASH_SLUGS if name == "dash" else _ULID_SLUGS).items():
        made[kind] = Form(re.compile(prefix + _SLUG), f"{prefix}<slug>, a slug of a-z, 0-9 and single hyphens")
    return MappingProxyType(made)


class Grammar:
    """One of the two grammars of SPEC 11, `dash` or `ulid`."""

    __slots__ = ("forms", "name")

    def __init__(self, name: Literal["dash", "ulid"]) -> None:
        self.name = name
        self.forms = _forms(name)

    def problem(self, kind: Kind, text: str) -> Literal["", "form", "date"]:
        """Return what is wrong with an id: its form, the date and time that it carries, or nothing ("")."""
        form = self.forms[kind]
        match = form.pattern.fullmatch(text)
        if match is None or len(text) > _LONGEST:
            return "form"
        return "date" if form.stamped and not _is_real(match[1]) else ""

    def quickly(self, kind: Kind) -> Callable[[str], bool]:
        """Return what tells whether an id is sound, and no more: a log has millions of them."""
        form = self.forms[kind]
        match, stamped = form.pattern.fullmatch, form.stamped

        def is_sound(text: str) -> bool:
            found = match(text)
            return found is not None and len(text) <= _LONGEST and (not stamped or _is_real(found[1]))

        return is_sound

    def mint(self, kind: Kind, now: datetime, choose: Choose) -> str:
        """Return a new id of a stamped kind or ULID for an instant; `choose` picks its characters."""
        if self.name == "dash":
            stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M")
            return f"{_DASH[kind]}{stamp}-{''.join(choose(_RANDOM) for _ in range(4))}"
        left, stamp = (now - _EPOCH) // timedelta(milliseconds=1), ""
        for _ in range(10):
            left, digit = divmod(left, 32)
            stamp = _CROCKFORD[digit] + stamp
        return f"{_ULIDS[kind]}{stamp}{''.join(choose(_CROCKFORD) for _ in range(16))}"


@lru_cache(maxsize=1 << 14)
def _is_real(stamp: str) -> bool:
    """Tell whether a `YYYYMMDD-HHMM` is a date and time; the ids of one record mostly share theirs."""
    year, month, day, hour, minute = (int(stamp[start:end]) for start, end in _PARTS)
    try:
        datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return False
    return True


GRAMMARS: Final = MappingProxyType({"dash": Grammar("dash"), "ulid": Grammar("ulid")})
"""Both grammars by the word of the toml (`[run_index] ids`)."""
