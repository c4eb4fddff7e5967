"""Law: the reader that proves a text says what the reader of places says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.yaml_values import StrictYamlError, read_yaml, read_yaml_values, same_value
from registry_pipeline_tests.entries.yaml_texts import files

PIECES = ["a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "&x ", "*x", "<<: ", "1", "'", '"', "|\n", "#", "!!str ", "~", "?"]


@given(st.one_of(files().map(lambda file: file[0]), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_both_readers_agree_or_refuse_alike(text: str) -> None:
    data = text.encode()
    try:
        values: list[Any] = [node.value for node in read_yaml(data)]
    except StrictYamlError as refused:
        with pytest.raises(StrictYamlError) as again:
            read_yaml_values(data)
        assert (str(again.value), again.value.location) == (str(refused), refused.location)
        return

    assert same_value(read_yaml_values(data), values)
