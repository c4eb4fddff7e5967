"""The shipped schemas are valid, closed, annotated and consistent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from registry_pipeline.schema import check_value, read_schema, schema_folder

FOLDER = schema_folder()
NAMES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.json"))
ARTIFACTS = [name for name in NAMES if not name.startswith("cli/")]
KNOWN_ANSWERS = Path(__file__).parents[1] / "known_answers" / "expected"
# People and older tools may write more there than we read.
OPEN = {
    ("REGISTRY_expected_versions_v0_1.schema.json", ""),
    ("REGISTRY_expected_versions_v0_1.schema.json", "/properties/expected"),
    ("REGISTRY_run_index_v0_1.schema.json", ""),  # `extra_keys` of [run_index]; the registry's rules refuse others
    ("REGISTRY_overrides_log_v0_1.schema.json", ""),
    ("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", ""),
    ("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", "/$defs/pointer"),
    ("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", "/properties/mutation_policy"),
}
# Copies of documents that other producers write, or that other schemas check: every object may have what they know.
THEIRS = {
    "REGISTRY_ability_registry_v0_1.schema.json",
    "REGISTRY_derived_validation_reports_v0_1.schema.json",
    "REGISTRY_hook_registry_v0_1.schema.json",
    "REGISTRY_migration_ledger_v0_1.schema.json",
    "REGISTRY_module_registry_v0_1.schema.json",
    "REGISTRY_route_registry_v0_1.schema.json",
    "REGISTRY_threshold_packs_file_v0_1.schema.json",
    "REGISTRY_validation_range_results_v0_1.schema.json",
    "ROLE_PACK_v0_1.schema.json",
}
_APPLICATORS = ("if", "then", "else", "allOf", "anyOf")


def subschemas(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every subschema with its JSON pointer, but for those that only add a condition."""
    if isinstance(node, dict):
        yield place, node
        for key, value in node.items():
            if key in ("properties", "$defs"):
                for name, child in value.items():
                    yield from subschemas(child, f"{place}/{key}/{name}")
            elif key not in _APPLICATORS and isinstance(value, dict):
                yield from subschemas(value, f"{place}/{key}")


def types(schema: dict[str, Any]) -> list[str]:
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else found


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_by_its_own_metaschema(name: str) -> None:
    schema = read_schema(name)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(name.removesuffix(".schema.json").replace("/", ":"))


@pytest.mark.parametrize("name", ARTIFACTS)
def test_every_object_of_an_artifact_closes_itself(name: str) -> None:
    for place, schema in subschemas(read_schema(name)):
        if "object" in types(schema):
            assert "additionalProperties" in schema, place
            assert (schema["additionalProperties"] is True) == (name in THEIRS or (name, place) in OPEN), place


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("cli/")])
def test_what_the_command_line_prints_may_grow(name: str) -> None:
    for place, schema in subschemas(read_schema(name)):
        if "properties" in schema and not place.endswith("sealed_ref"):
            assert schema["additionalProperties"] is True, place
            assert sorted(schema["required"]) == sorted(schema["properties"]), place


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_required_key_is_described_and_every_key_is_typed(name: str) -> None:
    for place, schema in subschemas(read_schema(name)):
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), place
        for key, value in schema.get("properties", {}).items():
            assert {"type", "enum", "const", "$ref", "anyOf"} & set(value), f"{place}/{key}"


@pytest.mark.parametrize("name", ARTIFACTS)
def test_annotations_are_complete(name: str) -> None:
    schema = read_schema(name)

    assert name.endswith(f"_v{schema['schema_version'].replace('.', '_')}.schema.json")
    assert ("registry_id" in schema) == name.startswith("REGISTRY_")
    assert isinstance(schema["tri_state_fields"], list)
    for place, each in subschemas(schema):
        for key, value in each.get("properties", {}).items():
            assert key.endswith("_utc") == ("time_semantics" in value), f"{place}/{key}"


@pytest.mark.parametrize("name", ARTIFACTS)
def test_every_tri_state_is_declared(name: str) -> None:
    schema = read_schema(name)

    nullable = {
        key
        for _, each in subschemas(schema)
        for key, value in each.get("properties", {}).items()
        if set(types(value)) == {"boolean", "null"} or value.get("enum") == [True, False, "unknown"]
    }

    assert nullable == {place.rsplit("/", 1)[-1] for place in schema["tri_state_fields"]}


def test_a_definition_of_one_name_is_the_same_everywhere() -> None:
    seen: dict[str, Any] = {}
    for name in NAMES:
        for key, definition in read_schema(name).get("$defs", {}).items():
            assert seen.setdefault(key, definition) == definition, f"{name} {key}"

    assert "sealed_ref" in seen


def test_no_pattern_lets_a_final_newline_through() -> None:
    for name in NAMES:
        for place, schema in subschemas(read_schema(name)):
            pattern = schema.get("pattern", "")
            assert not pattern.endswith("$") or pattern.endswith(r"(?!\n)$"), f"{name} {place}"


def test_what_the_original_tools_wrote_is_valid() -> None:
    for artifact, name in (
        ("OPERATION_STATUS_TABLE_v0_1.json", "REGISTRY_op_status_table_v0_1.schema.json"),
        ("DRIFT_SIGNALS_v0_1.json", "REGISTRY_drift_signals_v0_1.schema.json"),
    ):
        assert check_value(name, json.loads((KNOWN_ANSWERS / artifact).read_bytes())) == []
    for line in (KNOWN_ANSWERS / "RUN_REGISTRY_v0_1.jsonl").read_bytes().splitlines():
        assert check_value("REGISTRY_run_registry_v0_1.schema.json", json.loads(line)) == []
