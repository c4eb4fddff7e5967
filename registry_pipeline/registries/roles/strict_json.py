"""Strict JSON: one value without duplicated keys, inexact numbers, lone surrogates or deep nesting."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from typing import Any, Final

from registry_pipeline.canonical import STRICT_HOOKS
from registry_pipeline.registries.roles.json_text import JsonPath, quote_text, scan_string, skip_blanks, truncate
from registry_pipeline.values import replace, value_type

MAX_DEPTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1
# How many defects of one code are listed for one text; further ones are counted.
MAX_DEFECTS: Final = 1_000
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@value_type
class JsonDefect:
    """A reason why a text is not strict JSON, with the offset of a character and the path of the value around it."""

    # RR017 to RR019 or RR027 to RR029
    code: str
    offset: int
    path: JsonPath
    detail: str
    # Fingerprints are made of it, so it does not change with the wording of `detail`.
    identity: str


def find_defects(text: str) -> list[JsonDefect]:
    """Return every reason why a text is not strict JSON; none if it is. Nothing after RR028 or RR029 is read."""
    return _Tokenizer(text).find_defects()


def is_out_of_range(token: str) -> bool:
    """Return whether a number token overflows a double, or is an integer token beyond 2^53-1."""
    if token.lstrip("-").isdigit():
        # Python refuses to convert very long integers, so the length decides first.
        return len(token) > 17 or abs(int(token)) > MAX_INTEGER
    return float(token) in (float("inf"), float("-inf"))


class _StopError(ValueError):
    """Nothing after this offset can be read."""

    def __init__(self, code: str, offset: int, detail: str) -> None:
        super().__init__(detail)
        self.code, self.offset, self.detail = code, offset, detail


class _Level:
    """An open object (`keys` are those read so far) or an open array (`keys` is None)."""

    def __init__(self, keys: set[str] | None) -> None:
        self.keys = keys
        self.count = 0
        self.name: str | int = 0


class _Tokenizer:
    """Reads a text token by token; its own stack makes deep nesting harmless."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._levels: list[_Level] = []
        self._defects: list[JsonDefect] = []
        self._counts: Counter[str] = Counter()

    def find_defects(self) -> list[JsonDefect]:
        try:
            offset = self._read_value(skip_blanks(self._text, 0))
            while self._levels:
                offset = self._read_next(skip_blanks(self._text, offset))
            offset = skip_blanks(self._text, offset)
            if offset < len(self._text):
                self._add_defect("RR028", offset, "unexpected text after the end")
        except _StopError as stop:
            self._add_defect(stop.code, stop.offset, stop.detail)
        for code, count in self._counts.items():
            if count > MAX_DEFECTS:
                detail = f"{count - MAX_DEFECTS} more of this kind, which are not listed"
                self._defects.append(JsonDefect(code, 0, (), detail, detail))
        return self._defects

    def _add_defect(self, code: str, offset: int, detail: str, identity: str | None = None) -> None:
        self._counts[code] += 1
        if self._counts[code] <= MAX_DEFECTS:
            path = tuple(level.name for level in self._levels)
            self._defects.append(JsonDefect(code, offset, path, detail, identity or detail))

    def _peek(self, offset: int) -> str:
        if offset < len(self._text):
            return self._text[offset]
        raise _StopError("RR028", offset, "the text ends too early" if self._text.strip() else "the file is empty")

    def _read_value(self, offset: int) -> int:
        char = self._peek(offset)
        if char in "{[":
            if len(self._levels) == MAX_DEPTH:
                raise _StopError("RR029", offset, f"the file is nested deeper than {MAX_DEPTH} levels")
            self._levels.append(_Level(set() if char == "{" else None))
            return offset + 1
        if char == '"':
            return self._read_string(offset)[1]
        for literal in ("true", "false", "null"):
            if self._text.startswith(literal, offset):
                return offset + len(literal)
        return self._read_number(offset)

    def _read_number(self, offset: int) -> int:
        match = _NUMBER.match(self._text, offset)
        if match is None:
            raise self._make_unexpected_error(offset)
        if is_out_of_range(match.group()):
            is_integer = match.group(1) is None and match.group(2) is None
            reason = "an integer beyond 2^53-1" if is_integer else "beyond the range of a double"
            self._add_defect("RR018", offset, f"{truncate(match.group(), 40)} is {reason}")
        return match.end()

    def _read_string(self, offset: int) -> tuple[str, int]:
        try:
            value, end = scan_string(self._text, offset + 1)
        except json.JSONDecodeError as error:
            raise _StopError("RR028", min(error.pos, len(self._text)), error.msg) from None
        if _LONE_SURROGATE.search(value) is not None:
            self._add_defect("RR019", offset, "a string has half of a surrogate pair")
        return value, end

    def _read_next(self, offset: int) -> int:
        """Read the end of the innermost level, or its next member or item; return the offset after what was read.

        Of an object or array only the opening bracket is read; it is then the innermost level. Defects after which
        reading can go on are recorded.

        Raises:
            _StopError: nothing after some offset can be read.
        """
        level = self._levels[-1]
        closing = "]" if level.keys is None else "}"
        if self._peek(offset) == closing:
            self._levels.pop()
            return offset + 1
        if level.count:
            offset = self._read_comma(offset, closing)
        if level.keys is None:
            level.name = level.count
        else:
            offset = self._read_key(offset, level, level.keys)
        level.count += 1
        return self._read_value(offset)

    def _read_key(self, offset: int, level: _Level, keys: set[str]) -> int:
        if self._peek(offset) != '"':
            raise self._make_unexpected_error(offset)
        # Until the key is known, a defect belongs to the member "".
        level.name = ""
        key, end = self._read_string(offset)
        level.name = key
        if key in keys:
            # Quoting costs time, so a key beyond the limit is only counted.
            quoted = quote_text(key) if self._counts["RR027"] < MAX_DEFECTS else ""
            identity = f"the key {quoted} stands twice in one object"
            self._add_defect("RR027", offset, f"the key {quoted} is duplicated", identity)
        keys.add(key)
        end = skip_blanks(self._text, end)
        if self._peek(end) != ":":
            raise self._make_unexpected_error(end)
        return skip_blanks(self._text, end + 1)

    def _read_comma(self, offset: int, closing: str) -> int:
        if self._text[offset] != ",":
            raise self._make_unexpected_error(offset)
        end = skip_blanks(self._text, offset + 1)
        if self._peek(end) == closing:
            raise _StopError("RR028", offset, "trailing comma")
        return end

    def _make_unexpected_error(self, offset: int) -> _StopError:
        detail = f"unexpected character {quote_text(self._text[offset])}"
        # These are frequent mistakes, so the message names them.
        for literal in ("NaN", "Infinity", "-Infinity"):
            if self._text.startswith(literal, offset):
                detail = f"{literal} is not a JSON number"
        if self._text.startswith(("//", "/*", "#"), offset):
            detail = "JSON has no comments"
        return _StopError("RR028", offset, detail)


