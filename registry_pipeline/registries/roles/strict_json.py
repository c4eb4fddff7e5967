"""JSON that says one thing only: strict reading, with a place for every defect (SPEC 9; RFC 8259, RFC 7493).

Two roads read the same language. The fast one lets Python's C scanner make the value and refuses at the first doubt.
What it refuses is read again token by token, which tells every defect and its place. Both are linear in the text.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final, NoReturn

from registry_pipeline.registries.roles.json_lint import find_defects
from registry_pipeline.registries.roles.json_positions import MAX_DEPTH, JsonDefect, is_out_of_range
from registry_pipeline.values import value_type

_LARGE_NUMBER: Final = re.compile(rb"[0-9](?:[0-9]{15}|[eE])")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_PAIR_OF_ESCAPES: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_CONTAINERS: Final = frozenset({dict, list})
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}",:0123456789eE'))


@value_type(eq=False)
class StrictJson:
    """What was read: the text without a byte order mark, its value, and its defects in the order of the text.

    `readable` is False where there is no value (RR017 for other bytes than UTF-8, RR028, RR029). Of a key that stands
    twice the last value counts, as most parsers have it; a number out of range stays what Python makes of it.
    """

    text: str
    value: Any
    readable: bool
    defects: tuple[JsonDefect, ...]


class _DoubtError(ValueError):
    """The fast road cannot vouch for the text."""


def read_strict_json(data: bytes) -> StrictJson:
    """Read JSON text; whatever is wrong with it is told and not raised."""
    marked = data.startswith(codecs.BOM_UTF8)
    defects = [JsonDefect("RR017", 0, (), "it begins with a byte order mark")] if marked else []
    body = data[3:] if marked else data
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8")
        defects.append(JsonDefect("RR017", len(before), (), f"it is not UTF-8: {error.reason}"))
        return StrictJson(before, None, readable=False, defects=tuple(defects))
    try:
        return StrictJson(text, _fast(text, body), readable=True, defects=tuple(defects))
    except (ValueError, RecursionError):
        found = find_defects(text)
    defects += found
    if any(defect.code in {"RR028", "RR029"} for defect in found):
        return StrictJson(text, None, readable=False, defects=tuple(defects))
    return StrictJson(text, _LENIENT.decode(text), readable=True, defects=tuple(defects))


def _fast(text: str, body: bytes) -> Any:
    bare = _without_strings(body)
    if _may_be_deep(bare.translate(None, _NOT_BRACKETS)) or (b"\\" in body and _has_lone_escape(text)):
        raise _DoubtError
    value = (_EXACT if _LARGE_NUMBER.search(bare) else _PLAIN).decode(text)
    # Of a key that stands twice one member is left, and its colon with no member.
    if _members(value) != bare.count(b":"):
        raise _DoubtError
    return value


def _without_strings(body: bytes) -> bytes:
    """Return the brackets, commas and colons of a text, and of its numbers what can make them large."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Between the quotes that are left, every second part is a string; where one does not end, the parser refuses.
    return b"".join(body.translate(None, _NOT_STRUCTURE).split(b'"')[::2])


def _members(value: Any) -> int:
    """Return how many members all objects of a value have."""
    count, open_values = 0, [value]
    while open_values:
        each = open_values.pop()
        if type(each) is dict:
            count += len(each)
            open_values += [inner for inner in each.values() if type(inner) in _CONTAINERS]
        elif type(each) is list:
            open_values += [inner for inner in each if type(inner) in _CONTAINERS]
    return count


def _may_be_deep(brackets: bytes) -> bool:
    # Every replacement peels one level at most off the brackets that stand outside strings, so text that is gone after
    # thirty-two rounds of two has sixty-four levels at most. Text that is not balanced is refused by the parser.
    for _ in range(MAX_DEPTH // 2):
        if not brackets:
            return False
        left = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(left) == len(brackets):
            return True
        brackets = left
    return bool(brackets)


def _has_lone_escape(text: str) -> bool:
    if _SURROGATE_ESCAPE.search(text) is None:
        return False
    pairs_gone = _PAIR_OF_ESCAPES.sub("-", text.replace("\\\\", "--"))
    return _SURROGATE_ESCAPE.search(pairs_gone) is not None


def _constant(_token: str) -> NoReturn:
    raise _DoubtError


def _exact_integer(token: str) -> int:
    if is_out_of_range(token):
        raise _DoubtError
    return int(token)


def _exact_float(token: str) -> float:
    if is_out_of_range(token):
        raise _DoubtError
    return float(token)


_PLAIN: Final = json.JSONDecoder(parse_constant=_constant)
_EXACT: Final = json.JSONDecoder(parse_constant=_constant, parse_int=_exact_integer, parse_float=_exact_float)
# Python refuses integers of more than 4300 digits; one out of range only needs a place-holder.
_LENIENT: Final = json.JSONDecoder(parse_int=lambda token: float(token) if is_out_of_range(token) else int(token))
