"""Members as partitions: what the sensor adds and requests, what a run seals, reports and checks."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterRunStatus,
    DynamicPartitionsDefinition,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from registry_pipeline.defs import collections
from registry_pipeline.pipeline import collection
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.collection_sources import FIRST, PACK, PACKS, RANGES, SECOND, write_pack, write_range
from registry_pipeline_tests.command_line import run_command
from registry_pipeline_tests.defs.conftest import DagsterRepo, checks_of, codes_of, failure_of, verdicts_of


def call(repo: DagsterRepo, *words: str) -> None:
    assert run_command(*words, cwd=repo.repository.root, env=os.environ).code == 0


def tick(repo: DagsterRepo, registry_id: str = RANGES) -> SensorResult | SkipReason:
    """Evaluate the sensor of a collection, and apply its result as the daemon does, apart from the runs."""
    sensor = repo.definitions.resolve_sensor_def(f"{registry_id}_sensor")
    with build_sensor_context(instance=repo.instance, resources={"repository": repo.resource()}) as context:
        answer = sensor(context)
    assert isinstance(answer, SensorResult | SkipReason)
    if isinstance(answer, SensorResult):
        for request in answer.dynamic_partitions_requests or ():
            repo.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for event in answer.asset_events:
            repo.instance.report_runless_asset_event(event)
    return answer


def requested(repo: DagsterRepo, registry_id: str = RANGES) -> RunRequest:
    answer = tick(repo, registry_id)
    assert isinstance(answer, SensorResult), answer
    (request,) = answer.run_requests or ()
    return request


def skipped(repo: DagsterRepo, registry_id: str = RANGES) -> str:
    answer = tick(repo, registry_id)
    assert not (isinstance(answer, SensorResult) and answer.run_requests)
    reason = answer.skip_reason if isinstance(answer, SensorResult) else answer
    assert isinstance(reason, SkipReason)
    return reason.skip_message or ""


def execute(repo: DagsterRepo, request: RunRequest, registry_id: str = RANGES) -> ExecuteInProcessResult:
    ops = {"ops": dict(request.run_config)["ops"]}
    return repo.execute(f"{registry_id}_job", run_config=ops, tags=dict(request.tags))


def launch(repo: DagsterRepo, *keys: str, force: bool = False, registry_id: str = RANGES) -> ExecuteInProcessResult:
    """Launch members as a backfill does: one run for the range from the first to the last."""
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    config = {"ops": {registry_id: {"config": {"force": force}}}}
    return repo.execute(f"{registry_id}_job", run_config=config, tags=tags)


def partitions(repo: DagsterRepo, registry_id: str = RANGES) -> list[str]:
    return list(repo.instance.get_dynamic_partitions(registry_id))


def events(repo: DagsterRepo, asset: str = RANGES) -> Sequence[AssetMaterialization]:
    """Return the materializations of an asset, the oldest first."""
    records = repo.instance.fetch_materializations(AssetKey(asset), limit=5000, ascending=True).records
    return [record.asset_materialization for record in records if record.asset_materialization is not None]


def states(repo: DagsterRepo) -> list[tuple[str | None, Any]]:
    return [(event.partition, event.metadata["state"].value) for event in events(repo)]


def member_folders(repo: DagsterRepo, member_id: str) -> list[str]:
    return sorted(name for name in repo.folders() if f"__{member_id}__" in name)


@pytest.fixture
def ready(fresh: DagsterRepo) -> DagsterRepo:
    call(fresh, "init")
    return fresh


def test_both_collections_are_in_the_graph_with_their_members_as_dynamic_partitions(fresh: DagsterRepo) -> None:
    for registry_id in (RANGES, PACKS):
        members = fresh.definitions.resolve_assets_def(registry_id).partitions_def
        assert isinstance(members, DynamicPartitionsDefinition)
        assert members.name == registry_id
        keys = fresh.definitions.resolve_asset_graph().get_all_asset_keys()
        assert {AssetKey(registry_id), AssetKey(f"{registry_id}_index")} <= set(keys)


def test_the_sensor_adds_partitions_and_requests_one_run_that_seals_reports_and_checks_them(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    write_range(ready.repository.root, SECOND)

    result = execute(ready, requested(ready))

    assert result.success
    assert partitions(ready) == [FIRST, SECOND]
    assert states(ready) == [(FIRST, "sealed"), (SECOND, "sealed")]
    (index,) = events(ready, f"{RANGES}_index")
    assert index.metadata["run_id"].value in ready.folders()
    assert verdicts_of(result, RANGES) == {"seal": True, "schema": True, "rules": True}
    assert "checked 2 members (of this run)" in str(checks_of(result, RANGES)["seal"].description)


def test_a_repeated_tick_requests_nothing_more(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    first, again = requested(ready), requested(ready)
    assert first.run_key == again.run_key
    assert execute(ready, first).success
    before = ready.folders()

    assert skipped(ready) == "every member with a source is sealed"
    assert (partitions(ready), states(ready), ready.folders()) == ([FIRST], [(FIRST, "sealed")], before)


def test_what_the_command_line_sealed_is_reported_and_not_sealed_again(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    call(ready, "build", RANGES, "--only")
    before = ready.folders()

    assert skipped(ready) == "every member with a source is sealed"

    assert (partitions(ready), states(ready), ready.folders()) == ([FIRST], [(FIRST, "unchanged")], before)
    assert isinstance(tick(ready), SkipReason)


def test_a_changed_member_is_requested_and_sealed_beside_the_old_folder(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    write_range(ready.repository.root, SECOND)
    assert execute(ready, requested(ready)).success
    write_range(ready.repository.root, SECOND, days=3)

    request = requested(ready)
    assert request.tags["dagster/asset_partition_range_start"] == SECOND
    assert execute(ready, request).success

    assert states(ready)[2:] == [(SECOND, "sealed")]
    assert [len(member_folders(ready, name)) for name in (FIRST, SECOND)] == [1, 2]


def test_a_removed_source_leaves_partition_and_folder(ready: DagsterRepo) -> None:
    source = write_range(ready.repository.root, FIRST)
    assert execute(ready, requested(ready)).success
    source.unlink()

    assert skipped(ready) == "every member with a source is sealed"
    assert launch(ready, FIRST).success

    assert partitions(ready) == [FIRST]
    assert states(ready) == [(FIRST, "sealed"), (FIRST, "unchanged")]
    assert len(member_folders(ready, FIRST)) == 1


def test_a_backfill_from_the_page_reports_every_member_and_force_seals_it_again(ready: DagsterRepo) -> None:
    for member_id in (FIRST, SECOND):
        write_range(ready.repository.root, member_id)
    assert execute(ready, requested(ready)).success

    assert launch(ready, FIRST, SECOND).success
    assert states(ready)[2:] == [(FIRST, "unchanged"), (SECOND, "unchanged")]

    assert launch(ready, FIRST, SECOND, force=True).success
    assert states(ready)[4:] == [(FIRST, "sealed"), (SECOND, "sealed")]


def test_a_partition_key_run_seals_one_member(ready: DagsterRepo) -> None:
    for member_id in (FIRST, SECOND):
        write_range(ready.repository.root, member_id)
    tick(ready)

    assert ready.execute(f"{RANGES}_job", partition_key=SECOND).success

    assert states(ready) == [(SECOND, "sealed")]


def test_a_pack_that_differs_from_its_hashes_fails_the_source_check_and_the_others_are_sealed(
    ready: DagsterRepo,
) -> None:
    write_pack(ready.repository.root)
    (write_pack(ready.repository.root, "p1_20260121_001") / "qc_report.json").write_text("{}", encoding="utf-8")

    result = execute(ready, requested(ready, PACKS), PACKS)

    assert result.success
    assert [event.partition for event in events(ready, PACKS)] == [PACK]
    source = checks_of(result, PACKS)["source"]
    assert not source.passed
    assert codes_of(source.metadata) == ["CAPTURE_PACK_HASH_MISMATCH"]
    # It is requested once: only a change of the pack is a reason to try again.
    request = requested(ready, PACKS)
    assert execute(ready, request, PACKS).success
    assert "cannot be sealed as they are" in skipped(ready, PACKS)


def test_a_failing_run_is_requested_three_times(ready: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    write_range(ready.repository.root, FIRST)

    def fail(*_args: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collection, "seal_all_built", fail)
    keys = []
    for _ in range(3):
        request = requested(ready)
        keys.append(request.run_key)
        assert not execute(ready, request).success
    assert len(set(keys)) == 3
    assert "3 runs failed" in skipped(ready)


def test_while_a_run_is_not_finished_none_is_requested(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    request = requested(ready)
    job = ready.definitions.resolve_job_def(f"{RANGES}_job")
    run = ready.instance.create_run_for_job(job, status=DagsterRunStatus.STARTED, tags=dict(request.tags))

    assert skipped(ready) == f"a run of {RANGES}_job is not finished"

    ready.instance.report_run_failed(run)
    assert requested(ready).run_key == request.run_key.replace(":0", ":1")  # type: ignore[union-attr]


def test_more_members_than_one_run_takes_are_requested_in_batches(
    ready: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collections, "BATCH_SIZE", 40)
    names = [f"{number:03}" for number in range(100)]
    for name in names:
        write_range(ready.repository.root, name)
    sealed = []
    for expected in (40, 40, 20):
        assert execute(ready, requested(ready)).success
        sealed.append(len(events(ready)))
        assert sealed[-1] == sum(sealed[-2:-1]) + expected
    assert skipped(ready) == "every member with a source is sealed"
    assert partitions(ready) == names


def test_a_thousand_new_members_are_two_ticks_and_two_requests(ready: DagsterRepo) -> None:
    folder = write_range(ready.repository.root, "0000").parent
    text = (folder / "validate_range_0000_days.jsonl").read_text(encoding="utf-8")
    for number in range(1, 1000):
        (folder / f"validate_range_{number:04}_days.jsonl").write_text(text, encoding="utf-8")

    first = requested(ready)
    assert len(partitions(ready)) == 500
    assert first.tags["dagster/asset_partition_range_end"] == "0499"
    tick(ready)
    assert len(partitions(ready)) == 1000


def test_a_member_without_source_and_run_is_refused_by_name(ready: DagsterRepo) -> None:
    ready.instance.add_dynamic_partitions(RANGES, ["nobody"])
    result = launch(ready, "nobody")
    assert "neither a source nor a sealed run of nobody" in failure_of(result, RANGES)


def test_a_disabled_collection_is_not_fed(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    with (ready.repository.root / "registry-pipeline.toml").open("r+", encoding="utf-8") as toml:
        text = toml.read()
        toml.seek(0)
        toml.write(f'disabled = ["{RANGES}"]\n{text}')
    assert skipped(ready) == f"{RANGES} is disabled in registry-pipeline.toml"
    assert partitions(ready) == []


def test_run_json_of_a_member_names_its_dagster_run_and_its_member(ready: DagsterRepo) -> None:
    write_range(ready.repository.root, FIRST)
    result = execute(ready, requested(ready))
    (name,) = member_folders(ready, FIRST)
    stated = ready.run_json(name)
    assert (stated["partition"], stated["dagster_run_id"]) == (FIRST, result.run_id)
    assert stated["run_type"] == SHIPPED.spec_of(RANGES).tag
    assert json.dumps(stated["source_operation_id"]) == '"OP-D04"'


def test_materialized_without_a_partition_it_seals_everything_that_is_new(ready: DagsterRepo) -> None:
    empty = ready.materialize(RANGES)
    assert empty.success
    assert not checks_of(empty, RANGES)["source"].passed
    write_range(ready.repository.root, FIRST)

    assert ready.materialize(RANGES).success

    assert (partitions(ready), states(ready)) == ([FIRST], [(FIRST, "sealed")])
    assert ready.materialize(RANGES).success
    assert states(ready) == [(FIRST, "sealed")]
