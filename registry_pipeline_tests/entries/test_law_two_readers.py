"""Law: the reader that proves a text says what the reader of places says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.yaml.compose import StrictYamlError, read_yaml
from registry_pipeline.yaml.values import read_yaml_values
from registry_pipeline_tests.entries.yaml_texts import files

PIECES = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x ",
    "*x",
    "<<: ",
    "1",
    "'",
    '"',
    "|\n",
    "#",
    "!!str ",
    "~",
    "?",
]


@given(st.one_of(files().map(lambda file: file[0]), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_both_readers_agree_or_both_refuse(text: str) -> None:
    assert read_or_message(read_yaml_values, text) == read_or_message(
        lambda data: [node.value for node in read_yaml(data)], text
    )


def read_or_message(reader: Callable[[bytes], list[Any]], text: str) -> str:
    """Return what a reader says: the values, or why and where it refuses."""
    try:
        return json.dumps(reader(text.encode()), sort_keys=True)
    except StrictYamlError as refused:
        return f"{refused.kind} {refused.location} {refused}"
