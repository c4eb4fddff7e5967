"""The fast parser accepts exactly the texts in which the slow one finds no error, and gives the same values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.strict_json import MAX_DEPTH, _read_fast, find_defects, parse_strict_bytes
from registry_pipeline_tests.roles.json_strategies import FRAGMENTS, VALUES, spoiled_texts, texts_of


def taken(text: str) -> bool:
    """Tell whether the fast road vouches for a text."""
    try:
        _read_fast(text)
    except (ValueError, RecursionError):
        return False
    return True


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (1 + max(map(depth, inner), default=0)) if isinstance(value, (dict, list)) else 0


@given(spoiled_texts())
@example('{"a":1,"\\u0061":2}')
@example('"\\ud83c\\\\udfac"')
@example(r'"\\ud83c\udfac"')
@example(r'"\\\ud83c\udfac"')
@example("[" * 64 + "]" * 64)
@example("[" * 65 + "]" * 65)
@example('{"a":[' * 32 + "]}" * 32)
@example('{"a":[' * 33 + "]}" * 33)
@example('"' + "[" * 100 + '"')
@example('["\\\\", "[[[", "\\"[", "]"]')
@example("-9007199254740992")
@example("1e999")
def test_the_fast_and_the_slow_parser_accept_the_same_texts(text: str) -> None:
    defects = find_defects(text)

    # Deep text that is sound is only doubted, and then taken by the slow road.
    assert not taken(text) or not defects
    assert taken(text) or defects or text.count("[") + text.count("{") > MAX_DEPTH // 2


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join))
def test_the_fast_and_the_slow_parser_agree_on_random_fragments(text: str) -> None:
    assert taken(text) == (not find_defects(text)) or text.count("[") > MAX_DEPTH // 2


@given(spoiled_texts())
def test_the_accepted_syntax_is_that_of_pythons_parser(text: str) -> None:
    def constant(token: str) -> None:
        raise ValueError(token)

    try:
        json.loads(text, parse_constant=constant, parse_int=str)
        sound = not text.startswith("\ufeff")
    except ValueError:
        sound = False

    codes = {defect.code for defect in find_defects(text)}

    assert ("RR028" not in codes and "RR029" not in codes) == sound or "RR029" in codes


@given(VALUES.flatmap(lambda value: st.tuples(st.just(value), texts_of(value))))
def test_a_valid_text_gives_its_value(pair: tuple[Any, str]) -> None:
    value, text = pair

    read = parse_strict_bytes(text.encode("utf-8"))

    assert read.defects == ()
    assert read.value == value
    assert json.dumps(read.value, sort_keys=True) == json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("levels", [1, 31, 32, 33, 63, 64, 65, 66, 127, 128, 129, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":[[', "]]}")])
def test_sixty_four_levels_are_accepted_and_no_more(levels: int, opening: str, closing: str) -> None:
    times = levels // (opening.count("[") + opening.count("{"))
    text = opening * times + "1" + closing * times

    codes = [defect.code for defect in parse_strict_bytes(text.encode()).defects]

    assert codes == ([] if times * (opening.count("[") + opening.count("{")) <= MAX_DEPTH else ["RR029"])


@given(spoiled_texts())
def test_an_accepted_text_is_not_too_deep(text: str) -> None:
    read = parse_strict_bytes(text.encode("utf-8"))

    assert not read.readable or depth(read.value) <= MAX_DEPTH


@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    read = parse_strict_bytes(data)

    assert read.readable or read.defects
