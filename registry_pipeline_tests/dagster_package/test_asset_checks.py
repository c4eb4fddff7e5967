"""What seal_check and schema_check find, and that they never pass with nothing to check.

Annotations are not postponed, because Dagster reads them.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import (
    AssetCheckSeverity,
    AssetOut,
    AssetsDefinition,
    DagsterInvalidDefinitionError,
    FilesystemIOManager,
    StaticPartitionsDefinition,
    asset,
    materialize,
    multi_asset,
)

from registry_pipeline.dagster import CsvTable, SealedFolderIOManager, schema_check, seal_check
from registry_pipeline_tests.dagster_package.projects import (
    QUIET,
    Project,
    alter_byte,
    by_partition,
    check_results,
    reading,
    returning,
)

OBJECTS = {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["height"]}}
PARTITIONS = StaticPartitionsDefinition(["north", "south"])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_both_checks_pass_on_what_their_run_sealed(project: Project) -> None:
    tides = returning("tides", [{"height": 1}])
    seal, schema = seal_check(tides), schema_check(tides, OBJECTS)

    result = project.materialize(tides, seal, schema)

    assert result.success
    assert check_results(result) == {"seal": (True, "no problems"), "schema": (True, "no problems")}
    roots = {str(e.metadata["ROOT_SHA256"].value) for e in result.get_asset_check_evaluations()}
    assert roots == {project.page(result, "tides")["ROOT_SHA256"]}


def test_an_altered_folder_fails_the_check_with_its_code(project: Project) -> None:
    tides = returning("tides", [{"height": 1}])
    seal, schema = seal_check(tides), schema_check(tides, OBJECTS)
    alter_byte(project.folder(project.materialize(tides), "tides"))

    results = check_results(project.materialize(tides, seal, schema, only=[seal, schema]))

    assert not results["seal"][0]
    assert "HASH_MISMATCH" in results["seal"][1]
    assert not results["schema"][0]
    assert "HASH_MISMATCH" in results["schema"][1]


def test_a_failed_check_blocks_what_is_downstream_unless_it_is_told_not_to(project: Project) -> None:
    upstream, seen = returning("upstream", [{}]), list[Any]()
    downstream = reading("downstream", seen)

    blocked = project.materialize(upstream, downstream, schema_check(upstream, OBJECTS))
    assert not blocked.success
    assert seen == []

    assert project.materialize(upstream, downstream, schema_check(upstream, OBJECTS, blocking=False)).success
    assert seen == [[{}]]


@pytest.mark.parametrize("make", [seal_check, lambda tides: schema_check(tides, {})], ids=["seal", "schema"])
def test_with_nothing_to_check_a_check_fails(project: Project, make: Any) -> None:
    tides = returning("tides", "ebb")
    check = make(tides)

    result = project.materialize(tides, check, only=[check])

    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity is AssetCheckSeverity.ERROR
    assert "materialize tides" in (evaluation.description or "")


def test_an_asset_of_another_io_manager_fails_the_check(project: Project) -> None:
    tides = returning("tides", "ebb")

    result = materialize(
        [tides, seal_check(tides)],
        instance=project.instance,
        resources={"io_manager": FilesystemIOManager(base_dir=str(project.base_dir))},
        run_config=QUIET,
        raise_on_error=False,
    )

    assert "is not a SealedFolderIOManager" in check_results(result)["seal"][1]


def test_alone_a_check_looks_at_every_partition_and_in_a_run_at_its_own(project: Project) -> None:
    tides = by_partition("tides", {"north": "ebb", "south": "flood"}, PARTITIONS)
    seal = seal_check(tides)
    north, south = (project.materialize(tides, seal, partition=key) for key in ("north", "south"))
    alter_byte(project.folder(north, "tides"))

    again = project.materialize(tides, seal, partition="south")
    alone = project.materialize(tides, seal, only=[seal])

    assert check_results(south)["seal"] == check_results(again)["seal"] == (True, "no problems")
    (evaluation,) = alone.get_asset_check_evaluations()
    assert not evaluation.passed
    assert (evaluation.metadata["folders"].value, evaluation.metadata["problems"].value) == (2, 1)


def test_a_partition_that_was_sealed_again_is_checked_in_its_newest_folder(project: Project) -> None:
    tides = by_partition("tides", {"north": "ebb"}, PARTITIONS)
    seal = seal_check(tides)
    alter_byte(project.folder(project.materialize(tides, partition="north"), "tides"))
    project.materialize(tides, partition="north")

    assert check_results(project.materialize(tides, seal, only=[seal]))["seal"][0]


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        ({"height": "3"}, {"properties": {"height": {"type": "number"}}}, "/height: '3' is not of type number"),
        ("ebb", {"const": "flood"}, "the value: 'ebb' is not flood"),
        ([{"height": 1}, {}], OBJECTS, "/1: missing keys: height"),
        ([], OBJECTS, "the value: [] has fewer than 1 items"),
        (CsvTable(("height",), (("3",), ("x",))), {"items": {"properties": {"height": {"pattern": "^[0-9]$"}}}}, "/1/"),
        (pd.DataFrame({"height": [1.0, None]}), {"items": {"properties": {"height": {"type": "number"}}}}, "/1/height"),
        (b"ebb", {}, "bytes have no JSON form"),
    ],
    ids=repr,
)
def test_a_value_that_does_not_match_its_schema_is_named(
    project: Project, value: Any, schema: dict[str, Any], problem: str
) -> None:
    tides = returning("tides", value)

    passed, description = check_results(project.materialize(tides, schema_check(tides, schema)))["schema"]

    assert not passed
    assert problem in description


def test_at_most_three_problems_are_described_and_the_others_counted(project: Project) -> None:
    tides = returning("tides", [{}] * 5)

    _, description = check_results(project.materialize(tides, schema_check(tides, OBJECTS)))["schema"]

    assert description.splitlines()[-1] == "and 2 more"


def test_a_schema_is_read_from_its_file(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "tides.schema.json"
    path.write_text(json.dumps({"const": "ebb"}), encoding="utf-8")
    tides = returning("tides", "ebb")

    for schema in (path, str(path)):
        assert check_results(project.materialize(tides, schema_check(tides, schema)))["schema"][0]


@pytest.mark.parametrize("schema", [{"type": "no such type"}, {"$ref": "#/nowhere"}, {"a": {1}}, "no-such-file.json"])
def test_a_schema_that_cannot_be_used_is_refused_when_the_check_is_defined(schema: Any) -> None:
    with pytest.raises(DagsterInvalidDefinitionError, match="cannot be used"):
        schema_check(returning("tides", 1), schema)


def test_a_materialization_without_a_folder_fails_the_check(project: Project) -> None:
    @asset(key="tides")
    def unsealed() -> None:
        """Materialize without an output."""

    definition: AssetsDefinition = unsealed

    results = check_results(project.materialize(definition, seal_check(definition)))

    assert "names no sealed folder" in results["seal"][1]
    assert "annotated `-> None`" in results["seal"][1]


@pytest.mark.filterwarnings("ignore:Parameter `io_manager_def`")
def test_the_io_manager_may_be_defined_on_the_asset(project: Project) -> None:
    @asset(io_manager_def=SealedFolderIOManager(base_dir=str(project.base_dir)))
    def tides() -> str:
        return "ebb"

    seal, schema = seal_check(tides), schema_check(tides, {"const": "ebb"})
    result = materialize([tides, seal, schema], instance=project.instance, run_config=QUIET)

    assert check_results(result) == {"seal": (True, "no problems"), "schema": (True, "no problems")}


@pytest.mark.parametrize("make", [seal_check, lambda asset: schema_check(asset, {})], ids=["seal", "schema"])
def test_a_definition_of_several_assets_is_refused(make: Any) -> None:
    @multi_asset(outs={"ebb": AssetOut(), "flood": AssetOut()})
    def tides() -> tuple[str, str]:
        return "ebb", "flood"

    with pytest.raises(DagsterInvalidDefinitionError, match="ebb, flood"):
        make(tides)
