"""Schemas of a repository: what makes one unusable, and patterns that take bounded time."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from registry_pipeline import schema
from registry_pipeline.schema import make_validator
from registry_pipeline_tests.laws import examples

EXPONENTIAL = r"^([a-z]+)+$"
BACK_REFERENCE = r"^(a*)*b\1$"
LONG = "a" * 40 + "!"


def read(schema: Any) -> Any:
    return make_validator(json.dumps(schema).encode())


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"pattern": "a{1,99999999999}"}, '/pattern "a{1,99999999999}" is not a valid pattern, or its repetitions are'),
        ({"pattern": "(a{1000}){1000}"}, '/pattern "(a{1000}){1000}" is not a valid pattern'),
        ({"properties": {"a": {"pattern": "("}}}, '/properties/a/pattern "(" is not a valid pattern'),
        ({"patternProperties": {"a{1,99999999999}": True}}, "is not a valid pattern"),
        ({"pattern": "(" * 5000 + ")" * 5000}, "(((… is not a valid pattern"),
        ({"pattern": 7}, '/pattern 7 is not of type "string"'),
        ({"$ref": "other.json"}, "it refers to something that it does not contain"),
        ({"$ref": "#/$defs/absent"}, "it refers to something that it does not contain"),
    ],
)
def test_a_pattern_that_cannot_be_applied_in_bounded_time_makes_a_schema_unusable(schema: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(schema)


@pytest.mark.parametrize("depth", [150, 300, 900, 100_000])
def test_a_schema_that_is_nested_too_deeply_is_unusable(depth: int) -> None:
    text = '{"properties": {"a": ' * depth + "true" + "}}" * depth

    with pytest.raises(ValueError, match=r"nested too deeply|Recursion"):
        make_validator(text.encode())


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "registry"}, "/type"),
        ({"minimum": "does not exist"}, "/minimum"),
        ({"minimum": 'x is not a "regex"'}, "/minimum"),
    ],
)
def test_the_words_of_a_schema_do_not_decide_what_is_wrong_with_it(schema: Any, pointer: str) -> None:
    with pytest.raises(ValueError, match=f"^{pointer} ") as caught:
        read(schema)

    assert "refers to" not in str(caught.value)
    assert "pattern" not in str(caught.value)


_VIOLATIONS: dict[str, tuple[Any, Any]] = {
    "type": ("string", 5),
    "enum": ([1], 5),
    "const": (1, 5),
    "pattern": ("a", "b"),
    "minimum": (6, 5),
    "maximum": (4, 5),
    "exclusiveMinimum": (5, 5),
    "exclusiveMaximum": (5, 5),
    "multipleOf": (2, 5),
    "minLength": (2, "b"),
    "maxLength": (2, "bbb"),
    "minItems": (1, []),
    "maxItems": (0, [5]),
    "minProperties": (1, {}),
    "maxProperties": (0, {"a": 5}),
    "uniqueItems": (True, [5, 5]),
    "contains": ({"type": "string"}, [5]),
    "anyOf": ([False], 5),
    "oneOf": ([True, True], 5),
    "not": (True, 5),
}


def test_every_keyword_with_words_of_its_own_is_worded_with_them() -> None:
    assert set(schema._WORDS) == set(_VIOLATIONS)
    for keyword, (stated, value) in _VIOLATIONS.items():
        (problem,) = read({keyword: stated})(value)
        # The words up to the limit of the schema.
        words = schema._WORDS[keyword].partition("{")[0]
        if keyword != "anyOf":
            assert problem.message.startswith(f"{value!r} {words}"), keyword


_NESTED: Any = {"$schema": Draft202012Validator.META_SCHEMA["$id"], "properties": {"a": {"$ref": "#"}}}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("schema", "value", "pointer"),
    [
        ({"pattern": EXPONENTIAL}, LONG, ""),
        ({"patternProperties": {EXPONENTIAL: False}, "additionalProperties": False}, {LONG: 1}, ""),
        ({"patternProperties": {EXPONENTIAL: True}, "additionalProperties": {"type": "null"}}, {LONG: 1}, f"/{LONG}"),
        ({"propertyNames": {"pattern": EXPONENTIAL}}, {LONG: 1}, ""),
        (_NESTED | {"pattern": EXPONENTIAL}, {"a": {"a": LONG}}, "/a/a"),
    ],
)
def test_a_pattern_that_backtracks_for_ever_with_re_takes_bounded_time(schema: Any, value: Any, pointer: str) -> None:
    assert [problem.pointer for problem in read(schema)(value)] == [pointer]


@pytest.mark.parametrize("schema", [{"pattern": BACK_REFERENCE}, {"not": {"pattern": BACK_REFERENCE}}])
def test_a_text_on_which_a_pattern_takes_too_many_steps_is_never_valid(schema: Any) -> None:
    (problem,) = read(schema)(LONG)

    assert problem.message == "a pattern of the schema takes too many steps on this text; simplify it"


@pytest.mark.parametrize("value", [10**400, -(10**4000)], ids=["400 digits", "4000 digits"])
def test_a_number_beyond_a_double_is_compared_exactly(value: int) -> None:
    assert read({"multipleOf": 10})(value) == []
    assert [problem.message.split(" is ")[-1] for problem in read({"multipleOf": 7})(value)] == ["not a multiple of 7"]


def test_half_of_a_surrogate_pair_is_a_character_that_a_pattern_can_match() -> None:
    assert read({"pattern": "^.$"})("\ud800") == []
    assert len(read({"pattern": "^[a-z]$"})("\ud800")) == 1


_NAMES = st.text("abx-", max_size=3)
_PATTERNS = st.sampled_from(["^x-", "a", "^[ab]+$", "b.", "^$", "-$"])
_LEAVES = st.sampled_from([True, False, {"type": "string"}, {"pattern": "a"}, {"pattern": "^b*$"}, {"type": "integer"}])
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(_NAMES, inner, max_size=2),
            "patternProperties": st.dictionaries(_PATTERNS, inner, max_size=2),
            "additionalProperties": inner,
            "propertyNames": inner,
            "not": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)
_VALUES = st.recursive(
    _NAMES | st.integers(0, 2), lambda inner: st.dictionaries(_NAMES, inner, max_size=3), max_leaves=6
)


@given(_SCHEMAS, _VALUES)
@examples(500)
def test_jsonschema_as_the_referee_gives_the_same_verdict(schema: Any, value: Any) -> None:
    """The patterns here mean the same to both engines."""
    document = {"allOf": [schema]}

    assert (read(document)(value) == []) == Draft202012Validator(document).is_valid(value)
