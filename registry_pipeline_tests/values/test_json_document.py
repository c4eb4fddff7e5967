"""An indented document has the bytes that the json module of Python gives."""

from __future__ import annotations

import json
import math
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_document

_TEXT = st.text(st.characters(codec=None))
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_KEYS = _TEXT | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def _nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    return (
        lists | lists.map(tuple) | st.dictionaries(_TEXT, inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=3)
    )


@given(st.recursive(_LEAVES, _nest, max_leaves=20))
def test_every_value_has_the_bytes_of_the_json_module(value: Any) -> None:
    assert json_document(value) == (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    A = "a"


@pytest.mark.parametrize(
    "value",
    [[], {}, (), [[]], {"a": {}}, [{}], [Number.ONE], {"a": Word.A}, {Word.A: [()]}, [True, 1, 1.0, -0.0, 1e300]],
)
def test_special_values_have_the_bytes_of_the_json_module(value: Any) -> None:
    assert json_document(value) == (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": -math.inf}, {1: math.nan}])
def test_a_number_that_json_lacks_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_document(value)


@pytest.mark.parametrize("value", [b"a", [object()], {"a": {1}}, {("a",): 1}])
def test_a_value_that_json_lacks_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        json_document(value)
