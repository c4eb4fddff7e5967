"""The eight schemas: complete, consistent with the table of types, and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import Entries
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.entries.schemas import (
    ENTRY_TYPES,
    EVENTS,
    NEEDS_APPROVAL,
    SCHEMA_FOLDER,
    EntryType,
    content_path,
    make_entry_validator,
    read_entry_schemas,
    validate_entry,
)
from registry_pipeline.schema import schema_bytes, schema_folder
from registry_pipeline.yaml.compose import parse_yaml_values
from registry_pipeline_tests.entries.small import make_small

FIELDS = {
    "module_type": {"inbound", "outbound"},
    "module_instance": {
        "name", "module_type", "module_level", "parent_module", "owners", "dependencies"
    },
    "module_maturity": {"module_type", "maturity", "capabilities", "tests"},
    "module_interface": {"module_id", "path", "method", "lifecycle", "quality", "contracts", "x-approval"},
    "route": {"scope", "topic", "module_id", "routes", "priority"},
    "ability_low": {
        "operation_key", "version", "kind", "scope", "input_schema", "output_schema", "routing_hints",
        "hooks",
    },
    "ability_high": {
        "id", "type", "ability_ids", "version", "scope", "input_schema", "output_schema", "routing_hints",
        "hooks",
    },
    "hook": {"stage", "event_type", "enabled", "blocking", "match", "handler", "effects"},
}  # fmt: skip
WITHOUT_TEXT = {"route", "module_maturity"}
"""The types whose entries need neither description nor summary: their other fields say what they are."""


def schema_of(entry_type: EntryType) -> dict[str, Any]:
    (document,) = parse_yaml_values(schema_bytes(f"entries/{entry_type.schema_name}"))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("entry_type", ENTRY_TYPES.values(), ids=ENTRY_TYPES)
def test_a_schema_has_every_field_of_the_specification_and_no_other(entry_type: EntryType) -> None:
    schema = schema_of(entry_type)
    keys = {"scope", "topic"} if entry_type.name == "route" else {entry_type.key_field}

    assert set(schema["properties"]) == FIELDS[entry_type.name] | keys | {"description", "summary", "status", "tags"}
    assert schema["additionalProperties"] is False
    assert schema["patternProperties"] == {"^x-": True}
    texts = None if entry_type.name in WITHOUT_TEXT else [{"required": ["description"]}, {"required": ["summary"]}]
    assert schema.get("anyOf") == texts
    assert all("description" in each or "$ref" in each for each in schema["properties"].values())


@pytest.mark.parametrize("entry_type", ENTRY_TYPES.values(), ids=ENTRY_TYPES)
def test_a_schema_describes_itself_as_the_table_does(entry_type: EntryType) -> None:
    schema, config = schema_of(entry_type), Entries()

    assert (schema["x-type"], schema["x-key"]) == (entry_type.name, entry_type.key_field)
    assert schema["x-content"] == content_path(config, entry_type)
    assert (schema.get("x-list"), schema.get("x-alias")) == (entry_type.list_key, entry_type.alias)


def test_the_enumerations_of_the_schemas_are_those_of_the_tables() -> None:
    hook, interface = schema_of(ENTRY_TYPES["hook"]), schema_of(ENTRY_TYPES["module_interface"])

    assert tuple(hook["properties"]["event_type"]["enum"]) == EVENTS
    assert set(interface["properties"]["lifecycle"]["enum"]) > NEEDS_APPROVAL
    assert set(interface["properties"]["x-approval"]["properties"]["lifecycle"]["enum"]) == NEEDS_APPROVAL


def test_the_shipped_schema_leaves_the_values_of_a_maturity_to_the_configuration(tmp_path: Path) -> None:
    maturity = schema_of(ENTRY_TYPES["module_maturity"])["properties"]["maturity"]

    assert maturity["x-configured"] == "maturity"
    assert "enum" not in maturity
    assert read_entry_schemas(make_small(tmp_path)).maturity_is_configured


def test_every_shipped_schema_belongs_to_a_type() -> None:
    names = {path.name for path in (schema_folder() / "entries").iterdir()}

    assert names == {each.schema_name for each in ENTRY_TYPES.values()}


def test_an_entry_is_checked_by_a_schema_in_a_file() -> None:
    place = schema_folder() / "entries" / "hook.schema.yaml"
    good = {"id": "tidy", "description": "Tidies.", "event_type": "SessionStop", "x-team": "Ours"}

    bad = validate_entry({**good, "event_type": "SesionStop", "blocking": "yes", "evnt": 1}, place)

    assert validate_entry(good, place) == []
    assert {each.code for each in bad} == {"EN001"}
    assert [(each.location, each.got) for each in bad] == [
        ("", None),
        ("/blocking", "'yes'"),
        ("/event_type", "'SesionStop'"),
    ]
    assert [each.expected for each in bad[1:]] == ["boolean", ", ".join(EVENTS)]
    assert any("did you mean SessionStop?" in each.message for each in bad)


SCHEMAS = {
    "no YAML": b"type: [\n",
    "no schema": b"type: 7\n",
    "two documents": b"type: object\n---\ntype: object\n",
    "a reference to elsewhere": b"$ref: other.yaml\n",
    "a list": b"- a\n",
}


@pytest.mark.parametrize("data", SCHEMAS.values(), ids=SCHEMAS)
def test_an_unusable_schema_is_reported(tmp_path: Path, data: bytes) -> None:
    place = tmp_path / "a.schema.yaml"
    place.write_bytes(data)

    with pytest.raises(ValueError, match=r"."):
        make_entry_validator(data)
    with pytest.raises(RegistryPipelineError, match="not a usable schema"):
        validate_entry({}, place)


def test_a_missing_schema_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        validate_entry({}, tmp_path / "none.schema.yaml")


@pytest.mark.parametrize(("name", "severity"), [("gadget", Severity.ERROR), ("hook", Severity.WARNING)])
def test_a_linked_schema_is_an_error_unless_a_shipped_schema_replaces_it(
    tmp_path: Path, name: str, severity: Severity
) -> None:
    repository = make_small(tmp_path)
    folder = tmp_path / SCHEMA_FOLDER
    folder.mkdir(parents=True)
    (folder / "text.yaml").write_text("type: object\nx-key: id\nx-content: own/gadgets.yaml\nx-list: gadgets\n")
    (folder / f"{name}.schema.yaml").symlink_to("text.yaml")

    (unusable,) = read_entry_schemas(repository).findings

    assert (unusable.code, unusable.path) == ("EN003", f"{SCHEMA_FOLDER}/{name}.schema.yaml")
    assert unusable.severity is severity
