"""Strict JSON: one value without duplicated keys, inexact numbers, lone surrogates or deep nesting.

Fast path: json's C scanner, with checks on the text around it. If they fail, the tokenizer of `json_lint` reports every
defect with its offset; it takes four times as long. Both take time linear in the text.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final, NoReturn

from registry_pipeline.registries.roles.json_lint import MAX_DEPTH, JsonDefect, find_defects, is_out_of_range
from registry_pipeline.values import value_type

# Only a number of sixteen digits or with an exponent can be out of range.
_LARGE_NUMBER: Final = re.compile(rb"[0-9](?:[0-9]{15}|[eE])")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_PAIR_OF_ESCAPES: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_CONTAINERS: Final = frozenset({dict, list})
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}",:0123456789eE'))


@value_type(eq=False)
class StrictJson:
    """A JSON text with its value and defects.

    Attributes:
        text: the text without a byte order mark.
        value: None if not readable; of a duplicated key the last value, as in most parsers.
        readable: whether there is a value (not after RR028, RR029, or bytes that are not UTF-8).
        defects: in the order of the text.
    """

    text: str
    value: Any
    readable: bool
    defects: tuple[JsonDefect, ...]


class _DoubtError(ValueError):
    """The fast path cannot show that the text is strict."""


def read_strict_json(data: bytes) -> StrictJson:
    """Return the value and the defects of a JSON text; nothing is raised."""
    defects: list[JsonDefect] = []
    # (1) decode
    if data.startswith(codecs.BOM_UTF8):
        data = data[3:]
        defects.append(
            JsonDefect("RR017", 0, (), "the file starts with a byte order mark", "it begins with a byte order mark")
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8")
        reason = f"is not UTF-8: {error.reason}"
        defects.append(JsonDefect("RR017", len(text), (), f"the file {reason}", f"it {reason}"))
        return StrictJson(text, None, readable=False, defects=tuple(defects))
    try:
        # (2) fast path
        return StrictJson(text, _read_fast(text, data), readable=True, defects=tuple(defects))
    except (ValueError, RecursionError):
        defects += find_defects(text)
    # (3) after a defect that leaves the text readable, the value is still checked by the other rules
    readable = not any(defect.code in {"RR028", "RR029"} for defect in defects)
    return StrictJson(text, _LENIENT.decode(text) if readable else None, readable=readable, defects=tuple(defects))


def _read_fast(text: str, data: bytes) -> Any:
    structure = _remove_strings(data)
    if _may_be_deep(structure.translate(None, _NOT_BRACKETS)) or (b"\\" in data and _has_lone_surrogate(text)):
        raise _DoubtError
    value = (_EXACT if _LARGE_NUMBER.search(structure) else _PLAIN).decode(text)
    # Each member has a colon. A duplicated key leaves one member for two colons.
    if _count_members(value) != structure.count(b":"):
        raise _DoubtError
    return value


def _remove_strings(data: bytes) -> bytes:
    """Return the brackets, commas, colons and digits outside strings."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every second part between quotes is a string. If a string does not end, the parser refuses the text.
    return b"".join(data.translate(None, _NOT_STRUCTURE).split(b'"')[::2])


def _count_members(value: Any) -> int:
    count, pending = 0, [value]
    while pending:
        container = pending.pop()
        if type(container) is dict:
            count += len(container)
            pending += [item for item in container.values() if type(item) in _CONTAINERS]
        elif type(container) is list:
            pending += [item for item in container if type(item) in _CONTAINERS]
    return count


def _may_be_deep(brackets: bytes) -> bool:
    # Each replacement removes at most one level, so brackets that are gone after 32 rounds of two replacements have
    # at most 64 levels. The parser refuses brackets that are not balanced.
    for _ in range(MAX_DEPTH // 2):
        if not brackets:
            return False
        rest = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(rest) == len(brackets):
            return True
        brackets = rest
    return bool(brackets)


def _has_lone_surrogate(text: str) -> bool:
    if _SURROGATE_ESCAPE.search(text) is None:
        return False
    without_pairs = _PAIR_OF_ESCAPES.sub("-", text.replace("\\\\", "--"))
    return _SURROGATE_ESCAPE.search(without_pairs) is not None


def _refuse_constant(_token: str) -> NoReturn:
    raise _DoubtError


def _exact_integer(token: str) -> int:
    if is_out_of_range(token):
        raise _DoubtError
    return int(token)


def _exact_float(token: str) -> float:
    if is_out_of_range(token):
        raise _DoubtError
    return float(token)


_PLAIN: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_EXACT: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_exact_integer, parse_float=_exact_float)
# Python refuses integers of more than 4300 digits. One that is out of range only needs some number in its stead.
_LENIENT: Final = json.JSONDecoder(parse_int=lambda token: float(token) if is_out_of_range(token) else int(token))
