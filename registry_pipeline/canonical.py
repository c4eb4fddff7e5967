"""Canonical JSON bytes, sha256, UTC timestamps, and strict parsers of JSON and CSV.

Standard library only, no input or output. The formats are in docs/reference/specification.md, "Text and JSON".
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NoReturn

# Shared by all lines: `json.dumps` would create an encoder for each, and a run registry has thousands of lines.
_LINE: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
# Written out, because Python versions differ in what else `fromisoformat` accepts.
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_UTC: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


PLAIN_TEXT: Final = r"[ !#-\[\]-~]*+"
"""A regular expression of a JSON text without its quotes: of ASCII, without escapes."""


class StrictJsonError(ValueError):
    """Bytes that are not strict JSON; `kind` is `invalid`, `duplicate_key` or `non_finite`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StrictCsvError(ValueError):
    """Bytes that are not strict CSV; `line` is the 1-based number of the first invalid line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def sha256_hex(data: bytes) -> str:
    """Return the sha256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def json_document(value: object) -> bytes:
    """Return `value` as an indented JSON document: indent 2, keys as given, ASCII-escaped, final newline."""
    return (_indent(value, "\n") + "\n").encode("ascii")


def _indent(value: object, line_start: str) -> str:
    """Return the text of `json.dumps(value, indent=2, allow_nan=False)`; `line_start` is a line feed and blanks."""
    # With an indent, `json` yields every token from generators in Python: this takes a third of the time.
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    deeper = line_start + "  "
    if isinstance(value, list | tuple) and value:
        return f"[{deeper}{f',{deeper}'.join([_indent(item, deeper) for item in value])}{line_start}]"
    if isinstance(value, dict) and value:
        if not all(isinstance(key, str) for key in value):
            # Other keys become text, and an ASCII-escaped text contains no line feed.
            return json.dumps(value, indent=2, allow_nan=False).replace("\n", line_start)
        lines = [f"{encode_basestring_ascii(key)}: {_indent(item, deeper)}" for key, item in value.items()]
        return f"{{{deeper}{f',{deeper}'.join(lines)}{line_start}}}"
    return _LINE.encode(value)


def json_line(value: object) -> bytes:
    """Return `value` as one compact, ASCII-escaped line of a `.jsonl` artifact, including the newline."""
    return (_LINE.encode(value) + "\n").encode("ascii")


def parse_strict_json(data: bytes) -> Any:
    """Return the value of UTF-8 JSON.

    Raises:
        StrictJsonError: the bytes are invalid, with a byte order mark or nested too deeply; a key is duplicated in an
            object; or a number is not finite, or has more than 4300 digits.
    """
    if data.startswith(codecs.BOM_UTF8):
        raise StrictJsonError("invalid", "the file begins with a byte order mark")
    try:
        text = data.decode("utf-8")
        # Most documents begin with the value. Where `decode` looks for blanks takes as long as a small value.
        try:
            value, end = _STRICT.raw_decode(text)
            if not text[end:].strip(_JSON_BLANKS):
                return value
        except json.JSONDecodeError:
            pass
        return _STRICT.decode(text)
    except StrictJsonError:
        raise
    except RecursionError:
        raise StrictJsonError("invalid", "nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StrictJsonError("invalid", str(error)) from None
    except ValueError:
        # Python refuses to convert longer integers and gives no position.
        raise StrictJsonError("invalid", "an integer of more than 4300 digits") from None


def try_parse_strict_json(data: bytes) -> Any:
    """Return the value of strict JSON, or None if it cannot be parsed; the value `null` is None too."""
    try:
        return parse_strict_json(data)
    except StrictJsonError:
        return None


def are_same_objects(first: bytes, second: bytes, apart_from: Collection[str]) -> bool:
    """Return whether two JSON objects are equal apart from these members; False for anything else."""
    values = [try_parse_strict_json(data) for data in (first, second)]
    if not all(isinstance(value, dict) for value in values):
        return False
    # Compared as text, because Python counts 1 and True as equal.
    lines = [json_line({key: item for key, item in value.items() if key not in apart_from}) for value in values]
    return lines[0] == lines[1]


def parse_finite_json(data: bytes) -> Any:
    """Return the value of UTF-8 JSON with finite numbers; faster than the strict parser, as keys may be duplicated.

    Raises ValueError if the bytes are invalid, and RecursionError if the value is nested too deeply.
    """
    return _FINITE.decode(data.decode("utf-8"))


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise StrictJsonError("duplicate_key", f"the key {name!r} is duplicated in one object")
            seen.add(name)
    return members


def _refuse_constant(token: str) -> NoReturn:
    raise StrictJsonError("non_finite", f"{token} is not a JSON number")


def _parse_finite_number(token: str) -> float:
    value = float(token)
    if value in (float("inf"), float("-inf")):
        raise StrictJsonError("non_finite", f"{token} is beyond the range of a double")
    return value


# Shared by all documents: `json.loads` with these hooks would create a decoder for each call.
STRICT_HOOKS: Final[dict[str, Any]] = {
    "object_pairs_hook": _refuse_duplicate_keys,
    "parse_constant": _refuse_constant,
    "parse_float": _parse_finite_number,
}
_STRICT: Final = json.JSONDecoder(**STRICT_HOOKS)
_JSON_BLANKS: Final = " \t\n\r"
_FINITE: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_finite_number)


