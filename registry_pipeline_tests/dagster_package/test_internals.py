"""The non-public parts of Dagster that this project uses exist, and are imported in one module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import dagster
import pytest
from dagster import asset

from registry_pipeline.dagster import dagster_internals
from registry_pipeline.dagster.dagster_internals import find_io_manager_key

PRODUCT = Path(__file__).resolve().parents[2] / "registry_pipeline"


def find_private_imports(path: Path) -> list[str]:
    modules = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    return [name for name in modules if re.match(r"dagster(_\w+)?\.(.*\.)?_", name)]


def test_only_one_module_imports_private_names_of_dagster() -> None:
    importers = {str(path.relative_to(PRODUCT)) for path in PRODUCT.rglob("*.py") if find_private_imports(path)}

    assert importers == {"dagster/dagster_internals.py"}


@pytest.mark.parametrize("name", dagster_internals.__all__)
def test_each_private_name_exists_in_the_installed_release(name: str) -> None:
    assert getattr(dagster_internals, name) is not None, f"Dagster {dagster.__version__} has no {name}"


def test_the_tags_are_the_ones_in_stored_runs() -> None:
    tags = {name: getattr(dagster_internals, name) for name in dagster_internals.__all__ if name.endswith("_TAG")}

    assert tags == {
        "ASSET_PARTITION_RANGE_END_TAG": "dagster/asset_partition_range_end",
        "ASSET_PARTITION_RANGE_START_TAG": "dagster/asset_partition_range_start",
        "PARENT_RUN_ID_TAG": "dagster/parent_run_id",
        "RETRY_NUMBER_TAG": "dagster/retry_number",
        "SCHEDULE_NAME_TAG": "dagster/schedule_name",
        "SENSOR_NAME_TAG": "dagster/sensor_name",
        "TICK_ID_TAG": "dagster/tick",
        "USER_TAG": "user",
        "WILL_RETRY_TAG": "dagster/will_retry",
    }


def test_the_io_manager_key_of_an_asset_is_the_one_that_it_states() -> None:
    @asset
    def by_default() -> int:
        return 1

    @asset(io_manager_key="sealed_io")
    def named() -> int:
        return 1

    assert find_io_manager_key(by_default, by_default.key) == "io_manager"
    assert find_io_manager_key(named, named.key) == "sealed_io"
