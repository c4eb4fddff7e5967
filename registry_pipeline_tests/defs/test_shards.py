"""Shards as partitions: what the sensor adds and requests, what a run seals, and what run_registry takes from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
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

from registry_pipeline.config import CONFIG_NAME
from registry_pipeline.dagster.dagster_internals import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from registry_pipeline.defs.event_log import ROOT_KEY
from registry_pipeline.defs.shard_sensors import PARTITION_TAG
from registry_pipeline.defs.shards import CHECK_JOB, COMPLETE_CHECK, INDEX_ASSET, VERIFICATION_ASSET
from registry_pipeline.pipeline.verify import check_paths
from registry_pipeline.registries.base.shard_names import find_month, is_shard_run
from registry_pipeline.registries.run_registry import index_shards, line_cache
from registry_pipeline.runs import scan
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.command_line import call, environment
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import (
    DagsterRepo,
    codes_of,
    failure_of,
    open_dagster_repo,
    page_of,
    troubles,
    values_of,
)

RUNS = ".codex/RUNS"


def switch_on(root: Path, *lines: str) -> None:
    with (root / CONFIG_NAME).open("a", encoding="utf-8") as toml:
        toml.write("\n".join(["", "[dagster]", "shards = true", *lines, ""]))


@pytest.fixture
def sharded(known_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterRepo]:
    """A repository with shards, in which a folder may be as new as the run that reads it."""
    for module in (line_cache, index_shards):
        monkeypatch.setattr(module, "find_safe_change", lambda _started: 1 << 62)
    root = tmp_path / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    switch_on(root)
    with open_dagster_repo(root) as repo:
        yield repo
    make_removable(root)


def tick(repo: DagsterRepo, asset: str = INDEX_ASSET) -> SensorResult | SkipReason:
    """Evaluate the sensor of an asset, and apply its result as the daemon does, apart from the runs."""
    sensor = repo.definitions.resolve_sensor_def(f"{asset}_sensor")
    with build_sensor_context(instance=repo.instance, resources={"repository": repo.resource()}) as context:
        answer = sensor(context)
    assert isinstance(answer, SensorResult | SkipReason)
    for request in (answer.dynamic_partitions_requests or ()) if isinstance(answer, SensorResult) else ():
        change = repo.instance.add_dynamic_partitions
        if type(request).__name__ == "DeleteDynamicPartitionsRequest":
            for key in request.partition_keys:
                repo.instance.delete_dynamic_partition(request.partitions_def_name, key)
        else:
            change(request.partitions_def_name, list(request.partition_keys))
    return answer


def requested(repo: DagsterRepo, asset: str = INDEX_ASSET) -> dict[str, RunRequest]:
    """Return the requests of a tick by partition."""
    answer = tick(repo, asset)
    runs = answer.run_requests or () if isinstance(answer, SensorResult) else ()
    return {request.partition_key or "": request for request in runs}


def skipped(repo: DagsterRepo, asset: str = INDEX_ASSET) -> str:
    answer = tick(repo, asset)
    reason = answer.skip_reason if isinstance(answer, SensorResult) else answer
    assert isinstance(reason, SkipReason), answer
    return reason.skip_message or ""


def execute(repo: DagsterRepo, request: RunRequest, asset: str = INDEX_ASSET) -> ExecuteInProcessResult:
    return repo.execute(f"{asset}_job", partition_key=request.partition_key, tags=dict(request.tags))


def build_all(repo: DagsterRepo, asset: str = INDEX_ASSET) -> list[str]:
    """Execute the runs that the sensor requests, and return their partitions."""
    requests = requested(repo, asset)
    for request in requests.values():
        result = execute(repo, request, asset)
        assert result.success, troubles(result)
    return sorted(requests)


def events(repo: DagsterRepo, asset: str = INDEX_ASSET) -> Sequence[AssetMaterialization]:
    records = repo.instance.fetch_materializations(AssetKey(asset), limit=5000, ascending=True).records
    return [record.asset_materialization for record in records if record.asset_materialization is not None]


def page(event: AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def put(repo: DagsterRepo, name: str) -> Path:
    folder = repo.repository.publish_root / name
    folder.mkdir()
    (folder / "run.json").write_text('{"created_utc": "2026-01-02T00:00:00Z"}', encoding="utf-8")
    return folder


def months(repo: DagsterRepo) -> set[str]:
    return {f"{RUNS}/{find_month(name)}" for name in repo.folders()}


def test_without_the_option_there_are_no_shards(fresh: DagsterRepo) -> None:
    repository = fresh.definitions.get_repository_def()

    assert not [name for name in repository.job_names if "shard" in name or "verification" in name]
    assert AssetKey(INDEX_ASSET) not in fresh.definitions.resolve_asset_graph().get_all_asset_keys()


def test_the_sensor_adds_a_partition_for_each_root_and_month_and_requests_a_run_for_each(sharded: DagsterRepo) -> None:
    expected = months(sharded)

    built = build_all(sharded)

    assert isinstance(sharded.definitions.resolve_assets_def(INDEX_ASSET).partitions_def, DynamicPartitionsDefinition)
    assert set(built) >= expected
    assert set(sharded.instance.get_dynamic_partitions(INDEX_ASSET)) == set(built)
    pages = {event.partition: page(event) for event in events(sharded)}
    assert {key: each["state"] for key, each in pages.items()} == dict.fromkeys(built, "sealed")
    for each in pages.values():
        report = verify_folder(Path(each["run_folder"]))
        assert (report.verdict, report.root_sha256) == ("pass", each[ROOT_KEY])
        assert each["lines"] == each["folders"]
    assert "up to date" in skipped(sharded)


def test_a_rebuild_takes_its_lines_from_shards_and_seals_what_one_machine_would(
    sharded: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_all(sharded)
    before = {path.name for path in sharded.repository.publish_root.iterdir() if path.is_dir()}
    read_run, names = scan._read_run, list[str]()

    def note(root_path: str, run_root: str, run_id: str, *rest: Any) -> Any:
        names.append(run_id)
        return read_run(root_path, run_root, run_id, *rest)

    monkeypatch.setattr(scan, "_read_run", note)
    result = sharded.materialize("run_registry")
    monkeypatch.undo()

    assert result.success, troubles(result)
    shards = {name for name in before if is_shard_run(name)}
    assert set(names) == shards, "only what was sealed after the lines of its month"
    # The same moment on one machine: without shards and without a cache.
    run_id = page_of(result, "run_registry")["run_id"]
    sealed = (sharded.repository.publish_root / run_id / "RUN_REGISTRY_v0_1.jsonl").read_bytes()
    listed = {json.loads(line)["run_id"] for line in sealed.splitlines() if json.loads(line)["run_root"] == RUNS}
    assert listed == before


def test_only_the_month_of_a_new_folder_is_requested_again(sharded: DagsterRepo) -> None:
    build_all(sharded)
    put(sharded, "2019-05-05__000000__late")
    put(sharded, "scratch")

    assert build_all(sharded) == [f"{RUNS}/2019-05", f"{RUNS}/undated"]
    put(sharded, "2019-05-06__000000__late")
    assert build_all(sharded) == [f"{RUNS}/2019-05"]


def test_a_month_without_folders_loses_its_partition(sharded: DagsterRepo) -> None:
    folder = put(sharded, "2019-05-05__000000__late")
    build_all(sharded)
    shutil.rmtree(folder)

    assert requested(sharded) == {}
    assert f"{RUNS}/2019-05" not in sharded.instance.get_dynamic_partitions(INDEX_ASSET)


def test_a_run_without_a_partition_says_so(sharded: DagsterRepo) -> None:
    result = sharded.materialize(INDEX_ASSET)

    assert failure_of(result, INDEX_ASSET) == "the run has no partition, so no shard was built"


def test_after_three_failed_runs_of_a_shard_the_sensor_gives_up(
    sharded: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_all(sharded)
    put(sharded, "2019-05-05__000000__late")
    with monkeypatch.context() as full:
        full.setattr("registry_pipeline.runs.writer._refuse_unverified", _fail)
        for _ in range(3):
            (request,) = requested(sharded).values()
            assert not execute(sharded, request).success

    assert "3 runs failed; fix the cause, then launch run_registry_shards_job by hand" in skipped(sharded)
    put(sharded, "2019-05-06__000000__late")
    assert build_all(sharded) == [f"{RUNS}/2019-05"]


def _fail(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_folder_that_was_too_young_for_a_line_is_requested_once_it_is_older(
    sharded: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_all(sharded)
    put(sharded, "2019-05-05__000000__late")
    (request,) = requested(sharded).values()
    with monkeypatch.context() as young:
        for module in (line_cache, index_shards):
            young.setattr(module, "find_safe_change", lambda _started: 0)
        assert execute(sharded, request).success
        assert requested(sharded) == {}, "it has just changed"

    assert build_all(sharded) == [f"{RUNS}/2019-05"]
    assert "up to date" in skipped(sharded)


def test_a_partition_that_a_backfill_is_building_is_not_requested(sharded: DagsterRepo) -> None:
    keys = sorted(requested(sharded))
    job = sharded.definitions.resolve_job_def("__ASSET_JOB")
    tags = {ASSET_PARTITION_RANGE_START_TAG: keys[0], ASSET_PARTITION_RANGE_END_TAG: keys[0]}
    selection = frozenset({AssetKey(INDEX_ASSET)})
    sharded.instance.create_run_for_job(job, status=DagsterRunStatus.STARTED, tags=tags, asset_selection=selection)

    assert sorted(requested(sharded)) == keys[1:]
    other = set(requested(sharded, VERIFICATION_ASSET))
    assert keys[0] in other, "it is another asset"


def test_the_partitions_of_a_run_root_that_is_not_mounted_stay(sharded: DagsterRepo, tmp_path: Path) -> None:
    toml = sharded.repository.root / CONFIG_NAME
    toml.write_text(
        f'run_roots = ["{RUNS}", "mounted", "o\\tld"]\n' + toml.read_text(encoding="utf-8"), encoding="utf-8"
    )
    for name in ("mounted", "o\tld"):
        (sharded.repository.root / name / "2019-05-05__000000__late").mkdir(parents=True)

    assert "Dagster allows no partition with this name" in skipped_after_building(sharded)
    assert "mounted/2019-05" in sharded.instance.get_dynamic_partitions(INDEX_ASSET)
    (sharded.repository.root / "mounted").rename(tmp_path / "elsewhere")
    tick(sharded)
    assert "mounted/2019-05" in sharded.instance.get_dynamic_partitions(INDEX_ASSET)


def skipped_after_building(repo: DagsterRepo) -> str:
    build_all(repo)
    return skipped(repo)


def verified_again(repo: DagsterRepo) -> AssetCheckEvaluation:
    """Execute the check of all verdicts, and return its result."""
    result = repo.execute(CHECK_JOB)
    assert result.success, troubles(result)
    return repo.check(VERIFICATION_ASSET, COMPLETE_CHECK)


def run_cli(repo: DagsterRepo, *words: str) -> Any:
    root = repo.repository.root
    done = call("-C", str(root), *words, "--json", cwd=root, env=environment(root.parent))
    return json.loads(done.out)


def test_the_verdicts_of_all_shards_have_the_findings_of_verify_all(sharded: DagsterRepo) -> None:
    broken = next(path for path in sorted(sharded.repository.publish_root.glob("*")) if (path / "run.json").is_file())
    broken.chmod(0o755)
    (broken / "extra.txt").write_text("x", encoding="utf-8")

    build_all(sharded, VERIFICATION_ASSET)
    evaluation = verified_again(sharded)
    expected = run_cli(sharded, "verify", "--all")

    of_folders = [finding for result in expected["results"] for finding in result["findings"]]
    folders = [Path(page(event)["run_folder"]) for event in events(sharded, VERIFICATION_ASSET)]
    documents = [json.loads((folder / "RUN_VERDICTS_v0_1.json").read_bytes()) for folder in folders]
    sealed = [finding for document in documents for finding in document["findings"]]
    assert sorted(map(json.dumps, sealed)) == sorted(map(json.dumps, of_folders))
    assert any(finding["severity"] == "error" for finding in of_folders)
    counts = {name: value for name, value in values_of(evaluation.metadata).items() if name in expected["counts"]}
    assert counts == {name: expected["counts"][name] for name in counts}
    assert sum(counts.values()) == expected["counts"]["runs"], "the runs of the shards, too"
    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.ERROR)


def remove_invalid_folders(repo: DagsterRepo) -> None:
    for result in run_cli(repo, "verify", "--all")["results"]:
        if any(finding["severity"] == "error" for finding in result["findings"]):
            shutil.rmtree(repo.repository.path(result["path"]))


def test_the_check_passes_once_every_folder_has_a_verdict_and_fails_before(sharded: DagsterRepo) -> None:
    remove_invalid_folders(sharded)
    before = verified_again(sharded)
    build_all(sharded, VERIFICATION_ASSET)
    passed = verified_again(sharded)

    assert (before.passed, before.severity) == (False, AssetCheckSeverity.ERROR)
    assert set(codes_of(before.metadata)) == {"VERDICT_MISSING"}
    assert passed.passed, passed.description
    assert "up to date" in skipped(sharded, VERIFICATION_ASSET)


def test_a_new_folder_is_a_warning_and_never_a_pass(sharded: DagsterRepo) -> None:
    remove_invalid_folders(sharded)
    build_all(sharded, VERIFICATION_ASSET)
    put(sharded, "2026-01-20__000000__late")
    evaluation = verified_again(sharded)

    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.WARN)
    assert "VERDICT_MISSING: .codex/RUNS/2026-01: 1 folder (2026-01-20__000000__late) of the shard" in (
        evaluation.description or ""
    )
    assert requested(sharded, VERIFICATION_ASSET) == {}, "not before a day is over"


def test_a_repository_without_sealed_runs_does_not_pass(tmp_path: Path) -> None:
    switch_on(tmp_path)
    (tmp_path / RUNS).mkdir(parents=True)
    with open_dagster_repo(tmp_path) as repo:
        evaluation = verified_again(repo)

    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.WARN)
    assert evaluation.description == "0 folders in 0 shards: none verified"


def test_a_run_that_ends_while_it_verifies_seals_nothing(sharded: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    request = next(iter(requested(sharded, VERIFICATION_ASSET).values()))
    before = sharded.folders()

    def check_and_die(*arguments: Any, **options: Any) -> Any:
        run = sharded.instance.get_runs()[0]
        sharded.instance.report_run_failed(run)
        return check_paths(*arguments, **options)

    monkeypatch.setattr("registry_pipeline.pipeline.run_verification.check_paths", check_and_die)
    result = execute(sharded, request, VERIFICATION_ASSET)

    assert "is over, so this step of it reads and writes nothing" in failure_of(result, VERIFICATION_ASSET)
    assert sharded.folders() == before


@pytest.mark.parametrize("asset", [INDEX_ASSET, VERIFICATION_ASSET])
def test_the_daemon_gets_runs_for_partitions_that_the_same_tick_adds(sharded: DagsterRepo, asset: str) -> None:
    sensor = sharded.definitions.resolve_sensor_def(f"{asset}_sensor")
    repository = sharded.definitions.get_repository_def()
    resources = {"repository": sharded.resource()}

    with build_sensor_context(
        instance=sharded.instance,
        instance_ref=sharded.instance.get_ref(),
        repository_def=repository,
        resources=resources,
    ) as context:
        data = sensor.evaluate_tick(context)

    (added,) = data.dynamic_partitions_requests or ()
    keys = [request.tags[PARTITION_TAG] for request in data.run_requests or ()]
    assert keys
    assert sorted(keys) == sorted(added.partition_keys)


def test_force_seals_unchanged_lines_again(sharded: DagsterRepo) -> None:
    (key, *_) = build_all(sharded)
    forced = {"ops": {INDEX_ASSET: {"config": {"force": True}}}}

    for config, state in (({}, "unchanged"), (forced, "sealed")):
        assert sharded.execute(f"{INDEX_ASSET}_job", partition_key=key, run_config=config).success
        assert page(events(sharded)[-1])["state"] == state
