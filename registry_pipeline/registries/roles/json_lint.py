"""The slow road into JSON text: token by token, so that every defect is told with its place (SPEC 9; RFC 8259)."""

from __future__ import annotations

import json
import re
from typing import Final

from registry_pipeline.registries.roles.json_positions import (
    MAX_DEFECTS,
    MAX_DEPTH,
    JsonDefect,
    cut,
    is_out_of_range,
    scan_string,
    shown,
)

_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LONE: Final = re.compile("[\ud800-\udfff]")


def find_defects(text: str) -> list[JsonDefect]:
    """Return all in which a text is no strict JSON; behind RR028 and RR029 nothing can be read."""
    return _Reading(text).defects_found()


class _StopError(ValueError):
    """Nothing can be read behind this place."""

    def __init__(self, code: str, at: int, detail: str) -> None:
        super().__init__(detail)
        self.code, self.at, self.detail = code, at, detail


class _Level:
    """An object (with the keys seen so far) or an array (without) that is open."""

    __slots__ = ("count", "keys", "name")

    def __init__(self, keys: set[str] | None) -> None:
        self.keys = keys
        self.count = 0
        self.name: str | int = 0


class _Reading:
    """The slow road: reads token by token, with a stack of its own, and notes every defect."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._levels: list[_Level] = []
        self._defects: list[JsonDefect] = []
        self._beyond: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def defects_found(self) -> list[JsonDefect]:
        """Read the whole text."""
        try:
            at = self._value(self._blank(0))
            while self._levels:
                at = self._member(self._blank(at)) if self._levels[-1].keys is not None else self._item(self._blank(at))
            at = self._blank(at)
        except _StopError as stop:
            self._note(stop.code, stop.at, stop.detail)
        else:
            if at < len(self._text):
                self._note("RR028", at, "there is more text behind the end")
        for code, count in self._beyond.items():
            self._defects.append(JsonDefect(code, 0, (), f"{count} more of this kind, which are not listed"))
        return self._defects

    def _note(self, code: str, at: int, detail: str) -> None:
        self._counts[code] = self._counts.get(code, 0) + 1
        if self._counts[code] > MAX_DEFECTS:
            self._beyond[code] = self._beyond.get(code, 0) + 1
            return
        self._defects.append(JsonDefect(code, at, tuple(level.name for level in self._levels), detail))

    def _tells(self, code: str) -> bool:
        return self._counts.get(code, 0) < MAX_DEFECTS

    def _blank(self, at: int) -> int:
        match = _BLANKS.match(self._text, at)
        return at if match is None else match.end()

    def _char(self, at: int) -> str:
        if at < len(self._text):
            return self._text[at]
        raise _StopError("RR028", at, "the file is empty" if not self._text.strip() else "the text ends too early")

    def _value(self, at: int) -> int:
        char = self._char(at)
        if char in "{[":
            if len(self._levels) == MAX_DEPTH:
                raise _StopError("RR029", at, f"it is nested deeper than {MAX_DEPTH} levels")
            self._levels.append(_Level(set() if char == "{" else None))
            return at + 1
        if char == '"':
            return self._string(at)[1]
        for word in ("true", "false", "null"):
            if self._text.startswith(word, at):
                return at + len(word)
        return self._number(at)

    def _number(self, at: int) -> int:
        match = _NUMBER.match(self._text, at)
        if match is None:
            raise _StopError("RR028", at, _unexpected(self._text, at))
        if is_out_of_range(match.group()):
            whole = match.group(1) is None and match.group(2) is None
            why = "an integer beyond 2^53-1" if whole else "beyond the range of a double"
            self._note("RR018", at, f"{cut(match.group())} is {why}")
        return match.end()

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scan_string(self._text, at + 1)
        except json.JSONDecodeError as error:
            raise _StopError("RR028", min(error.pos, len(self._text)), error.msg) from None
        if _LONE.search(text) is not None:
            self._note("RR019", at, "a string has half of a surrogate pair")
        return text, end

    def _item(self, at: int) -> int:
        level = self._levels[-1]
        char = self._char(at)
        if char == "]":
            self._levels.pop()
            return at + 1
        if level.count:
            at = self._after_comma(at, "]")
        level.name = level.count
        level.count += 1
        return self._value(at)

    def _member(self, at: int) -> int:
        level = self._levels[-1]
        if self._char(at) == "}":
            self._levels.pop()
            return at + 1
        if level.count:
            at = self._after_comma(at, "}")
        if self._char(at) != '"':
            raise _StopError("RR028", at, _unexpected(self._text, at))
        level.count += 1
        level.name = ""
        key, end = self._string(at)
        level.name = key
        keys = level.keys if level.keys is not None else set()
        if key in keys:
            self._note("RR027", at, f"the key {shown(key)} stands twice in one object" if self._tells("RR027") else "")
        keys.add(key)
        end = self._blank(end)
        if self._char(end) != ":":
            raise _StopError("RR028", end, _unexpected(self._text, end))
        return self._value(self._blank(end + 1))

    def _after_comma(self, at: int, closing: str) -> int:
        if self._text[at] != ",":
            raise _StopError("RR028", at, _unexpected(self._text, at))
        behind = self._blank(at + 1)
        if self._char(behind) == closing:
            raise _StopError("RR028", at, "a comma stands behind the last member")
        return behind


def _unexpected(text: str, at: int) -> str:
    for word in ("NaN", "Infinity", "-Infinity"):
        if text.startswith(word, at):
            return f"{word} is no JSON number"
    if text.startswith(("//", "/*", "#"), at):
        return "JSON has no comments"
    return f"{shown(text[at])} is not expected here"
