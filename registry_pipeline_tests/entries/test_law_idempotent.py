"""Law: an entry that is inserted twice exists once, and the second insertion changes no byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from registry_pipeline.registries.entries.references import insert_or_update_entry
from registry_pipeline.yaml.compose import is_same_value, parse_yaml_values
from registry_pipeline.yaml.document import edit_yaml
from registry_pipeline_tests.entries.yaml_texts import entries, files


def inserted(data: bytes, entry: dict[str, Any]) -> bytes:
    (document,) = parse_yaml_values(data)
    return edit_yaml(
        data, [{**document, "types": insert_or_update_entry(document["types"], "id", entry)}], "types.yaml"
    )


@given(files(), entries())
def test_the_second_insertion_changes_nothing(file: tuple[str, list[dict[str, Any]]], entry: dict[str, Any]) -> None:
    once = inserted(file[0].encode(), entry)

    (document,) = parse_yaml_values(once)
    assert [is_same_value(each, entry) for each in document["types"]].count(True) == 1
    assert [each["id"] for each in document["types"]] == sorted({*(each["id"] for each in file[1]), entry["id"]})
    assert inserted(once, entry) == once
