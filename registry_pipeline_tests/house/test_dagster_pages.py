"""The documents of the package `registry_pipeline.dagster` name what it has, and quote the example project."""

from __future__ import annotations

import inspect
import re
from typing import get_args

import pytest

import registry_pipeline.dagster as package
from registry_pipeline.dagster import RegistryComponent
from registry_pipeline.dagster.sealed_value import FILE_NAMES, Format
from registry_pipeline_tests.house.conftest import ROOT

REFERENCE = (ROOT / "docs/reference/dagster-package.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs/how-to/seal-assets-of-your-dagster-project.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(?:python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", package.__all__)
def test_each_public_name_has_a_row_a_heading_and_a_docstring(name: str) -> None:
    assert f"| `{name}` |" in REFERENCE
    assert f"\n## {name}\n" in REFERENCE
    assert inspect.getdoc(getattr(package, name))


@pytest.mark.parametrize("name", [name for name in package.__all__ if name.endswith("_check")])
def test_the_arguments_of_a_check_are_those_of_the_page(name: str) -> None:
    parameters = inspect.signature(getattr(package, name)).parameters
    (stated,) = re.findall(rf"^{name}\((.*)\)$", REFERENCE, re.MULTILINE)

    assert re.findall(r"\w+(?==|,|$)", stated.replace("*, ", "").replace("=True", "")) == list(parameters)


def test_each_attribute_of_the_component_is_on_the_page() -> None:
    section = REFERENCE.partition("\n## RegistryComponent\n")[2].partition("\n## ")[0]
    rows = [row.partition(" |")[0] for row in section.split("\n| ") if row.startswith("`")]

    attributes = {field.alias or name for name, field in RegistryComponent.model_fields.items()}
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == attributes


def test_each_format_is_on_the_page_with_its_file() -> None:
    assert set(get_args(Format)) == set(FILE_NAMES)
    assert [name for name, file in FILE_NAMES.items() if f"| `{name}` | `{file}`" not in REFERENCE] == []


def test_each_example_of_the_how_to_is_a_part_of_the_example_project() -> None:
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "examples/dagster_project/src").rglob("*.*")]
    blocks = _BLOCK.findall(HOW_TO)

    assert len(blocks) == 2
    assert [block for block in blocks if not any(block in text for text in files)] == []
