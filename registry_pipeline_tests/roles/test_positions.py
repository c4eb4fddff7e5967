"""The reported position of a value is where the value is in the text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.json_text import JsonPath, Lines, find_spans, format_pointer
from registry_pipeline_tests.roles.json_strategies import VALUES, texts_of


def places(value: Any, place: JsonPath = ()) -> Iterator[tuple[JsonPath, Any]]:
    """Yield every position in a value, and what is there."""
    yield place, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*place, index))


@given(VALUES.flatmap(lambda value: st.tuples(st.just(value), texts_of(value))))
def test_the_text_at_a_position_is_its_value(pair: tuple[Any, str]) -> None:
    value, text = pair
    wanted = dict(places(value))

    spans = find_spans(text, wanted)

    assert spans.keys() == wanted.keys()
    assert all(json.loads(text[begin:end]) == wanted[place] for place, (begin, end) in spans.items())


@given(VALUES.flatmap(lambda value: st.tuples(st.just(value), texts_of(value))), st.data())
def test_one_position_is_found_like_all_positions(pair: tuple[Any, str], data: st.DataObject) -> None:
    value, text = pair
    wanted = dict(places(value))
    one = data.draw(st.sampled_from(list(wanted)))

    assert find_spans(text, [one]) == {one: find_spans(text, wanted)[one]}


def test_a_missing_position_is_left_out() -> None:
    assert find_spans('{"a": [1]}', [("b",), ("a", 1), ("a", 0, "c")]) == {}


def test_the_last_value_of_a_duplicate_key_counts() -> None:
    assert find_spans('{"a": 1, "a": 22}', [("a",)]) == {("a",): (14, 16)}


@given(st.text(st.sampled_from("a\n\r\t🎬é"), max_size=30), st.data())
def test_a_line_ends_with_a_line_feed_and_a_column_counts_characters(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))

    line, column = map(int, Lines(text).location(at).split(":"))

    before = text[:at].split("\n")
    assert (line, column) == (len(before), len(before[-1]) + 1)


def test_a_pointer_escapes_tilde_and_solidus() -> None:
    assert format_pointer(("a/b", 0, "m~n", "")) == "/a~1b/0/m~0n/"
