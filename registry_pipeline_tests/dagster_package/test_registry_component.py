"""A component that describes a registry can be used alone, with the same YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest
from dagster import AssetKey
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from registry_pipeline.config import OwnRegistry
from registry_pipeline.config_types import options_of
from registry_pipeline.dagster import RegistryComponent
from registry_pipeline_tests.dagster_package.projects import check_results
from registry_pipeline_tests.dagster_package.test_component import materialize
from registry_pipeline_tests.own_registries import make_price_schema

# Dagster's own, about what it uses itself to load the components of a project.
pytestmark = pytest.mark.filterwarnings("ignore:.*currently in (beta|preview)", "ignore:`parse_obj_as` is deprecated")
ROW = json.loads(make_price_schema())["items"] | {"properties": {"sku": {"$ref": "#/$defs/sku"}}}
SCHEMA = ROW | {"$defs": {"sku": {"type": "string", "pattern": "^[a-z]+$"}}}


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    with create_defs_folder_sandbox() as made:
        yield made


def write(sandbox: DefsFolderSandbox, source: str, data: str, schema: Any, /, **attributes: Any) -> Path:
    """Scaffold the component with its files, and return their folder."""
    described = {"name": "prices", "sources": [source], "schema": "row.json"} | attributes
    folder = sandbox.defs_folder_path / "prices"
    folder.mkdir()
    document = {"type": "registry_pipeline.dagster.RegistryComponent", "attributes": described}
    (folder / "defs.yaml").write_text(json.dumps(document), encoding="utf-8")
    (folder / source).write_text(data, encoding="utf-8")
    (folder / "row.json").write_text(json.dumps(schema), encoding="utf-8")
    return folder


def test_a_table_of_the_toml_has_no_key_that_a_component_lacks() -> None:
    names = {field.alias or name for name, field in RegistryComponent.model_fields.items()}

    assert set(options_of(OwnRegistry)) - {"title"} <= names
    assert {"name", "description"} <= names


@pytest.mark.parametrize(
    ("source", "good", "bad"),
    [
        ("prices.csv", "sku,cents\napple,1\n", "sku,cents\nAPPLE,1\n"),
        ("prices.jsonl", '{"sku": "apple", "cents": 1}\n', '{"sku": 3, "cents": 1}\n'),
        ("prices.json", '{"sku": "apple", "cents": 1}', '{"sku": "APPLE", "cents": 1}'),
    ],
)
def test_the_schema_describes_each_row_line_or_document(
    sandbox: DefsFolderSandbox, source: str, good: str, bad: str
) -> None:
    folder = write(sandbox, source, good, SCHEMA)

    for data, passed in ((good, True), (bad, False)):
        (folder / source).write_text(data, encoding="utf-8")
        with sandbox.build_all_defs() as definitions:
            assert check_results(materialize(definitions))["schema"][0] is passed


def test_what_it_depends_on_is_an_asset_before_it(sandbox: DefsFolderSandbox) -> None:
    write(sandbox, "prices.json", "{}", {}, depends_on=["run_registry"], record_key=["sku"], artifact="p.json")

    with sandbox.build_all_defs() as definitions:
        (spec,) = [spec for spec in definitions.resolve_all_asset_specs() if spec.key == AssetKey("prices")]

    assert [dep.asset_key for dep in spec.deps] == [AssetKey("run_registry")]
    assert spec.metadata["registry_pipeline/record_key"] == ["sku"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"sources": ["a.json", "b.json"]}, "alone, a component seals one file"),
        ({"sources": ["*.json"]}, "alone, a component seals one file"),
        ({"sources": []}, "alone, a component seals one file"),
        ({"source": "a.json"}, "give either `source` or `function`, or `sources`"),
        ({"format": "json"}, "`format` and `schema_file` are those of `source`"),
        ({"schema_file": "row.json"}, "`format` and `schema_file` are those of `source`"),
        ({"sources": ["a.txt"]}, "can be checked by a schema here"),
        ({"sources": ["a.csv"], "schema": "none.json"}, "none.json cannot be used"),
    ],
)
def test_attributes_that_contradict_each_other_are_refused(
    sandbox: DefsFolderSandbox, attributes: dict[str, Any], message: str
) -> None:
    write(sandbox, "prices.json", "{}", {}, **attributes)

    with pytest.raises(Exception, match="prices") as caught, sandbox.build_all_defs():
        pass

    assert message in "".join(format_exception(caught.value))
