"""Strict YAML 1.2: what a text means, and what is refused with its position."""

from __future__ import annotations

from typing import Any

import pytest

from registry_pipeline.yaml.compose import StrictYamlError, is_same_value, parse_yaml, parse_yaml_values

VALUES = {
    "no": "no",
    "Yes": "Yes",
    "on": "on",
    "010": 10,
    "0o17": 15,
    "0x1F": 31,
    "-7": -7,
    "1_000": "1_000",
    "1:30": "1:30",
    "2026-01-01": "2026-01-01",
    "1e3": 1000.0,
    ".5": 0.5,
    "1.": 1.0,
    "true": True,
    "FALSE": False,
    "~": None,
    "": None,
    "null": None,
    "'no'": "no",
    '"010"': "010",
    "!!str 1": "1",
    "!!int '7'": 7,
    "!!float 1": 1.0,
    "=": "=",
    "{a: 1}": {"a": 1},
    "[1, a]": [1, "a"],
}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    (document,) = parse_yaml_values(f"k: {text}\n".encode())

    assert is_same_value(document, {"k": value})


REFUSED = {
    "two keys": (b"a: 1\nb: 2\na: 3\n", "3:1", "the key 'a' is duplicated"),
    "two keys deep down": (b"a:\n  - b: 1\n    b: 2\n", "3:5", "the key 'b' is duplicated"),
    "a key that is a number": (b"1: a\n", "1:1", "a key must be a text; quote it"),
    "a key that is a list": (b"? [a]\n: b\n", "1:3", "a key must be a text"),
    "an alias without an anchor": (b"a: *b\n", "1:4", "the alias *b has no anchor"),
    "an alias inside its anchor": (b"a: &b [*b]\n", "1:8", "the alias *b is inside its own anchor"),
    "infinity": (b"a: .inf\n", "1:4", ".inf is not a JSON number"),
    "no number": (b"a: .nan\n", "1:4", ".nan is not a JSON number"),
    "beyond a double": (b"a: 1e999\n", "1:4", "1e999 is beyond the range of a double"),
    "too many digits": (b"a: " + b"9" * 5000, "1:4", "a number of too many digits"),
    "a tag of one's own": (b"a: !secret b\n", "1:4", "the tag !secret is not supported; only YAML's own tags are"),
    "a python object": (
        b"a: !!python/object/apply:os.system [ls]\n",
        "1:4",
        "the tag tag:yaml.org,2002:python/object/apply:os.system is not supported; only YAML's own tags are",
    ),
    "a merge of no mapping": (b"a:\n  <<: b\n", "2:7", "a merge key `<<` takes a mapping, or a list of mappings"),
    "no UTF-8": (b"a: b\nc: \xff\n", "2:4", "not UTF-8: invalid start byte"),
    "a byte order mark": (b"\xef\xbb\xbfa: b\n", "1:1", "the file begins with a byte order mark"),
    "an open bracket": (b"a: [b\n", "2:1", "did not find expected ',' or ']'"),
    "a tab": (b"a:\n\tb: 1\n", "2:1", "found character that cannot start any token"),
    "too deep": (b"[" * 65 + b"]" * 65, "1:65", "nested deeper than 64 levels"),
    "very deep": (b"[" * 100_000, "1:65", "nested deeper than 64 levels"),
}


@pytest.mark.parametrize(("data", "location", "message"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_json_cannot_express_is_refused_with_its_position(
    data: bytes, location: str, message: str
) -> None:
    for reader in (parse_yaml, parse_yaml_values):
        with pytest.raises(StrictYamlError) as refused:
            reader(data)

        assert (refused.value.location, str(refused.value)) == (location, message)
        assert refused.value.kind == ("duplicate_key" if "duplicated" in message else "invalid")


def test_aliases_and_merge_keys_are_read_and_explicit_keys_win() -> None:
    data = b"x: &x {a: 1, b: 2}\ny: *x\nz:\n  b: 3\n  <<: *x\nw:\n  <<: [*x, {c: 4, a: 9}]\n"

    (document,) = parse_yaml_values(data)

    assert document["y"] == {"a": 1, "b": 2}
    assert document["z"] == {"a": 1, "b": 3}
    assert document["w"] == {"a": 1, "b": 2, "c": 4}


def test_aliases_that_would_fill_the_memory_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]

    with pytest.raises(StrictYamlError, match="expand to more than 1000000 values"):
        parse_yaml("\n".join(lines).encode())


def test_every_node_knows_its_line_and_column() -> None:
    (document,) = parse_yaml("a:\n  - é: x\n    b: [1, {c: d}]\n".encode())

    assert document.find_nearest(["a", 0, "b", 1, "c"]).location == "3:16"
    assert document.find_nearest(["a", 0, "é"]).location == "2:8"
    assert document.find_nearest(["a", 7]).location == "2:3"
    assert document.find_nearest([]).location == "1:1"


def test_an_empty_text_has_no_document_and_two_have_two() -> None:
    assert parse_yaml_values(b"") == []
    assert parse_yaml_values(b"# only a comment\n") == []
    assert parse_yaml_values(b"a: 1\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_values_that_python_considers_equal_differ() -> None:
    assert not is_same_value(1, True)
    assert not is_same_value(1, 1.0)
    assert not is_same_value([0], [False])
    assert is_same_value({"a": 1, "b": 2}, {"b": 2, "a": 1})
