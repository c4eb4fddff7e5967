"""Regular expressions of whole lines: a line that one of them matches is a valid record, although nobody parsed it.

Most lines of a log are written by programs, in a few orders of fields. For each order that is frequent in a log, one
regular expression checks everything that `parse_line` and `RecordValidator` check, in less than half of the time that
`json.loads` takes. A pattern may refuse a valid line (with an escaped id, or of a 29 February), but never matches an
invalid one. What is not matched is parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import PLAIN_TEXT

if TYPE_CHECKING:
    from registry_pipeline.registries.run_index.record import Field, Form, Grammar

CAPTURED: Final = (
    *("run_id", "created_utc", "last_updated_utc", "machine_id", "artist_id", "genre_id", "qa_gate2"),
    *("uniqueness_hook", "uniqueness_scene", "uniqueness_scripture"),
    *("scripture_packet_id", "work_id", "version_ids", "run_log_filepath_abs"),
)
"""The fields whose contents `match_lines` yields."""
LineContents = tuple[str | Any, ...]
"""The JSON texts, without quotes or brackets, of the fields in CAPTURED; None for a missing field."""
_VERSIONS: Final = CAPTURED.index("version_ids")
# Compiling takes as long as parsing some hundred lines, so rare orders are not worth a pattern.
_FREQUENT: Final = 100
_MAX_PATTERNS: Final = 8
_MAX_COUNTED: Final = 1000
_MAX_ID: Final = 128
_DAYS: Final = "(?:(?:0[1-9]|1[0-2]){0}(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2]){0}(?:29|30)|(?:0[13578]|1[02]){0}31)"
_HOUR: Final = "(?:[01][0-9]|2[0-3])"
_STAMP: Final = f"[1-9][0-9]{{3}}{_DAYS.format('')}-{_HOUR}[0-5][0-9]"
_UTC: Final = f"[1-9][0-9]{{3}}-{_DAYS.format('-')}T{_HOUR}:[0-5][0-9](?::[0-5][0-9])?Z"
# Without halves of surrogate pairs, which only together are a character.
_ESCAPE: Final = r'\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})'
_PROSE: Final = f"{PLAIN_TEXT}(?:{_ESCAPE}{PLAIN_TEXT})*+"


class LinePatterns:
    """The patterns of the records of one log, learned from the records that were parsed."""

    __slots__ = ("_contents", "_counts", "_patterns", "_required")

    def __init__(self, fields: Mapping[str, Field], grammar: Grammar, extra_keys: Iterable[str] = ()) -> None:
        self._required = {name for name, field in fields.items() if field.required}
        patterns = {name: _make_pattern(name, field, grammar) for name, field in fields.items()}
        self._contents = {name: pattern for name, pattern in patterns.items() if pattern}
        if fields:
            self._contents |= {name: f'"{_PROSE}"' for name in extra_keys if name not in fields}
        self._counts: dict[tuple[str, ...], int] = {}
        self._patterns: list[tuple[re.Pattern[str], tuple[int, ...]]] = []

    def match_lines(self, text: str, start: int = 0) -> Iterator[tuple[int, LineContents]]:
        """Yield the end and the contents of each line from `start` up to the first one that no pattern matches.

        `text` is the bytes of the log decoded as Latin-1: one character each. Every line must end with a newline.
        """
        while True:
            for pattern, groups in self._patterns:
                match = pattern.match(text, start)
                if match is None:
                    continue
                contents = match.group(*groups)
                versions = contents[_VERSIONS]
                if versions and "," in versions and len(set(ids := versions.replace(" ", "").split(","))) < len(ids):
                    return
                start = match.end()
                yield start, contents
                break
            else:
                return

    def learn(self, record: Mapping[str, Any], text: str) -> None:
        """Count the order of fields of a valid record that no pattern matched; if it is frequent, make its pattern.

        `text` is its line: the pattern has a space after each comma and colon if that has, as `json.dumps` writes it.
        """
        blank = " " if text.startswith('": "', text.find('"', 2)) else ""
        order = (blank, *record)
        count = self._counts[order] = self._counts.get(order, 0) + 1
        if count == _FREQUENT and len(self._patterns) < _MAX_PATTERNS and self._contents.keys() >= record.keys():
            names = [*record, *(name for name in self._contents if name not in record)]
            pattern = _compile({name: self._contents[name] for name in names}, self._required, blank)
            self._patterns.append((pattern, tuple(pattern.groupindex[name] for name in CAPTURED)))
        if len(self._counts) > _MAX_COUNTED:
            self._counts.clear()


def _compile(contents: Mapping[str, str], required: Collection[str], blank: str) -> re.Pattern[str]:
    """Return the pattern of lines with these fields in this order; the first field and the required ones must exist."""
    text, separator = r"\{", ""
    for name, content in contents.items():
        member = f"{separator}{re.escape(json.dumps(name))}:{blank}{content}"
        text += member if name in required or not separator else f"(?:{member}|)"
        separator = f",{blank}"
    return re.compile(text + r"\}\n")


def add_seconds(stamp: str) -> str:
    """Return a valid timestamp with seconds, as `second_of` does."""
    return stamp if len(stamp) == 20 else f"{stamp[:-1]}:00Z"


def _make_pattern(name: str, field: Field, grammar: Grammar) -> str:
    """Return the pattern of the valid contents of a field, or of most of them; "" if records with it are parsed."""
    group = f"(?P<{name}>" if name in CAPTURED else "(?:"
    if field.form == "id":
        return f'"{group}{_make_id_pattern(grammar.forms[field.kind])})"'
    if field.form == "ids":
        # Whether they differ is checked by `match_lines`.
        item = f'"{_make_id_pattern(grammar.forms[field.kind])}"'
        return rf"\[{group}(?:{item}(?:, ?{item})*+|))\]"
    if field.form == "enum":
        return f'"{group}{"|".join(map(re.escape, field.values))})"'
    if field.form == "utc":
        return f'"{group}{_UTC})"'
    # A text is not blank if it begins with a character that is not.
    return {"text": rf'"{group}[!#-\[\]-~]{_PROSE})"', "prose": f'"{group}{_PROSE})"'}.get(field.form, "")


def _make_id_pattern(form: Form) -> str:
    """Return a pattern of the ids of a form that have a real date and are not too long."""
    text = form.pattern.pattern.replace("([0-9]{8}-[0-9]{4})", _STAMP)
    # Only ids with a repeated part can be too long.
    return f'(?![^"]{{{_MAX_ID + 1}}})(?>{text})' if "+" in text else text
