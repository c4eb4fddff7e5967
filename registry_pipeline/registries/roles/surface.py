"""Contract surface hashes: sha256 of RFC 8785 canonical bytes (SPEC 9; RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

# The text that this encoder writes for an object is the canonical text unless it has
# - an integer of sixteen digits or more, or a float that Python writes with an exponent or a last `.0`: RFC 8785
#   writes these in its own way, and any other fraction as the same shortest text;
# - a character from U+D800 on in a key: keys sort by UTF-16 units, and there the two orders part.
# Escapes are the same two-character ones, and `\u00xx` in lower case, in both.
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_SIXTEEN_DIGITS: Final = 10**15
# From such a character to the end of its string; the group is the colon behind a key. Nothing is given back, and the
# next search begins behind the string: every character is read once.
_REST_OF_STRING: Final = re.compile(r'[\ud800-\U0010ffff][^"\\]*+(?:\\.[^"\\]*+)*+(?:"(:)?)?')


def canonical_json_sha256(value: object) -> str:
    """Return the sha256 of the RFC 8785 bytes of a JSON value, as 64 hexadecimal digits.

    Raises:
        ValueError: the value has no canonical bytes: NaN, an infinity, an integer beyond 2^53-1, a lone surrogate, a
            key that is no string, a type that JSON has not, or too many levels.
    """
    import rfc8785  # noqa: PLC0415 - most surfaces take the fast way below

    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parsed_json_sha256(value: dict[str, Any]) -> str:
    """Return what `canonical_json_sha256` returns, faster, for a value that a JSON parser made.

    Raises:
        ValueError: as there.
    """
    if _has_doubtful_number(value):
        return canonical_json_sha256(value)
    text = _ENCODER.encode(value)
    if not text.isascii() and _has_doubtful_key(text):
        return canonical_json_sha256(value)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _has_doubtful_key(text: str) -> bool:
    return any(match[1] for match in _REST_OF_STRING.finditer(text))


def _has_doubtful_number(value: Any) -> bool:
    open_values = [value]
    while open_values:
        each = open_values.pop()
        for inner in each.values() if type(each) is dict else each:
            kind = type(inner)
            if kind is dict or kind is list:
                open_values.append(inner)
            elif kind is int:
                if not -_SIXTEEN_DIGITS < inner < _SIXTEEN_DIGITS:
                    return True
            elif kind is float:
                written = repr(inner)
                if "e" in written or written.endswith((".0", "n", "f")):
                    return True
    return False
