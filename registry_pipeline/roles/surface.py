"""Contract surface hashes: sha256 of RFC 8785 canonical bytes (SPEC 9; RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

import rfc8785

# The text that this encoder writes for an object is the canonical text unless it has a float, an integer of sixteen
# digits or more, or a character from U+D800 on (keys sort by UTF-16 units, and there the two orders part). Each of
# these shows in the text: a number in an object stands behind `:`, `,` or `[` without a blank, and Python writes every
# float with `.` or `e` behind its first digits. The same signs within a string cost no more than the slower road.
# Escapes are the same two-character ones, and `\u00xx` in lower case, in both.
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_PERHAPS_DOUBTFUL: Final = re.compile(r"[0-9](?:[.e]|[0-9]{15})")
_DOUBTFUL_NUMBER: Final = re.compile(r"[:,\[]-?[0-9]+(?:[.e]|(?<=[0-9]{16}))")
_DOUBTFUL_CHARACTER: Final = re.compile("[\ud800-\U0010ffff]")


def canonical_json_sha256(value: object) -> str:
    """Return the sha256 of the RFC 8785 bytes of a JSON value, as 64 hexadecimal digits.

    Raises:
        ValueError: the value has no canonical bytes: NaN, an infinity, an integer beyond 2^53-1, a lone surrogate, a
            key that is no string, a type that JSON has not, or too many levels.
    """
    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parsed_json_sha256(value: dict[str, Any]) -> str:
    """Return what `canonical_json_sha256` returns, faster, for a value that a JSON parser made.

    Raises:
        ValueError: as there.
    """
    text = _ENCODER.encode(value)
    if _PERHAPS_DOUBTFUL.search(text) and _DOUBTFUL_NUMBER.search(text):
        return canonical_json_sha256(value)
    if not text.isascii() and _DOUBTFUL_CHARACTER.search(text):
        return canonical_json_sha256(value)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
