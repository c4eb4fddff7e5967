"""What SealedFolderIOManager seals, loads and refuses, in a project without a registry-pipeline.toml.

Annotations are not postponed, because Dagster reads them.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import (
    AssetExecutionContext,
    AssetIn,
    BackfillPolicy,
    DataVersion,
    Definitions,
    MaterializeResult,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    RetryPolicy,
    RetryRequested,
    StaticPartitionsDefinition,
    asset,
    job,
    op,
)

from registry_pipeline.dagster import CsvTable, SealedFolderIOManager
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cli.conftest import environment
from registry_pipeline_tests.command_line import call
from registry_pipeline_tests.dagster_package.projects import (
    QUIET,
    Project,
    by_partition,
    failure_text,
    reading,
    returning,
)

VALUES: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "text": "Ebbe\r\n\N{SNOWMAN}",
    "json": {"tide": [1, 1.0, True, None, -0.0]},
    "jsonl": [{"a": 1}, {"a": True}],
    "csv": CsvTable(("station", "height"), (("Cuxhaven", "3.1"), ("", 'a,\n"b"'))),
    "dataframe": pd.DataFrame({"height": [1.5, float("nan")]}, index=pd.Index(["a", "b"], name="station")),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_is_loaded_as_it_was_returned(project: Project, kind: str) -> None:
    seen: list[Any] = []

    result = project.materialize(returning("upstream", VALUES[kind]), reading("downstream", seen))

    assert result.success
    assert type(seen[0]) is type(VALUES[kind])
    if kind == "dataframe":
        pd.testing.assert_frame_equal(seen[0], VALUES[kind])
    else:
        assert repr(seen[0]) == repr(VALUES[kind])
    assert project.page(result, "upstream")["sealed_format"] == kind


@pytest.mark.parametrize("kind", VALUES)
def test_the_verify_command_passes_every_folder(project: Project, kind: str, tmp_path: Path) -> None:
    folder = project.folder(project.materialize(returning("upstream", VALUES[kind])), "upstream")

    assert verify_folder(folder).verdict == "pass"
    assert call("verify", str(folder), cwd=tmp_path, env=environment(tmp_path)).code == 0


def test_a_materialization_states_its_folder_root_files_and_bytes(project: Project) -> None:
    result = project.materialize(returning("tides", "ebb"))

    page, folder = project.page(result, "tides"), project.folder(result, "tides")
    report = verify_folder(folder)
    assert page["ROOT_SHA256"] == report.root_sha256
    sizes = [entry.bytes for entry in report.entries]
    assert (page["sealed_files"], page["sealed_bytes"]) == (len(sizes), sum(sizes))
    run_json = json.loads((folder / "run.json").read_bytes())
    assert (run_json["asset_key"], run_json["dagster_run_id"]) == (["tides"], result.run_id)
    assert folder.parent == project.base_dir / "tides"
    assert folder.name.endswith("__tides")


def test_the_metadata_of_the_asset_is_kept(project: Project) -> None:
    metadata: dict[str, Any] = {"format": "GRIB", "files": 7, "bytes": 9}

    @asset
    def tides() -> MaterializeResult[Any]:
        return MaterializeResult(value="ebb", metadata=metadata)

    page = project.page(project.materialize(tides), "tides")

    assert {name: page[name] for name in metadata} == metadata


def test_the_default_folder_is_sealed() -> None:
    assert SealedFolderIOManager().base_dir == "sealed"


def test_the_data_version_is_the_content_and_not_the_run(project: Project) -> None:
    def version() -> str:
        event = project.latest("tides").asset_materialization
        assert event is not None
        return str((event.tags or {})["dagster/data_version"])

    versions = []
    for value in ("ebb", "ebb", "flood", b"flood"):
        project.materialize(returning("tides", value))
        versions.append(version())

    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_a_data_version_of_the_asset_wins(project: Project) -> None:
    @asset
    def tides() -> MaterializeResult[Any]:
        return MaterializeResult(value="ebb", data_version=DataVersion("spring"))

    project.materialize(tides)

    event = project.latest("tides").asset_materialization
    assert event is not None
    assert (event.tags or {})["dagster/data_version"] == "spring"


def test_each_run_has_a_folder_of_its_own(project: Project) -> None:
    folders = [project.folder(project.materialize(returning("tides", "ebb")), "tides") for _ in range(3)]

    assert len(set(folders)) == 3
    assert all(verify_folder(folder).verdict == "pass" for folder in folders)


@pytest.mark.parametrize(("second", "expected"), [("ebb", 1), ("flood", 2)])
def test_a_retry_uses_the_folder_of_the_same_bytes_and_no_other(
    project: Project, second: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt seals, and its process fails before Dagster records the materialization."""
    tries: list[int] = []
    seal = SealedFolderIOManager.handle_output

    def seal_and_fail_once(self: SealedFolderIOManager, context: Any, obj: Any) -> None:
        seal(self, context, obj)
        if len(tries) == 1:
            raise RetryRequested(max_retries=1)

    monkeypatch.setattr(SealedFolderIOManager, "handle_output", seal_and_fail_once)

    @asset
    def tides() -> str:
        tries.append(1)
        return "ebb" if len(tries) == 1 else second

    result = project.materialize(tides)

    assert result.success
    folders = sorted(path.name for path in (project.base_dir / "tides").iterdir())
    assert len(folders) == expected
    assert project.folder(result, "tides").name == folders[-1]
    assert project.folder(result, "tides").joinpath("value.txt").read_text() == second


