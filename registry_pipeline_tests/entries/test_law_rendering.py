"""Law: a value that is written as YAML is read back by our reader and by ruamel.yaml."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from registry_pipeline.yaml.compose import is_same_value, parse_yaml_values
from registry_pipeline.yaml.document import _load_round_trip, to_plain
from registry_pipeline.yaml.values import Style, format_block_lines, format_flow
from registry_pipeline_tests.entries.yaml_texts import VALUES


@given(VALUES)
def test_a_written_value_is_read_back(value: Any) -> None:
    block = "\n".join(format_block_lines({"k": value}, 0, Style())) + "\n"
    flow = f"k: {format_flow(value)}\n"

    for text in (block, flow):
        assert is_same_value(parse_yaml_values(text.encode()), [{"k": value}])
        assert is_same_value(to_plain(_load_round_trip(text)), [{"k": value}])
