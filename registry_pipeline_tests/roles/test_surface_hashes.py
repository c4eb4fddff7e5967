"""Surface hashes follow RFC 8785: its examples, the package rfc8785, and the fast encoder."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.roles import pack_reader
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.pack_reader import (
    canonical_json_sha256,
    dump_parsed_json,
    parsed_json_sha256,
)
from registry_pipeline_tests.roles.base_pack import base_pack, contract, role, written
from registry_pipeline_tests.roles.json_strategies import OBJECTS, texts_of

# RFC 8785, appendix B: bits of a double, and the number as canonical text.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]
# RFC 8785, 3.2.2 and 3.2.3.
STRING = r'"\u20ac$\u000F\u000aA' + "'" + r'\u0042\u0022\u005c\\\"\/"'
NUMBER_LIST = "[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]"
KEYS = ["\\u20ac", "\\r", "\\ufb33", "1", "\\ud83d\\ude00", "\\u0080", "\\u00f6"]
SORTED_KEYS = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
EXAMPLES = [
    (f'{{"n": {NUMBER_LIST}}}', '{"n":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'),
    (f'{{"s": {STRING}}}', '{"s":"\u20ac$\\u000f\\nA' + "'" + 'B\\"\\\\\\\\\\"/"}'),
    ('{"l": [null, true, false]}', '{"l":[null,true,false]}'),
    ("{" + ", ".join(f'"{key}": 0' for key in KEYS) + "}", "{" + ",".join(f'"{key}":0' for key in SORTED_KEYS) + "}"),
]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_the_rfc_says(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))

    assert parsed_json_sha256({"n": number}) == canonical_json_sha256({"n": number}) == sha256(f'{{"n":{text}}}')


@pytest.mark.parametrize(("source", "canonical"), EXAMPLES)
def test_the_examples_of_the_rfc_are_reproduced(source: str, canonical: str) -> None:
    value = json.loads(source)

    assert parsed_json_sha256(value) == canonical_json_sha256(value) == sha256(canonical)


@pytest.fixture(scope="module", autouse=True, params=[0, sys.maxsize], ids=["orjson", "json"])
def encoder(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both encoders: the first surfaces of a command are written by json, the others by orjson."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_reader, "_FEW_SURFACES", request.param)
        yield


@given(OBJECTS)
def test_the_fast_encoder_agrees_with_rfc8785(value: dict[str, Any]) -> None:
    assert parsed_json_sha256(value) == hashlib.sha256(rfc8785.dumps(value)).hexdigest()


@given(st.dictionaries(st.text(max_size=3), st.one_of(st.text(max_size=4), st.integers(-(2**53) + 1, 2**53 - 1))))
def test_the_fast_encoder_agrees_with_rfc8785_for_flat_objects(value: dict[str, Any]) -> None:
    assert parsed_json_sha256(value) == hashlib.sha256(rfc8785.dumps(value)).hexdigest()


# Numbers, and texts that look like them, with and without an escaped quote.
LIKE_NUMBERS = st.one_of(
    st.sampled_from([":1.0,", '"1.0', "\\1.0", "-0.0", "1e5", "1.5e+16", "0" * 17, '\\"', '"', "7.", ".0", "a.0]"]),
    st.floats(-1e17, 1e17),
    st.integers(-(10**6), 10**6).map(float),
    st.sampled_from([-0.0, 0.0, 1.0, -1.0, 10.05, 100.0, 0.0001, 0.00001, 1e15, 1e16, 1e17, 2.0**53, 2**53 - 1]),
)


@given(st.dictionaries(st.one_of(st.just("1.0"), st.text(max_size=2)), st.lists(LIKE_NUMBERS, max_size=4), max_size=4))
def test_numbers_are_told_from_texts_that_look_like_them(value: dict[str, Any]) -> None:
    assert dump_parsed_json(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(st.sampled_from("a\ud7ff\ue000\uffff\U00010000\U0010ffff"), max_size=3), st.just(1)))
def test_keys_are_sorted_by_their_utf_16_units(value: dict[str, Any]) -> None:
    assert dump_parsed_json(value) == rfc8785.dumps(value)


USUAL: list[dict[str, Any]] = [
    {"b": 1, "a": [True, None, "text 1.0 and 1e5"]},
    {"weight": 1.0, "sign": "\U0001f3ac", "minus": -0.0, "half": [0.5, -12.25, 3.0]},
    {"full width": "\uff0c", "\ue000": 1},
    {"digest": "c4c4b3da0e51234567890123456789"},
]


@pytest.mark.parametrize("value", USUAL, ids=str)
def test_usual_surfaces_need_no_library(value: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rfc8785.dumps(value)
    monkeypatch.delattr(rfc8785, "dumps")

    assert dump_parsed_json(value) == expected


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud83c", {"\ud83c": 1}, {1: 2}, {2}, b"x"], ids=repr
)
def test_a_value_without_canonical_bytes_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json_sha256(value)


def test_too_many_levels_are_refused_without_a_traceback() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(ValueError, match="too deeply"):
        canonical_json_sha256(value)
    while value:
        value = value.pop()  # a deep list is taken apart, since freeing it at once may overflow the stack


@pytest.mark.parametrize("value", [2**53, 2**64, float("inf"), float("nan"), "\ud83c"], ids=repr)
def test_the_fast_encoder_refuses_it_too(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed_json_sha256({"k": value})


@given(OBJECTS, OBJECTS, st.data())
def test_a_change_is_found_exactly_when_the_canonical_bytes_change(
    old: dict[str, Any], new: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever way both are written in."""
    new = data.draw(st.sampled_from([old, new, {**old, "k": new}]))
    texts = [data.draw(texts_of(value)) for value in (old, new)]
    base = base_pack()
    base["roles"] = [role("grip", extract_contracts=[contract("ROLE:grip:X:1", mark="here")])]
    packs = [
        written(base).replace(json.dumps({"mark": "here"}, indent=2).replace("\n", "\n          ").encode(), t.encode())
        for t in texts
    ]

    hashes = [snapshot.contracts[0].schema_hash for p in packs if (snapshot := parse_pack(p, "p").snapshot)]

    assert len(hashes) == 2
    assert (hashes[0] == hashes[1]) == (rfc8785.dumps(old) == rfc8785.dumps(new))
