"""What both readers of JSON text, and those who quote from it, agree on."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, Final

from registry_pipeline.findings.display import is_hidden
from registry_pipeline.values import value_type

MAX_DEPTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1
MAX_DEFECTS: Final = 1_000
"""Defects of one kind in a text that are told one by one; what is beyond is counted."""


@value_type
class JsonDefect:
    """One way in which a text is no strict JSON: the code, the character at which it shows, and where in the value."""

    code: str
    at: int
    place: tuple[str | int, ...]
    detail: str


def scan_string(text: str, begin: int) -> tuple[str, int]:
    """Return the string whose first character behind the quote stands at `begin`, and where it ends.

    Raises:
        json.JSONDecodeError: it is no JSON string.
    """
    # The decoder's own C function; the types of the standard library do not tell of it.
    read: tuple[str, int] = json.decoder.scanstring(text, begin)  # type: ignore[attr-defined]
    return read


def is_out_of_range(token: str) -> bool:
    """Tell whether a number token overflows a double, or is an integer token beyond 2^53-1."""
    if token.lstrip("-").isdigit():
        return len(token) > 17 or abs(int(token)) > MAX_INTEGER
    return float(token) in (float("inf"), float("-inf"))


def cut(text: str, limit: int = 40) -> str:
    """Return a text, or its beginning and an ellipsis."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def shown(text: str, limit: int = 200) -> str:
    """Return any text as a JSON string that can be printed on a terminal, cut to `limit` characters."""
    quoted = json.dumps(cut(text, limit), ensure_ascii=False)
    return escape_hidden(quoted)


def escape_hidden(text: str) -> str:
    """Return a text with hidden characters, and blanks that look like a space, as JSON escapes."""
    return "".join(c if c.isprintable() and not is_hidden(c) else json.dumps(c)[1:-1] for c in text)


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
