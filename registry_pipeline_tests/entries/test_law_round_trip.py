"""Law: a splice says what ruamel.yaml's own round trip of the same insertion says."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given

from registry_pipeline.entries import insert_or_update_entry
from registry_pipeline.entries.yaml_file import _plain, _round_trip
from registry_pipeline.yaml_values import read_yaml_values, same_value
from registry_pipeline_tests.entries.test_law_idempotent import inserted
from registry_pipeline_tests.entries.yaml_texts import entries, files


@given(files(), entries())
def test_both_roads_end_at_the_same_values(file: tuple[str, list[dict[str, Any]]], entry: dict[str, Any]) -> None:
    spliced = inserted(file[0].encode(), entry)

    yaml = _round_trip()
    document = yaml.load(file[0])
    insert_or_update_entry(document["types"], "id", entry)
    stream = io.StringIO()
    yaml.dump(document, stream)

    assert same_value(read_yaml_values(spliced), read_yaml_values(stream.getvalue().encode()))
    assert same_value(read_yaml_values(spliced), [_plain(yaml.load(stream.getvalue()))])
