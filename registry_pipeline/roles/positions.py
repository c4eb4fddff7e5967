"""Where things stand in a text: line and column of places in a JSON value (SPEC 9).

Only the way to the wanted places is walked; everything else is skipped by Python's C scanner.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, Final

from registry_pipeline.roles.json_text import scan_string

Place = tuple[str | int, ...]
"""A way into a JSON value: the keys and indexes that a JSON pointer (RFC 6901) is made of."""

_BLANKS: Final = re.compile(r"[ \t\n\r]*")
# Values that are skipped are made and dropped; numbers stay text, since Python refuses very long integers.
_SKIPPER: Final = json.JSONDecoder(parse_int=str, parse_float=str)


class Lines:
    """The lines of a text; a column counts characters from 1, a line ends with LF."""

    __slots__ = ("_ends",)

    def __init__(self, text: str) -> None:
        self._ends = list(accumulate(len(line) + 1 for line in text.split("\n")))

    def location(self, at: int) -> str:
        """Return `line:column` of the character at offset `at`."""
        line = bisect_right(self._ends, at)
        begun = self._ends[line - 1] if line else 0
        return f"{line + 1}:{at - begun + 1}"


def json_pointer(place: Place) -> str:
    """Return the JSON pointer of a place (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def find_spans(text: str, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """Return where each place's value begins and ends in a readable JSON text; a place that is not there is left out.

    Of a key that stands twice the last value counts, as in the value that was read.
    """
    wanted: dict[Any, Any] = {}
    for place in places:
        branch = wanted
        for part in place:
            branch = branch.setdefault(part, {})
        branch[None] = place
    spans: dict[Place, tuple[int, int]] = {}
    _walk(text, _blank(text, 0), wanted, spans)
    return spans


def _blank(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return at if match is None else match.end()


def _walk(text: str, at: int, wanted: dict[Any, Any], spans: dict[Place, tuple[int, int]]) -> int:
    inner = wanted.keys() - {None}
    if inner and text[at] == "{":
        end = _walk_object(text, at, wanted, spans)
    elif inner and text[at] == "[":
        end = _walk_array(text, at, wanted, spans)
    else:
        end = _SKIPPER.raw_decode(text, at)[1]
    if None in wanted:
        spans[wanted[None]] = (at, end)
    return end


def _walk_object(text: str, at: int, wanted: dict[Any, Any], spans: dict[Place, tuple[int, int]]) -> int:
    at = _blank(text, at + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _blank(text, at + 1)
        key, at = scan_string(text, at + 1)
        at = _blank(text, _blank(text, at) + 1)
        branch = wanted.get(key)
        end = _SKIPPER.raw_decode(text, at)[1] if branch is None else _walk(text, at, branch, spans)
        at = _blank(text, end)
    return at + 1


def _walk_array(text: str, at: int, wanted: dict[Any, Any], spans: dict[Place, tuple[int, int]]) -> int:
    last = max((part for part in wanted if isinstance(part, int)), default=-1)
    begin, index = at, 0
    at = _blank(text, at + 1)
    while text[at] != "]":
        if index > last:
            return _SKIPPER.raw_decode(text, begin)[1]
        if text[at] == ",":
            at = _blank(text, at + 1)
        branch = wanted.get(index)
        end = _SKIPPER.raw_decode(text, at)[1] if branch is None else _walk(text, at, branch, spans)
        at = _blank(text, end)
        index += 1
    return at + 1
