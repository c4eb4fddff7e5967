"""A record of the run index: its fields, its rules, and the two grammars of ids (`dash` and `ulid`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from registry_pipeline.canonical import FORM, second_of, sha256_hex
from registry_pipeline.findings.collector import encodable
from registry_pipeline.registries.run_index.line_pattern import LinePatterns
from registry_pipeline.values import value_type

Choose = Callable[[str], str]
"""Returns a random character of a text. The caller passes it, so that tests are deterministic."""
_RANDOM: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MAX_LENGTH: Final = 128
_TIME_PARTS: Final = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The prefix of each kind of id, in `dash` and in `ulid`.
_PREFIXES: Final = MappingProxyType(
    {
        "run": ("RUN-", "RUN_"),
        "work": ("WORK-", "WRK_"),
        "version": ("VER-", "VER_"),
        "scripture_packet": ("SCR-", "SPK_"),
        "story": ("SF-", "STY_"),
        "song_frame": ("SFR-", "SFR_"),
        "override": ("OVR-", "OVR_"),
        "scene": ("SCN-", "SCN_"),
        "artist": ("ART-", "ART_"),
        "genre": ("GEN-", "GEN_"),
        "hook_family": ("HKF-", "HKF_"),
    }
)
_SLUG: Final = (r"[a-z0-9]+(?:-[a-z0-9]+)*", "<slug>, a slug of a-z, 0-9 and single hyphens")
_TIME: Final = (r"([0-9]{8}-[0-9]{4})-[A-Z0-9]{4}", "YYYYMMDD-HHMM-XXXX")
_ULID: Final = (f"[0-7][{_CROCKFORD}]{{25}}", "<ULID>")
# Two underscores separate the ranges of a unit of several chapters, as in SPK_isaiah_52-13__53-12.
_UNIT: Final = (r"[A-Za-z0-9]+(?:(?:__|[-_.])[A-Za-z0-9]+)*", "<unit>")


@value_type
class Form:
    """The form of one kind of id: its prefix, its pattern, and a description for people."""

    prefix: str
    pattern: re.Pattern[str]
    description: str


def _forms(*, dash: bool) -> dict[str, Form]:
    forms: dict[str, Form] = {}
    for kind, prefixes in _PREFIXES.items():
        prefix = prefixes[0 if dash else 1]
        if kind in ("artist", "genre", "hook_family"):
            pattern, description = _SLUG
        elif dash:
            pattern, description = _TIME
        else:
            pattern, description = _UNIT if kind == "scripture_packet" else _ULID
        forms[kind] = Form(prefix, re.compile(prefix + pattern), prefix + description)
    return forms


class Grammar:
    """One of the two grammars, `dash` or `ulid`."""

    __slots__ = ("forms", "name")

    def __init__(self, name: Literal["dash", "ulid"]) -> None:
        self.name = name
        self.forms = _forms(dash=name == "dash")

    def find_problem(self, kind: str, text: str) -> str:
        """Return RI014 if an id has not the form of its kind, RI015 if its time does not exist, "" if it is valid."""
        match = self.forms[kind].pattern.fullmatch(text)
        if match is None or len(text) > _MAX_LENGTH:
            return "RI014"
        # Only the ids that contain a date and time have a group.
        return "RI015" if match.lastindex and not _is_real_time(match[1]) else ""

    def make_id(self, kind: str, now: datetime, choose: Choose) -> str:
        """Return a new id of a kind that contains a time (`dash`) or a ULID; `choose` picks the random characters."""
        prefix = self.forms[kind].prefix
        if self.name == "dash":
            stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M")
            return f"{prefix}{stamp}-{''.join(choose(_RANDOM) for _ in range(4))}"
        milliseconds, stamp = (now - _EPOCH) // timedelta(milliseconds=1), ""
        for _ in range(10):
            milliseconds, digit = divmod(milliseconds, 32)
            stamp = _CROCKFORD[digit] + stamp
        return f"{prefix}{stamp}{''.join(choose(_CROCKFORD) for _ in range(16))}"


# The ids of one record mostly contain the same time, and a log has millions of them.
@lru_cache(maxsize=1 << 14)
def _is_real_time(stamp: str) -> bool:
    year, month, day, hour, minute = (int(stamp[start:end]) for start, end in _TIME_PARTS)
    try:
        datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return False
    return True


GRAMMARS: Final = MappingProxyType({"dash": Grammar("dash"), "ulid": Grammar("ulid")})
"""Both grammars by the value of `ids` in the [run_index] table."""
Record = Mapping[str, Any]
"""A record as parsed from its line: a JSON object."""
Problem = tuple[str, str, str, object, object]
"""One problem of a record: code, JSON pointer, detail, expected value, value found."""
_MAX_QUOTED: Final = 80
UNIQUENESS: Final = MappingProxyType(
    {
        "uniqueness_hook": "HOOK_REUSE",
        "uniqueness_scene": "SCENE_COLLISION",
        "uniqueness_scripture": "SCRIPTURE_REUSE",
    }
)
"""The three uniqueness checks of a run (each PASS, FAIL or NOT_RUN), and the type of override that allows a FAIL."""
OVERRIDE_TYPES: Final = MappingProxyType(
    {
        "HOOK_REUSE": "hook_family_id",
        "SCENE_COLLISION": "scene_fingerprint_hash",
        "SCRIPTURE_REUSE": "scripture_packet_id",
        "OTHER": "scope_notes",
    }
)
"""The field that each type of override requires."""
VOID: Final = "VOID"
"""Replaces an id in the update of an override whose run produced no artifact."""
MACHINES: Final = ("C1", "C2", "other")
MAKERS: Final = ("human", "gpt", "windsurf", "claude")


@value_type
class Field:
    """One field of a record: its form, and what content the form allows."""

    # `id`, `ids`, `enum`, `utc`, `text` (not empty), `prose` (may be empty) or `fields` (names of fields)
    form: str
    required: bool = False
    kind: str = ""  # of an `id` or of `ids`
    values: tuple[str, ...] = ()  # of an `enum`; of an `id`, the words that may replace it


@value_type
class Shape:
    """One type of record: its fields, in the order in which they are written."""

    record_type: str
    fields: Mapping[str, Field]


def _enum(*values: str, required: bool = False) -> Field:
    return Field("enum", required, values=values)


def _id(kind: str, *words: str, required: bool = False) -> Field:
    return Field("id", required, kind, words)


RUN: Final = Shape(
    "RUN",
    {
        "record_type": _enum("RUN", required=True),
        "run_id": _id("run", required=True),
        "created_utc": Field("utc", required=True),
        "last_updated_utc": Field("utc"),
        "created_by": _enum(*MAKERS, required=True),
        "machine_id": _enum(*MACHINES, required=True),
        "artist_id": _id("artist", required=True),
        "genre_id": _id("genre", required=True),
        "scripture_packet_id": _id("scripture_packet"),
        "story_id": _id("story"),
        "song_frame_id": _id("song_frame"),
        "work_id": _id("work"),
        "version_ids": Field("ids", kind="version"),
        "qa_gate0": _enum("PASS", "REWRITE_REQUIRED", "PIVOT_REQUIRED", "FAIL"),
        "qa_gate1": _enum("PASS", "PASS_WITH_MINOR_FIXES", "REWRITE_REQUIRED", "PIVOT_REQUIRED", "FAIL"),
        "qa_gate2": _enum("PASS", "FAIL", required=True),
        "qa_gate3": _enum("PASS", "PASS_WITH_MINOR_FIXES", "REWRITE_REQUIRED", "FAIL"),
        **dict.fromkeys(UNIQUENESS, _enum("PASS", "FAIL", "NOT_RUN")),
        "run_log_filepath_abs": Field("text"),
        "notes": Field("prose"),
        "corrects": Field("fields"),
    },
)
"""A run."""
CORRECTABLE: Final = tuple(name for name in RUN.fields if name not in ("record_type", "run_id", "corrects"))
"""The fields that a later record may name in `corrects`."""
OVERRIDE: Final = Shape(
    "OVERRIDE",
    {
        "record_type": _enum("OVERRIDE", required=True),
        "override_id": _id("override", required=True),
        "created_utc": Field("utc", required=True),
        "approved_by": Field("text", required=True),
        "approval_context": Field("text"),
        "override_type": _enum(*OVERRIDE_TYPES, required=True),
        "artist_id": _id("artist", required=True),
        "genre_id": _id("genre", required=True),
        "run_id": _id("run", required=True),
        "work_id": _id("work"),
        "version_id": _id("version"),
        "title": Field("text"),
        "policy_failed": Field("text", required=True),
        "why_allowed": Field("text", required=True),
        "hook_family_id": _id("hook_family"),
        "scene_id": _id("scene"),
        "scene_fingerprint_hash": Field("text"),
        "scripture_packet_id": _id("scripture_packet"),
        "scope_notes": Field("text"),
        "notes": Field("prose"),
    },
)
"""A permission for one run to break one policy."""
OVERRIDE_UPDATE: Final = Shape(
    "OVERRIDE_UPDATE",
    {
        "record_type": _enum("OVERRIDE_UPDATE", required=True),
        "override_id": _id("override", required=True),
        "update_utc": Field("utc", required=True),
        "updated_by": Field("text", required=True),
        "update_type": Field("text", required=True),
        "approval_context": Field("text"),
        "work_id": _id("work", VOID),
        "version_id": _id("version", VOID),
        "title": Field("text"),
        "scene_id": _id("scene", VOID),
        "status": _enum("active", "resolved", "voided", "test_complete_no_artifact_created", required=True),
        "notes": Field("prose"),
    },
)
"""A later change of the status of an override."""


class RecordValidator:
    """Validates the records of one log: its record types, its grammar of ids, and the extra keys of the toml."""

    __slots__ = ("_checks", "_extra_keys", "fingerprint", "line_patterns", "shapes")

    def __init__(self, shapes: tuple[Shape, ...], grammar: Grammar, extra_keys: frozenset[str] = frozenset()) -> None:
        self.shapes = {shape.record_type: shape for shape in shapes}
        self._extra_keys = extra_keys
        # A side index that was written with other rules has another fingerprint and is rebuilt.
        patterns = [form.pattern.pattern for form in grammar.forms.values()]
        self.fingerprint = sha256_hex(repr((patterns, shapes, sorted(extra_keys))).encode("utf-8", "surrogatepass"))
        self._checks = {
            shape.record_type: {name: _make_check(field, grammar) for name, field in shape.fields.items()}
            for shape in shapes
        }
        # The overrides log has none: it is short, and what an override requires depends on its type.
        self.line_patterns = LinePatterns(RUN.fields if RUN in shapes else {}, grammar, extra_keys)

    def find_problems(self, value: object) -> list[Problem]:
        """Return every problem of a parsed value, in the order of its keys; empty for a valid record of this log."""
        if not isinstance(value, dict):
            return [("RI010", "", "the line is not a JSON object", None, None)]
        record_type = value.get("record_type")
        shape = self.shapes.get(record_type) if isinstance(record_type, str) else None
        if shape is None:
            detail = "the record_type does not belong in this log"
            return [("RI010", "/record_type", detail, " or ".join(self.shapes), format_quoted(record_type))]
        checks = self._checks[shape.record_type]
        problems: list[Problem] = []
        for name, content in value.items():
            check = checks.get(name)
            if check is not None:
                for code, pointer, detail, expected, got in check(content) or ():
                    problems.append((code, _format_pointer(name) + pointer, detail, expected, got))
            elif name not in self._extra_keys:
                problems.append(("RI013", _format_pointer(name), repr(name[:_MAX_QUOTED]), None, None))
        for name, field in shape.fields.items():
            if field.required and name not in value:
                problems.append(("RI011", "", name, name, None))
        if not problems and shape is OVERRIDE:
            override_type = value["override_type"]
            required = OVERRIDE_TYPES[override_type]
            if required not in value:
                problems.append(("RI040", "", f"{override_type} needs {required}", required, None))
        return problems


_Check = Callable[[Any], "list[Problem] | None"]


def _make_check(field: Field, grammar: Grammar) -> _Check:
    """Return a function that returns the problems of a field's content, None or [] if it is valid."""
    if field.form == "id":
        return lambda content: (
            None if content in field.values else _check_id(content, field.kind, grammar, field.values)
        )
    if field.form == "ids":
        return lambda content: _check_ids(content, field.kind, grammar)
    if field.form == "enum":
        values = frozenset(field.values)
        expected = " | ".join(field.values)
        return lambda content: (
            None if type(content) is str and content in values else _make_form_problems(expected, content)
        )
    if field.form == "utc":
        return _check_utc
    if field.form == "fields":
        return _check_field_names
    if field.form == "prose":
        return lambda content: None if isinstance(content, str) else _make_form_problems("text", content)
    return lambda content: (
        None if isinstance(content, str) and content.strip() else _make_form_problems("text that is not empty", content)
    )


