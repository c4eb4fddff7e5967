"""Strategies for JSON values and for JSON text with errors."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

EDGES = (
    'aZ09"\\/\b\f\n\r\t\0\x01\x1f\x7f\x80[]{}:,.1e'
    "\u00e9e\u0301\u2028\ud7ff\ue000\ufb01\uffff\U00010000\U0001f3ac\U0010ffff"
)
TEXTS = st.text(st.one_of(st.sampled_from(EDGES), st.characters(exclude_categories=["Cs"])), max_size=6)
INTEGERS = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.sampled_from([2**53 - 1, 1 - 2**53, 10**15, 10**16 // 2]),
)
NUMBERS = st.one_of(
    INTEGERS,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e20, 1e21, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308, 0.1, 1e23, 2.0**53]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)

_BLANKS = st.sampled_from(["", " ", "\n", "\t", "\r\n", "  "])


@st.composite
def texts_of(draw: st.DrawFn, value: Any) -> str:
    """Return one of the ways to write a value: blanks, order of keys and escapes are drawn."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        members = [
            f"{draw(string_texts(key))}{draw(_BLANKS)}:{draw(_BLANKS)}{draw(texts_of(value[key]))}" for key in keys
        ]
        return "{" + draw(_BLANKS) + f"{draw(_BLANKS)},".join(members) + draw(_BLANKS) + "}"
    if isinstance(value, list):
        return (
            "[" + draw(_BLANKS) + f",{draw(_BLANKS)}".join(draw(texts_of(item)) for item in value) + draw(_BLANKS) + "]"
        )
    return draw(string_texts(value)) if isinstance(value, str) else json.dumps(value)


@st.composite
def string_texts(draw: st.DrawFn, text: str) -> str:
    """Return one of the ways to write a string."""
    plain = json.dumps(text, ensure_ascii=draw(st.booleans()))
    if text and draw(st.integers(0, 3)) == 0:
        head = "".join(f"\\u{unit:04X}" for unit in units(text[0]))
        return f'"{head}{json.dumps(text[1:], ensure_ascii=False)[1:]}'
    return plain


def units(character: str) -> list[int]:
    """Return the UTF-16 units of a character."""
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


FRAGMENTS = [
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        " ",
        "\n",
        "0",
        "1",
        "-",
        "+",
        ".",
        "e",
        "E",
        "null",
        "true",
        "NaN",
        "Infinity",
    ),
    *('"a"', '"k":', '"k":1', "1e400", "9007199254740991", "9007199254740992", "-9007199254740992", "9" * 4400, "1E5"),
    *(r"\u", r"\ud83c", r"\udfac", r"\\ud83c", r"\u00e9", "\ufeff", "\u2028", "\x00", "\x1f", "//", "[" * 64, "]" * 64),
]
"""What text is spoiled with."""


@st.composite
def spoiled_texts(draw: st.DrawFn) -> str:
    """Return JSON text in which something was put in, taken out or doubled."""
    text = draw(texts_of(draw(VALUES)))
    for _ in range(draw(st.integers(0, 3))):
        at, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        kept = draw(st.sampled_from(["", text[at:end], text[at:end] * 2]))
        text = text[:at] + draw(st.sampled_from(["", *FRAGMENTS])) + kept + text[end:]
    return text
