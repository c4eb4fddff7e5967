"""What both readers of JSON text, and those who quote from it, agree on."""

from __future__ import annotations

import json
from typing import Final

from registry_pipeline.model.display import is_hidden
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
