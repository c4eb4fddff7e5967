"""Law: a minimal edit has the same content as ruamel.yaml's own round trip of the same insertion."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import assume, given

from registry_pipeline.registries.entries.references import insert_or_update_entry
from registry_pipeline.yaml.compose import is_same_value, parse_yaml_values
from registry_pipeline.yaml.document import _make_round_trip_parser, to_plain
from registry_pipeline_tests.entries.test_law_idempotent import inserted
from registry_pipeline_tests.entries.yaml_texts import entries, files


def dumped(document: Any) -> str:
    stream = io.StringIO()
    _make_round_trip_parser().dump(document, stream)
    return stream.getvalue()


@given(files(), entries())
def test_both_ways_of_writing_give_the_same_values(
    file: tuple[str, list[dict[str, Any]]], entry: dict[str, Any]
) -> None:
    spliced = inserted(file[0].encode(), entry)

    yaml = _make_round_trip_parser()
    document = yaml.load(file[0])
    assume(
        is_same_value(to_plain(yaml.load(dumped(document))), to_plain(document))
    )  # it does not keep every number and key
    insert_or_update_entry(document["types"], "id", entry)
    text = dumped(document)

    assume(is_same_value(to_plain(yaml.load(text)), to_plain(document)))  # nor those of the entry
    assert is_same_value(parse_yaml_values(spliced), [to_plain(document)])
    assert is_same_value(parse_yaml_values(spliced), parse_yaml_values(text.encode()))