def test_an_asset_may_have_the_step_key_of_an_upstream_outside_of_the_run(project: Project) -> None:
    """Dagster 1.13.27 gives an upstream outside of the execution the step key `none`."""
    seen: list[Any] = []

    @asset
    def none() -> str:
        return "ours"

    @asset(deps=["none"])
    def meanwhile() -> str:
        project.materialize(returning("none", "theirs"))
        return "done"

    @asset
    def downstream(none: Any, meanwhile: Any) -> str:
        seen.append(none)
        return "read"

    assert project.materialize(none, meanwhile, downstream).success
    assert seen == ["ours"]


def test_keys_that_are_too_long_for_a_path_are_refused_before_a_folder_is_made(project: Project) -> None:
    @asset(key=[f"{number}{'a' * 190}" for number in range(6)])
    def tides() -> str:
        return "ebb"

    result = project.materialize(tides)

    assert "too long for a folder" in failure_text(result)
    assert "use shorter keys" in failure_text(result)
    assert not project.base_dir.exists()


@pytest.mark.parametrize("value", [{1, 2}, (1, 2), {"a": float("nan")}, {1: 2}, object()])
def test_a_value_that_would_not_be_loaded_as_it_is_is_refused_with_advice(project: Project, value: object) -> None:
    result = project.materialize(returning("tides", value))

    assert not result.success
    assert not project.base_dir.exists()
    assert "None" not in failure_text(result).rpartition(" ")[2]


def test_a_run_reads_what_it_sealed_and_not_what_another_run_sealed_meanwhile(project: Project) -> None:
    seen: list[Any] = []

    @asset
    def upstream() -> str:
        return "ours"

    @asset(deps=["upstream"])
    def meanwhile() -> str:
        project.materialize(returning("upstream", "theirs"))
        return "done"

    @asset
    def downstream(upstream: Any, meanwhile: Any) -> str:
        seen.append(upstream)
        return "read"

    result = project.materialize(upstream, meanwhile, downstream)

    assert result.success
    assert seen == ["ours"]


def test_definitions_load_a_value_outside_of_a_run(project: Project) -> None:
    tides = returning("tides", {"a": [1]})
    definitions = Definitions(
        assets=[tides], resources={"io_manager": SealedFolderIOManager(base_dir=str(project.base_dir))}
    )
    project.materialize(tides)

    assert definitions.load_asset_value("tides", instance=project.instance) == {"a": [1]}


