"""A JSON tokenizer that reports every defect of a text with its offset and path (RFC 8259, RFC 7493)."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Final

from registry_pipeline.registries.roles.json_positions import (
    JsonPath,
    quote_text,
    scan_string,
    skip_blanks,
    truncate,
)
from registry_pipeline.values import value_type

MAX_DEPTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1
MAX_DEFECTS: Final = 1_000
"""How many defects of one code are listed for one text; further ones are counted."""
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@value_type
class JsonDefect:
    """A reason why a text is not strict JSON.

    Attributes:
        code: RR017 to RR019 or RR027 to RR029.
        offset: the character that shows the defect.
        path: the JSON path of the value that contains it.
        identity: a text that does not change with the wording of `detail`; fingerprints are made of it.
    """

    code: str
    offset: int
    path: JsonPath
    detail: str
    identity: str


def find_defects(text: str) -> list[JsonDefect]:
    """Return every reason why a text is not strict JSON; nothing after RR028 or RR029 can be read."""
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

    __slots__ = ("count", "keys", "name")

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
                read = self._read_item if self._levels[-1].keys is None else self._read_member
                offset = read(skip_blanks(self._text, offset))
            offset = skip_blanks(self._text, offset)
            if offset < len(self._text):
                self._note("RR028", offset, "unexpected text after the end")
        except _StopError as stop:
            self._note(stop.code, stop.offset, stop.detail)
        for code, count in self._counts.items():
            if count > MAX_DEFECTS:
                detail = f"{count - MAX_DEFECTS} more of this kind, which are not listed"
                self._defects.append(JsonDefect(code, 0, (), detail, detail))
        return self._defects

    def _note(self, code: str, offset: int, detail: str, identity: str | None = None) -> None:
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
            raise self._unexpected(offset)
        if is_out_of_range(match.group()):
            is_integer = match.group(1) is None and match.group(2) is None
            reason = "an integer beyond 2^53-1" if is_integer else "beyond the range of a double"
            self._note("RR018", offset, f"{truncate(match.group(), 40)} is {reason}")
        return match.end()

    def _read_string(self, offset: int) -> tuple[str, int]:
        try:
            value, end = scan_string(self._text, offset + 1)
        except json.JSONDecodeError as error:
            raise _StopError("RR028", min(error.pos, len(self._text)), error.msg) from None
        if _LONE_SURROGATE.search(value) is not None:
            self._note("RR019", offset, "a string has half of a surrogate pair")
        return value, end

    def _read_item(self, offset: int) -> int:
        level = self._levels[-1]
        if self._peek(offset) == "]":
            self._levels.pop()
            return offset + 1
        if level.count:
            offset = self._read_comma(offset, "]")
        level.name = level.count
        level.count += 1
        return self._read_value(offset)

    def _read_member(self, offset: int) -> int:
        level = self._levels[-1]
        if self._peek(offset) == "}":
            self._levels.pop()
            return offset + 1
        if level.count:
            offset = self._read_comma(offset, "}")
        if self._peek(offset) != '"':
            raise self._unexpected(offset)
        level.count += 1
        # Until the key is known, a defect belongs to the member "".
        level.name = ""
        key, end = self._read_string(offset)
        level.name = key
        if level.keys is not None:
            # Quoting costs time, so a key beyond the limit is only counted.
            if key in level.keys:
                quoted = quote_text(key) if self._counts["RR027"] < MAX_DEFECTS else ""
                identity = f"the key {quoted} stands twice in one object"
                self._note("RR027", offset, f"the key {quoted} is duplicated", identity)
            level.keys.add(key)
        end = skip_blanks(self._text, end)
        if self._peek(end) != ":":
            raise self._unexpected(end)
        return self._read_value(skip_blanks(self._text, end + 1))

    def _read_comma(self, offset: int, closing: str) -> int:
        if self._text[offset] != ",":
            raise self._unexpected(offset)
        end = skip_blanks(self._text, offset + 1)
        if self._peek(end) == closing:
            raise _StopError("RR028", offset, "trailing comma")
        return end

    def _unexpected(self, offset: int) -> _StopError:
        detail = f"unexpected character {quote_text(self._text[offset])}"
        # These are frequent mistakes, so the message names them.
        for literal in ("NaN", "Infinity", "-Infinity"):
            if self._text.startswith(literal, offset):
                detail = f"{literal} is not a JSON number"
        if self._text.startswith(("//", "/*", "#"), offset):
            detail = "JSON has no comments"
        return _StopError("RR028", offset, detail)
