"""Missing keys are looked up in the schema, and the library finds all other problems: together nothing is lost."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline import schema
from registry_pipeline.schema import SchemaProblem, check_bytes, make_validator

OBJECT: Final = {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}}}
RECURSIVE: Final = {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/o"}}}
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "flat": OBJECT | {"additionalProperties": False},
    "nested": {"required": ["x"], "properties": {"x": OBJECT, "a": OBJECT}},
    "items": {"type": "array", "items": OBJECT},
    "a definition": {"items": {"$ref": "#/$defs/o"}, "$defs": {"o": OBJECT}},
    "a definition beside other keywords": {"items": {"$ref": "#/$defs/o", "minProperties": 2}, "$defs": {"o": OBJECT}},
    "a definition inside itself": {
        "$ref": "#/$defs/o",
        "$defs": {"o": {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/o"}}}},
    },
    "the document inside itself": OBJECT | {"properties": {"a": {"$ref": "#"}}},
    "a part that is referred to": {"properties": {"a": OBJECT, "b": {"not": {"$ref": "#/properties/a"}}}},
    "alternatives": {"anyOf": [OBJECT, {"type": "array", "items": OBJECT}], "required": ["x"]},
    "first items": {"prefixItems": [OBJECT], "items": {"required": ["x"]}},
    "a condition": {"if": {"required": ["a"]}, "then": {"required": ["x"]}, "properties": {"a": OBJECT}},
    "a key named required": {"properties": {"required": {"required": ["a"]}, "properties": OBJECT}},
    "no object": {"properties": {"a": True, "b": False}, "items": False},
}
KEYS: Final = st.sampled_from(["a", "b", "x", "required", "properties"])
VALUES: Final = st.recursive(
    st.sampled_from([None, "text", 1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def by_the_library(document: dict[str, Any], value: object) -> list[SchemaProblem]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_separate_required", lambda whole: ({}, whole))
        return make_validator(json.dumps(document).encode())(value)


def without_hints(problems: list[SchemaProblem]) -> list[tuple[str, str]]:
    # A part that was behind a reference names its keys, so that the nearest one can be proposed.
    return [(problem.pointer, problem.message.partition(" (did you mean")[0]) for problem in problems]


@pytest.mark.parametrize("name", SCHEMAS)
@given(value=VALUES)
def test_the_problems_are_those_that_the_library_alone_finds(name: str, value: object) -> None:
    document = SCHEMAS[name]

    problems = make_validator(json.dumps(document).encode())(value)

    assert without_hints(problems) == without_hints(by_the_library(document, value))


def test_all_missing_keys_of_an_object_are_one_problem() -> None:
    names = [f"k{number}" for number in range(500)]
    document = {"required": names, "properties": {"k0": True}, "additionalProperties": False}

    problems = make_validator(json.dumps(document).encode())({"other": 1})

    assert [problem.message[:20] for problem in problems] == ["missing keys: k0, k1", "unknown keys: other"]


def test_lines_that_are_known_are_not_checked_again_and_others_keep_their_numbers() -> None:
    data = b'{"a":1}\n{"b":1}\n{"c":1}\n{"y":1}\n{"d":1}\n'
    known = b'{"a":1}\n{"c":1}\n{"x":1}\n{"x":2}\n{"d":1}\n'

    problems = list(check_bytes("a.jsonl", data, make_validator(b'{"not": {}}'), known))

    assert [problem.location for problem in problems] == ["line 2", "line 4"]


def test_a_blank_line_is_reported_whatever_is_known() -> None:
    data = b'{"a":1}\n\n{"c":1}\n'

    (problem,) = check_bytes("a.jsonl", data, make_validator(b"{}"), b'{"a":1}\n{"c":1}\n')

    assert (problem.code, problem.location) == ("SCHEMA_UNPARSABLE", "line 2")