def test_an_output_of_an_op_is_refused() -> None:
    @op
    def tide() -> int:
        return 1

    @job
    def tides() -> None:
        tide()

    result = tides.execute_in_process(
        resources={"io_manager": SealedFolderIOManager(base_dir="unused")}, run_config=QUIET, raise_on_error=False
    )

    assert "give the output another IO manager" in failure_text(result)


PARTITIONS = StaticPartitionsDefinition(["north", "a/b", "..", ".staging", "x|y", "south"])


def test_partitions_are_folders_of_their_own_and_are_loaded_as_a_dict(project: Project) -> None:
    values = {key: [{"key": key}] for key in PARTITIONS.get_partition_keys()}
    upstream, seen = by_partition("upstream", values, PARTITIONS), list[Any]()
    same = reading("same", seen, partitions_def=PARTITIONS)
    total = reading("total", seen)

    results = [project.materialize(upstream, same, only=[upstream, same], partition=key) for key in values]
    assert [failure_text(result) for result in results] == [""] * len(values)
    assert seen == list(values.values())
    assert len({project.folder(result, "upstream").parent for result in results}) == len(values)
    assert {path.parent.parent for path in project.base_dir.glob("upstream/*/*")} == {project.base_dir / "upstream"}

    seen.clear()
    assert project.materialize(upstream, total, only=[total]).success
    assert seen == [values]


def test_a_run_of_one_partition_reads_the_folders_of_the_others(project: Project) -> None:
    partitions = StaticPartitionsDefinition(["north", "south"])
    upstream, seen = by_partition("upstream", {"north": 1, "south": 2}, partitions), list[Any]()
    project.materialize(upstream, partition="north")

    assert project.materialize(upstream, reading("total", seen), partition="south").success
    assert seen == [{"north": 1, "south": 2}]


def test_a_missing_partition_is_refused_or_left_out_if_the_input_allows_it(project: Project) -> None:
    upstream, seen = by_partition("upstream", {"north": 1}, PARTITIONS), list[Any]()
    project.materialize(upstream, partition="north")
    strict = reading("strict", seen)
    lenient = reading("lenient", seen, ins={"upstream": AssetIn(metadata={"allow_missing_partitions": True})})

    refused = project.materialize(upstream, strict, only=[strict])

    assert "was never materialized" in failure_text(refused)
    assert project.materialize(upstream, lenient, only=[lenient]).success
    assert seen == [{"north": 1}]


@pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")
def test_a_run_of_several_partitions_is_refused(project: Project) -> None:
    upstream = by_partition(
        "upstream", {"north": 1, "south": 2}, PARTITIONS, backfill_policy=BackfillPolicy.single_run()
    )
    first, last = PARTITIONS.get_partition_keys()[0], PARTITIONS.get_partition_keys()[-1]

    result = project.materialize(
        upstream,
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
    )

    assert "multi_run" in failure_text(result)
    assert not project.base_dir.exists()


def test_a_refused_value_is_not_tried_again(project: Project) -> None:
    tries: list[int] = []

    @asset(retry_policy=RetryPolicy(max_retries=3))
    def tides() -> Any:
        tries.append(1)
        return {1, 2}

    assert not project.materialize(tides).success
    assert len(tries) == 1


def test_keys_of_several_dimensions_are_partitions_too(project: Project) -> None:
    ports = StaticPartitionsDefinition(["a/b", ".."])
    both = MultiPartitionsDefinition({"day": StaticPartitionsDefinition(["1", "2"]), "port": ports})
    key = MultiPartitionKey({"day": "1", "port": "a/b"})
    seen: list[Any] = []

    @asset(partitions_def=both)
    def upstream(context: AssetExecutionContext) -> str:
        return str(context.partition_key)

    downstream = reading("downstream", seen, partitions_def=both)

    assert project.materialize(upstream, downstream, partition=key).success
    assert seen == [str(key)]
