"""What a record may state: RUN, OVERRIDE and OVERRIDE_UPDATE, field by field (seed 004, section 2; SPEC 11).

A field that is not known is left out; null is no value. Every problem of a record is told, not the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.canonical import FORM, second_of
from registry_pipeline.registries.run_index.ids import Grammar, Kind
from registry_pipeline.values import value_type

Record = Mapping[str, Any]
"""A record as parsed from its line: a JSON object."""
Told = tuple[str, str, str, object, object]
"""One problem: code, JSON pointer, detail, what was expected, what was found."""
_SHOWN: Final = 80
_GATE0: Final = ("PASS", "REWRITE_REQUIRED", "PIVOT_REQUIRED", "FAIL")
_GATE1: Final = ("PASS", "PASS_WITH_MINOR_FIXES", "REWRITE_REQUIRED", "PIVOT_REQUIRED", "FAIL")
_GATE3: Final = ("PASS", "PASS_WITH_MINOR_FIXES", "REWRITE_REQUIRED", "FAIL")
UNIQUENESS: Final = ("uniqueness_hook", "uniqueness_scene", "uniqueness_scripture")
"""The three uniqueness checks of a run, each PASS, FAIL or NOT_RUN."""
OVERRIDE_TYPES: Final = MappingProxyType(
    {
        "HOOK_REUSE": "hook_family_id",
        "SCENE_COLLISION": "scene_fingerprint_hash",
        "SCRIPTURE_REUSE": "scripture_packet_id",
        "OTHER": "scope_notes",
    }
)
"""Every type of override, and the field that it requires."""
MACHINES: Final = ("C1", "C2", "other")
MAKERS: Final = ("human", "gpt", "windsurf", "claude")


@value_type
class Field:
    """One field: what it holds (`id`, `ids`, `enum`, `utc`, `text`, `fields`), and whether a record needs it."""

    holds: str
    required: bool = False
    kind: Kind = "run"
    values: tuple[str, ...] = ()


@value_type
class Shape:
    """One type of record: its fields in the order in which they are written."""

    record_type: str
    fields: Mapping[str, Field]
    required: tuple[str, ...]


def _shape(record_type: str, fields: Mapping[str, Field]) -> Shape:
    return Shape(record_type, fields, tuple(name for name, each in fields.items() if each.required))


def _enum(*values: str, required: bool = False) -> Field:
    return Field("enum", required, values=values)


def _id(kind: Kind, *, required: bool = False) -> Field:
    return Field("id", required, kind)


RUN: Final = _shape(
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
        "qa_gate0": _enum(*_GATE0),
        "qa_gate1": _enum(*_GATE1),
        "qa_gate2": _enum("PASS", "FAIL", required=True),
        "qa_gate3": _enum(*_GATE3),
        "uniqueness_hook": _enum("PASS", "FAIL", "NOT_RUN"),
        "uniqueness_scene": _enum("PASS", "FAIL", "NOT_RUN"),
        "uniqueness_scripture": _enum("PASS", "FAIL", "NOT_RUN"),
        "run_log_filepath_abs": Field("text"),
        "notes": Field("prose"),
        "corrects": Field("fields"),
    },
)
"""A run: seed 004, 2.1, with `last_updated_utc` (3.1) and `corrects` (SPEC 11)."""
OVERRIDE: Final = _shape(
    "OVERRIDE",
    {
        "record_type": _enum("OVERRIDE", required=True),
        "override_id": _id("override", required=True),
        "created_utc": Field("utc", required=True),
        "approved_by": Field("text", required=True),
        "override_type": _enum(*OVERRIDE_TYPES, required=True),
        "artist_id": _id("artist", required=True),
        "genre_id": _id("genre", required=True),
        "run_id": _id("run", required=True),
        "policy_failed": Field("text", required=True),
        "why_allowed": Field("text", required=True),
        "hook_family_id": _id("hook_family"),
        "scene_fingerprint_hash": Field("text"),
        "scripture_packet_id": _id("scripture_packet"),
        "scope_notes": Field("text"),
        "notes": Field("prose"),
    },
)
"""A person allows a run what a policy forbids (SPEC 11)."""
OVERRIDE_UPDATE: Final = _shape(
    "OVERRIDE_UPDATE",
    {
        "record_type": _enum("OVERRIDE_UPDATE", required=True),
        "override_id": _id("override", required=True),
        "update_utc": Field("utc", required=True),
        "updated_by": Field("text", required=True),
        "update_type": Field("text", required=True),
        "status": _enum("active", "resolved", "voided", "test_complete_no_artifact_created", required=True),
        "notes": Field("prose"),
    },
)
"""What became of an override later (SPEC 11)."""


class Reader:
    """Judges the records of one log: its types, its grammar of ids, and the further keys that the toml allows."""

    __slots__ = ("_checks", "_extra", "fingerprint", "grammar", "shapes")

    def __init__(self, shapes: tuple[Shape, ...], grammar: Grammar, extra_keys: frozenset[str] = frozenset()) -> None:
        self.grammar = grammar
        self.shapes = {shape.record_type: shape for shape in shapes}
        self._extra = extra_keys
        self.fingerprint = " ".join((grammar.name, *self.shapes, *sorted(map(repr, extra_keys))))
        self._checks = {
            shape.record_type: {name: _check_of(each, grammar, shape) for name, each in shape.fields.items()}
            for shape in shapes
        }

    def problems(self, value: object) -> list[Told]:
        """Return every problem of a parsed value, in the order of its keys; empty if it is a record of this log."""
        if not isinstance(value, dict):
            return [("RI010", "", "it is no object", None, None)]
        told = value.get("record_type")
        shape = self.shapes.get(told) if isinstance(told, str) else None
        if shape is None:
            expected = " or ".join(self.shapes)
            return [("RI010", "/record_type", "no record of this log", expected, _shown(told))]
        checks = self._checks[shape.record_type]
        found: list[Told] = []
        for name, held in value.items():
            check = checks.get(name)
            if check is not None:
                problem = check(held)
                if problem:
                    found += [(each[0], _pointer(name) + each[1], *each[2:]) for each in problem]
            elif name not in self._extra:
                found.append(("RI013", _pointer(name), repr(name[:_SHOWN]), None, None))
        found += [("RI011", "", name, name, None) for name in shape.required if name not in value]
        return found if found or shape.record_type != "OVERRIDE" else list(_type_problems(value))


def _type_problems(record: Record) -> Iterator[Told]:
    needed = OVERRIDE_TYPES[record["override_type"]]
    if needed not in record:
        yield ("RI040", "", f"{record['override_type']} needs {needed}", needed, None)


_Check = Callable[[Any], "list[Told] | None"]


def _check_of(each: Field, grammar: Grammar, shape: Shape) -> _Check:
    if each.holds == "id":
        is_sound = grammar.quickly(each.kind)
        return lambda held: None if type(held) is str and is_sound(held) else _check_id(held, each.kind, grammar)
    if each.holds == "ids":
        return lambda held: _check_ids(held, each.kind, grammar)
    if each.holds == "enum":
        values = frozenset(each.values)
        told = " | ".join(each.values)
        return lambda held: None if type(held) is str and held in values else _wrong(told, held)
    if each.holds == "utc":
        return _check_utc
    if each.holds == "fields":
        known = frozenset(shape.fields) - {"record_type", "run_id", "corrects"}
        return lambda held: _check_fields(held, known)
    if each.holds == "prose":
        return lambda held: None if isinstance(held, str) else _wrong("text", held)
    return lambda held: None if isinstance(held, str) and held.strip() else _wrong("text that is not empty", held)


def _check_id(held: Any, kind: Kind, grammar: Grammar) -> list[Told] | None:
    if type(held) is not str:
        return _wrong("text", held)
    problem = grammar.problem(kind, held)
    if not problem:
        return None
    code = "RI014" if problem == "form" else "RI015"
    told = f"{'an' if kind[0] in 'ao' else 'a'} {kind.replace('_', ' ')} id"
    return [(code, "", told, grammar.forms[kind].told, _shown(held))]


def _check_ids(held: Any, kind: Kind, grammar: Grammar) -> list[Told] | None:
    if not isinstance(held, list):
        return _wrong("a list of ids", held)
    found: list[Told] = []
    for number, each in enumerate(held):
        found += [(told[0], f"/{number}", *told[2:]) for told in _check_id(each, kind, grammar) or ()]
    texts = [each for each in held if isinstance(each, str)]
    if len(set(texts)) != len(texts):
        found.append(("RI012", "", "an id stands twice in the list", "each id once", None))
    return found or None


def _check_utc(held: Any) -> list[Told] | None:
    if isinstance(held, str) and second_of(held) is not None:
        return None
    return [("RI016", "", "to the minute or to the second, with Z", FORM, _shown(held))]


def _check_fields(held: Any, known: frozenset[str]) -> list[Told] | None:
    if not isinstance(held, list) or not held or not all(isinstance(each, str) for each in held):
        return _wrong("a list of field names", held)
    unknown = sorted(set(held) - known)
    return _wrong("names of fields", unknown) if unknown else None


def _wrong(expected: str, held: object) -> list[Told]:
    return [("RI012", "", f"{expected} is expected", expected, _shown(held))]


def _shown(held: object) -> str:
    text = repr(held) if not isinstance(held, str) else held
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _pointer(name: str) -> str:
    shown = name[:_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")
    return "/" + shown.replace("~", "~0").replace("/", "~1")
