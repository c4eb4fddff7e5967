"""Positions in JSON text, JSON values quoted in messages, and the differences of two values."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from typing import Any, Final

from registry_pipeline.findings.display import is_hidden
from registry_pipeline.values import value_type

# The keys and indexes that lead to a value inside a JSON value.
JsonPath = tuple[str | int, ...]
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_:.-]{1,160}")
_MAX_QUOTED: Final = 200
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
# Skipped values are decoded and dropped. Numbers stay text, because Python refuses very long integers.
_SKIPPER: Final = json.JSONDecoder(parse_int=str, parse_float=str)


def scan_string(text: str, begin: int) -> tuple[str, int]:
    """Return the JSON string from `begin`, after its quote, and the offset after it; a ValueError if it is invalid."""
    # The C function of json's own decoder; typeshed does not declare it.
    result: tuple[str, int] = json.decoder.scanstring(text, begin)  # type: ignore[attr-defined]
    return result


def skip_blanks(text: str, offset: int) -> int:
    """Return the offset of the next character that is not JSON whitespace."""
    match = _BLANKS.match(text, offset)
    return offset if match is None else match.end()


def truncate(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, followed by an ellipsis if it was longer."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def quote_text(text: str) -> str:
    """Return any text as a printable JSON string of limited length."""
    return _escape_hidden(json.dumps(truncate(text, _MAX_QUOTED), ensure_ascii=False))


def format_id(text: str) -> str:
    """Return an id unchanged if it is plain, otherwise as a printable JSON string."""
    return text if _PLAIN_ID.fullmatch(text) else quote_text(text)


def format_value(value: Any) -> str:
    """Return a JSON value as printable JSON text of limited length."""
    if isinstance(value, str):
        return quote_text(value)
    if isinstance(value, (list, dict)):
        return truncate(_escape_hidden(json.dumps(_prune(value), ensure_ascii=False)), _MAX_QUOTED)
    return truncate(json.dumps(value), _MAX_QUOTED)


def _prune(value: Any, depth: int = 3) -> Any:
    # Only what can appear in the truncated text is kept: a large value costs no more than a small one.
    if depth == 0 and isinstance(value, (list, dict)):
        return "…"
    if isinstance(value, list):
        return [_prune(item, depth - 1) for item in value[:20]]
    if isinstance(value, dict):
        return {key[:_MAX_QUOTED]: _prune(value[key], depth - 1) for key in list(value)[:20]}
    return value[:_MAX_QUOTED] if isinstance(value, str) else value


def _escape_hidden(text: str) -> str:
    # Blanks other than the space are escaped too: they look like it.
    return "".join(c if c.isprintable() and not is_hidden(c) else json.dumps(c)[1:-1] for c in text)


class Lines:
    """The line ends of a text. A line ends with LF; a column counts characters from 1."""

    def __init__(self, text: str) -> None:
        self._ends = list(accumulate(len(line) + 1 for line in text.split("\n")))

    def location(self, offset: int) -> str:
        """Return `line:column` of the character at an offset."""
        line = bisect_right(self._ends, offset)
        line_begin = self._ends[line - 1] if line else 0
        return f"{line + 1}:{offset - line_begin + 1}"


def format_pointer(path: JsonPath) -> str:
    """Return a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def find_spans(text: str, paths: Iterable[JsonPath]) -> dict[JsonPath, tuple[int, int]]:
    """Return the begin and end offset of the value at each path; paths that the valid JSON text lacks are left out."""
    # A tree of the requested keys and indexes; the entry None of a node is the path that ends there.
    tree: dict[Any, Any] = {}
    for path in paths:
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[None] = path
    spans: dict[JsonPath, tuple[int, int]] = {}
    # Of a duplicated key the last value counts, as in the parsed value.
    _scan_value(text, skip_blanks(text, 0), tree, spans)
    return spans


def _scan_value(text: str, begin: int, node: dict[Any, Any] | None, spans: dict[JsonPath, tuple[int, int]]) -> int:
    """Add the spans of the paths below a node of the tree to `spans`; return the offset after the value."""
    if node is None or not node.keys() - {None} or text[begin] not in "{[":
        end = _SKIPPER.raw_decode(text, begin)[1]
    else:
        end = _scan_container(text, begin, node, spans)
    if node is not None and None in node:
        spans[node[None]] = (begin, end)
    return end


def _scan_container(text: str, begin: int, node: dict[Any, Any], spans: dict[JsonPath, tuple[int, int]]) -> int:
    is_object = text[begin] == "{"
    last = max((part for part in node if isinstance(part, int)), default=-1)
    offset, index = skip_blanks(text, begin + 1), 0
    while text[offset] != ("}" if is_object else "]"):
        if text[offset] == ",":
            offset = skip_blanks(text, offset + 1)
        key: str | int = index
        if is_object:
            key, offset = scan_string(text, offset + 1)
            offset = skip_blanks(text, skip_blanks(text, offset) + 1)
        elif index > last:
            # No requested item follows: skip the whole array with the C scanner.
            return _SKIPPER.raw_decode(text, begin)[1]
        offset = skip_blanks(text, _scan_value(text, offset, node.get(key), spans))
        index += 1
    return offset + 1


MAX_DIFFERENCES: Final = 20
_MAX_IN_MESSAGE: Final = 3
_ABSENT: Final = object()


@value_type
class Difference:
    """One value that differs: its JSON pointer, and both values as truncated JSON text (None: absent, not null)."""

    pointer: str
    old: str | None
    new: str | None

    def to_json(self) -> dict[str, str | None]:
        """Return the difference as a JSON object."""
        return {"pointer": self.pointer, "old": self.old, "new": self.new}


def find_differences(old: Any, new: Any) -> tuple[Difference, ...]:
    """Return the first 20 differences of two JSON values; a 21st entry says that there are more."""
    differences = tuple(islice(_compare(old, new, ()), MAX_DIFFERENCES + 1))
    if len(differences) > MAX_DIFFERENCES:
        return (*differences[:MAX_DIFFERENCES], Difference("", "…", "more differences, which are not listed"))
    return differences


def format_differences(differences: tuple[Difference, ...]) -> str:
    """Return the first three differences as the end of a sentence, or "" if there are none."""
    texts = [
        f"{difference.pointer}{': ' if difference.pointer else ''}"
        f"{difference.old or 'absent'} became {difference.new or 'absent'}"
        for difference in differences[:_MAX_IN_MESSAGE]
    ]
    rest = " and more" if len(differences) > _MAX_IN_MESSAGE else ""
    return f"; {'; '.join(texts)}{rest}" if texts else ""


def _compare(old: Any, new: Any, path: JsonPath) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _compare(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            old_item = old[index] if index < len(old) else _ABSENT
            new_item = new[index] if index < len(new) else _ABSENT
            yield from _compare(old_item, new_item, (*path, index))
    # Numbers are compared as numbers: 1 and 1.0 are equal, true and 1 are not.
    elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
        yield Difference(
            format_pointer(path),
            None if old is _ABSENT else format_value(old),
            None if new is _ABSENT else format_value(new),
        )
