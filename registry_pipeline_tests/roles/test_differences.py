"""The differences between two JSON values are complete and correct."""

from __future__ import annotations

import json
from typing import Any

import rfc8785
from hypothesis import given

from registry_pipeline.registries.roles.json_text import (
    MAX_DIFFERENCES,
    Difference,
    find_differences,
    format_differences,
)
from registry_pipeline_tests.roles.json_strategies import VALUES


@given(VALUES, VALUES)
def test_values_differ_exactly_if_their_canonical_bytes_differ(old: Any, new: Any) -> None:
    assert (find_differences(old, new) == ()) == (rfc8785.dumps(old) == rfc8785.dumps(new))


@given(VALUES)
def test_a_value_written_and_read_again_has_no_difference(value: Any) -> None:
    assert find_differences(value, json.loads(json.dumps(value))) == ()


def test_differences_have_a_json_pointer_and_both_values() -> None:
    old = {"a": {"b/c": [1, 2]}, "gone": None}
    new = {"a": {"b/c": [1, 3, "x"]}, "new": "é\x1b"}

    assert find_differences(old, new) == (
        Difference("/a/b~1c/1", "2", "3"),
        Difference("/a/b~1c/2", None, '"x"'),
        Difference("/gone", "null", None),
        Difference("/new", None, '"é\\u001b"'),
    )


def test_the_end_that_a_shorter_array_lacks_is_a_difference() -> None:
    assert find_differences([1, 2], [1]) == (Difference("/1", "2", None),)


def test_another_kind_of_value_is_one_difference() -> None:
    assert find_differences({"a": [1]}, {"a": {"b": 1}}) == (Difference("/a", "[1]", '{"b": 1}'),)


def test_the_number_of_differences_is_limited() -> None:
    found = find_differences({"list": list(range(1000))}, {"list": [-1 - n for n in range(1000)]})

    assert len(found) == MAX_DIFFERENCES + 1
    assert found[-1].new == "more differences, which are not listed"


def test_long_values_are_cut() -> None:
    (found,) = find_differences("a" * 10_000, {"k" * 10_000: ["b" * 10_000] * 10_000})

    assert len(found.old or "") < 250
    assert len(found.new or "") < 250


def test_a_message_contains_the_first_three() -> None:
    words = format_differences(find_differences([1, 2, 3, 4], [5, 6, 7, 8]))

    assert words == "; /0: 1 became 5; /1: 2 became 6; /2: 3 became 7 and more"