_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_CONTAINERS: Final = frozenset({dict, list})


@value_type(eq=False)
class StrictJson:
    """A JSON text without a byte order mark, with its value and its defects in the order of the text."""

    text: str
    # None if not readable; of a duplicated key the last value, as in most parsers.
    value: Any
    # False after RR028, RR029, or bytes that are not UTF-8.
    readable: bool
    defects: tuple[JsonDefect, ...] = ()


def parse_strict_bytes(data: bytes) -> StrictJson:
    """Return the value and the defects of a JSON text; nothing is raised, and the time is linear in the size."""
    defects: list[JsonDefect] = []
    if data.startswith(codecs.BOM_UTF8):
        data = data[3:]
        detail, identity = "the file starts with a byte order mark", "it begins with a byte order mark"
        defects.append(JsonDefect("RR017", 0, (), detail, identity))
    try:
        result = parse_strict_text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8")
        reason = f"is not UTF-8: {error.reason}"
        defects.append(JsonDefect("RR017", len(text), (), f"the file {reason}", f"it {reason}"))
        return StrictJson(text, None, readable=False, defects=tuple(defects))
    return replace(result, defects=(*defects, *result.defects))


def parse_strict_text(text: str) -> StrictJson:
    """Return the value and the defects of a JSON text without a byte order mark; nothing is raised.

    The value is None if the text cannot be read. Otherwise as `parse_strict_bytes`.
    """
    # The tokenizer finds every defect, but takes four times as long as a decoder that refuses any.
    try:
        return StrictJson(text, _read_fast(text), readable=True)
    except (ValueError, RecursionError):
        defects = find_defects(text)
    # After a defect that leaves the text readable, the value is still checked by the other rules.
    readable = not any(defect.code in {"RR028", "RR029"} for defect in defects)
    return StrictJson(text, _LENIENT.decode(text) if readable else None, readable, tuple(defects))


def _read_fast(text: str) -> Any:
    """Return the value of a strict text; raise a ValueError or RecursionError if it may have a defect."""
    value = _STRICT.decode(text)
    if text.count("{") + text.count("[") > MAX_DEPTH and is_deep(value, MAX_DEPTH):
        raise ValueError("the text is nested too deeply")
    if "\\" in text and _SURROGATE_ESCAPE.search(text) is not None:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses half of a pair
    return value


def is_deep(value: Any, most: int) -> bool:
    """Return whether a JSON value is nested deeper than so many levels."""
    containers = [value] if type(value) in _CONTAINERS else []
    for _ in range(most):
        items = (item for outer in containers for item in (outer.values() if type(outer) is dict else outer))
        containers = [item for item in items if type(item) in _CONTAINERS]
    return bool(containers)


def _parse_exact_integer(token: str) -> int:
    # Nearly all numbers are short, and a pack has thousands.
    if len(token) > 15 and is_out_of_range(token):
        raise ValueError("an integer is out of range")
    return int(token)


_STRICT: Final = json.JSONDecoder(**STRICT_HOOKS, parse_int=_parse_exact_integer)
# Python refuses integers of more than 4300 digits. One that is out of range only needs some number in its stead.
_LENIENT: Final = json.JSONDecoder(parse_int=lambda token: float(token) if is_out_of_range(token) else int(token))
