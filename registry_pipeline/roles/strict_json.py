"""JSON that says one thing only: strict reading, with a place for every defect (SPEC 9; RFC 8259, RFC 7493).

Two roads read the same language. The fast one lets Python's C scanner make the value and refuses at the first doubt.
What it refuses is read again token by token, which tells every defect and its place. Both are linear in the text.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1
MAX_DEFECTS: Final = 100_000
"""Defects of one kind that are told one by one; what is beyond is counted."""


_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LONE: Final = re.compile("[\ud800-\udfff]")
_LARGE_NUMBER: Final = re.compile("[0-9]{16}|[0-9][eE]")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_QUOTED: Final = re.compile(rb'"[^"]*"')


@dataclass(frozen=True, slots=True)
class JsonDefect:
    """One way in which a text is no strict JSON: the code, the character at which it shows, and where in the value."""

    code: str
    at: int
    place: tuple[str | int, ...]
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class StrictJson:
    """What was read: the text without a byte order mark, its value, and its defects in the order of the text.

    `readable` is False where there is no value (RR017 for other bytes than UTF-8, RR028, RR029). Of a key that stands
    twice the last value counts, as most parsers have it; a number out of range stays what Python makes of it.
    """

    text: str
    value: Any
    readable: bool
    defects: tuple[JsonDefect, ...]


def scan_string(text: str, begin: int) -> tuple[str, int]:
    """Return the string whose first character behind the quote stands at `begin`, and where it ends.

    Raises:
        json.JSONDecodeError: it is no JSON string.
    """
    # The decoder's own C function; the types of the standard library do not tell of it.
    read: tuple[str, int] = json.decoder.scanstring(text, begin)  # type: ignore[attr-defined]
    return read


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
        found = _Reading(text).defects_found()
    defects += found
    if any(defect.code in {"RR028", "RR029"} for defect in found):
        return StrictJson(text, None, readable=False, defects=tuple(defects))
    return StrictJson(text, _LENIENT.decode(text), readable=True, defects=tuple(defects))


def _fast(text: str, body: bytes) -> Any:
    if _may_be_deep(body) or _has_lone_escape(text):
        raise _DoubtError
    return (_EXACT if _LARGE_NUMBER.search(text) else _PLAIN).decode(text)


def _may_be_deep(body: bytes) -> bool:
    # Every replacement peels one level at most off the brackets that stand outside strings, so text that is gone after
    # thirty-two rounds of two has sixty-four levels at most. Text that is not balanced is refused by the parser.
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = _QUOTED.sub(b"", body.translate(None, _NOT_BRACKETS))
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
    return _LONE_ESCAPE.search(text.replace("\\\\", "--")) is not None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _DoubtError
    return made


def _constant(_token: str) -> NoReturn:
    raise _DoubtError


def _exact_integer(token: str) -> int:
    if _out_of_range(token):
        raise _DoubtError
    return int(token)


def _exact_float(token: str) -> float:
    if _out_of_range(token):
        raise _DoubtError
    return float(token)


def _out_of_range(token: str) -> bool:
    """Tell whether a number token overflows a double, or is an integer token beyond 2^53-1."""
    if token.lstrip("-").isdigit():
        return len(token) > 17 or abs(int(token)) > MAX_INTEGER
    return float(token) in (float("inf"), float("-inf"))


_PLAIN: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_EXACT: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_exact_integer, parse_float=_exact_float
)
# Python refuses integers of more than 4300 digits; one out of range only needs a place-holder.
_LENIENT: Final = json.JSONDecoder(parse_int=lambda token: float(token) if _out_of_range(token) else int(token))


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
        if _out_of_range(match.group()):
            whole = match.group(1) is None and match.group(2) is None
            why = "an integer beyond 2^53-1" if whole else "beyond the range of a double"
            self._note("RR018", at, f"{_cut(match.group())} is {why}")
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
            self._note("RR027", at, f"the key {shown(key)} stands twice in one object")
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


def _cut(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def shown(text: str, limit: int = 200) -> str:
    """Return any text as a JSON string that can be printed on a terminal, cut to `limit` characters."""
    quoted = json.dumps(_cut(text, limit), ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in quoted)