def parse_strict_csv(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield (1-based number of its first line, cells) for each record of UTF-8 CSV (RFC 4180), the header first.

    Lines end with LF or CRLF. An empty line is a record without cells. The number of cells is not checked.

    Raises:
        StrictCsvError: no header, a byte order mark, a NUL, bytes that are not UTF-8, or unmatched quotes.
    """
    if data.startswith(codecs.BOM_UTF8):
        raise StrictCsvError(1, "the file begins with a byte order mark")
    if b"\0" in data:
        raise StrictCsvError(data[: data.index(b"\0")].count(b"\n") + 1, "a NUL character")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrictCsvError(data[: error.start].count(b"\n") + 1, f"not UTF-8: {error.reason}") from None
    if not text.strip():
        raise StrictCsvError(1, "the file has no header row")
    *lines, rest = text.split("\n")
    records = csv.reader([*(f"{line}\n" for line in lines), *([rest] if rest else [])], strict=True)
    line = 1
    try:
        for cells in records:
            yield line, cells
            line = records.line_num + 1
    except csv.Error as error:
        raise StrictCsvError(records.line_num or 1, str(error)) from None


def utc_text(instant: datetime) -> str:
    """Return an aware instant as `YYYY-MM-DDTHH:MM:SSZ` (UTC, truncated to seconds)."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_utc(text: object) -> datetime | None:
    """Return the instant of a strict `YYYY-MM-DDTHH:MM:SSZ` text, or None for any other value."""
    return parse_instant(text) if isinstance(text, str) and _UTC.fullmatch(text) else None


def parse_instant(text: str | None) -> datetime | None:
    """Return the instant of an ISO 8601 timestamp of any tool; None if it is invalid or without time of day or zone."""
    if text is None or _INSTANT.fullmatch(text) is None:
        return None
    # Six times as fast as strptime; called for every run folder.
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def short(digest: str) -> str:
    """Return the first twelve digits of a digest, for display."""
    return digest[:12]


FORM: Final = "YYYY-MM-DDTHH:MMZ or YYYY-MM-DDTHH:MM:SSZ"
"""The timestamp format of the run index, for messages."""
_STAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z")


@lru_cache(maxsize=4096)
def second_of(text: str) -> str | None:
    """Return a timestamp of the run index (FORM) with seconds, so that texts sort by time; None if it is invalid."""
    match = _STAMP.fullmatch(text)
    if match is None or parse_instant(text) is None:
        return None
    return text if match[1] else f"{text[:-1]}:00Z"


_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REPOSITORY_ID: Final = re.compile(r"[a-z0-9-]{8,64}")


def is_sha256(text: object) -> bool:
    """Return whether `text` is 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def is_repository_id(text: object) -> bool:
    """Return whether `text` is a repository id: 8 to 64 characters of a-z, 0-9 and `-`."""
    return isinstance(text, str) and _REPOSITORY_ID.fullmatch(text) is not None
