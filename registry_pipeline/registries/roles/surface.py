"""The hash of a contract surface: sha256 of the canonical bytes of RFC 8785 (JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

# The text of this encoder is the canonical text of an object, unless the object contains
# - an integer of sixteen digits or more, or a float that Python writes with an exponent or as a whole number: RFC 8785
#   formats them differently (any other fraction has the same shortest text in both);
# - a key with a character from U+D800 on: RFC 8785 sorts by UTF-16 units, Python by code points.
# Both write the same short escapes, and `\u00xx` in lower case.
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_SIXTEEN_DIGITS: Final = 10**15
# From such a character to the end of its string; the group is the colon after a key. The quantifiers are possessive
# and the next search starts after the string, so each character is read once.
_REST_OF_STRING: Final = re.compile(r'[\ud800-\U0010ffff][^"\\]*+(?:\\.[^"\\]*+)*+(?:"(:)?)?')


def canonical_json_sha256(value: object) -> str:
    """Return the sha256 of the RFC 8785 bytes of a JSON value, as 64 hexadecimal digits.

    Raises:
        ValueError: the value has no canonical bytes: NaN, an infinity, an integer beyond 2^53-1, a lone surrogate, a
            key that is not a string, a type that JSON does not have, or too many levels.
    """
    import rfc8785  # noqa: PLC0415 - most surfaces take the fast way below

    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parsed_json_sha256(value: dict[str, Any]) -> str:
    """Return the same as `canonical_json_sha256`, but three times faster, for an object from a JSON parser.

    Raises:
        ValueError: as `canonical_json_sha256`.
    """
    if _has_special_number(value):
        return canonical_json_sha256(value)
    text = _ENCODER.encode(value)
    # Only text that is not ASCII can contain a special key.
    if not text.isascii() and _has_special_key(text):
        return canonical_json_sha256(value)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _has_special_key(text: str) -> bool:
    return any(match[1] for match in _REST_OF_STRING.finditer(text))


def _has_special_number(value: Any) -> bool:
    pending = [value]
    while pending:
        container = pending.pop()
        for item in container.values() if type(container) is dict else container:
            kind = type(item)
            if kind is dict or kind is list:
                pending.append(item)
            elif kind is int:
                if not -_SIXTEEN_DIGITS < item < _SIXTEEN_DIGITS:
                    return True
            elif kind is float:
                written = repr(item)
                if "e" in written or written.endswith((".0", "n", "f")):
                    return True
    return False