def _check_id(content: Any, kind: str, grammar: Grammar, words: Sequence[str] = ()) -> list[Problem] | None:
    if type(content) is not str:
        return _make_form_problems("text", content)
    code = grammar.find_problem(kind, content)
    if not code:
        return None
    noun = f"{'an' if kind[0] in 'ao' else 'a'} {kind.replace('_', ' ')} id"
    expected = " or ".join((grammar.forms[kind].description, *words))
    return [(code, "", noun, expected, format_quoted(content))]


def _check_ids(content: Any, kind: str, grammar: Grammar) -> list[Problem] | None:
    if not isinstance(content, list):
        return _make_form_problems("a list of ids", content)
    problems: list[Problem] = []
    for number, item in enumerate(content):
        problems += [(problem[0], f"/{number}", *problem[2:]) for problem in _check_id(item, kind, grammar) or ()]
    texts = [item for item in content if isinstance(item, str)]
    if len(set(texts)) != len(texts):
        problems.append(("RI012", "", "an id is duplicated in the list", "each id once", None))
    return problems


def _check_utc(content: Any) -> list[Problem] | None:
    if isinstance(content, str) and second_of(content) is not None:
        return None
    return [("RI016", "", "to the minute or to the second, with Z", FORM, format_quoted(content))]


def _check_field_names(content: Any) -> list[Problem] | None:
    if not isinstance(content, list) or not content or not all(isinstance(item, str) for item in content):
        return _make_form_problems("a list of field names", content)
    unknown = sorted(set(content).difference(CORRECTABLE))
    return _make_form_problems("names of fields", unknown) if unknown else None


def _make_form_problems(expected: str, content: object) -> list[Problem]:
    return [("RI012", "", f"expected {expected}", expected, format_quoted(content))]


def format_quoted(content: object) -> str:
    """Return the text of a value, shortened to 80 characters and encodable, for a finding; no quotes are added."""
    text = content if isinstance(content, str) else repr(content)
    # A JSON escape can be half of a surrogate pair, which a finding could not be printed with.
    return encodable(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")


def _format_pointer(name: str) -> str:
    return "/" + encodable(name[:_MAX_QUOTED]).replace("~", "~0").replace("/", "~1")
