"""Shards built and verified by two workers, merged to the bytes of one process."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import CONFIG_NAME, DagsterTable
from registry_pipeline.defs.active_assets import utc_now
from registry_pipeline.defs.shard_sensors import PARTITION_TAG
from registry_pipeline.defs.shards import (
    INDEX_ASSET,
    VERIFICATION_ASSET,
    list_pending_index_shards,
    list_pending_verifications,
    make_job_name,
)
from registry_pipeline.pipeline.run_verification import summarize_verification
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.run_registry.build import ARTIFACT, build_run_registry
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs import scan
from registry_pipeline.values import replace
from registry_pipeline_tests.command_line import call, environment
from registry_pipeline_tests.defs.served import WORK_SECONDS, until
from registry_pipeline_tests.defs.test_history_served import BACKFILL
from registry_pipeline_tests.registries.builder_values import CONTEXT
from registry_pipeline_tests.scale.deployment import deploy
from registry_pipeline_tests.scale.servers import Postgres, Redis
from registry_pipeline_tests.scale.test_backfill import list_backfill_runs, serve

pytestmark = pytest.mark.process


@pytest.fixture
def months(known_repository: Path, tmp_path: Path) -> Path:
    """A repository with shards, and with folders of two more months."""
    root = tmp_path / "source"
    shutil.copytree(known_repository, root, symlinks=True)
    with (root / CONFIG_NAME).open("a", encoding="utf-8") as toml:
        toml.write("\n[dagster]\nshards = true\n")
    for month in range(1, 3):
        folder = root / f".codex/RUNS/2019-0{month}-01__000000__op"
        folder.mkdir()
        (folder / "run.json").write_text('{"operation_id": "OP-A01"}', encoding="utf-8")
    return root


def test_two_workers_build_and_verify_the_shards_and_a_build_has_the_bytes_of_one_machine(
    months: Path, tmp_path: Path, postgres: Postgres, queue: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deploy(months, tmp_path / "repository", postgres, queue, whole_runs=True) as deployment:
        repository = deployment.repository
        root = repository.root
        verified = call("-C", str(root), "verify", "--all", "--json", cwd=root, env=environment(tmp_path))
        # As the sensors request them, as soon as the folders are no longer young.
        later = utc_now() + timedelta(minutes=1)
        pending = {
            INDEX_ASSET: list_pending_index_shards(repository, later)[1],
            VERIFICATION_ASSET: list_pending_verifications(repository, later)[1],
        }
        for asset, shards in pending.items():
            deployment.instance.add_dynamic_partitions(asset, [str(item.shard) for item in shards])
        deployment.start_workers("first", "second")
        with deployment.shared_by_two_workers():
            run_ids = [
                deployment.queue_run(make_job_name(asset), {}, **{PARTITION_TAG: str(item.shard)})
                for asset, shards in pending.items()
                for item in shards
            ]
        runs = deployment.await_runs(run_ids)
        workers = {worker for run in runs for worker in deployment.workers_of_runs(run.run_id)}
        summary = summarize_verification(repository, utc_now())

        assert all(len(shards) > 2 for shards in pending.values()), pending
        assert all(run.is_success for run in runs)
        assert workers == {"first", "second"}
        # (1) The verdicts are those of `verify --all`.
        of_folders = [finding for result in json.loads(verified.out)["results"] for finding in result["findings"]]
        assert sorted(json.dumps(f.to_json()) for f in summary.findings) == sorted(map(json.dumps, of_folders))
        assert summary.is_complete
        # (2) A build reads only what was sealed meanwhile, and has the bytes of one that reads everything.
        names: list[str] = []
        read_run = scan._read_run

        def note(root_path: str, run_root: str, run_id: str, *rest: Any) -> Any:
            names.append(run_id)
            return read_run(root_path, run_root, run_id, *rest)

        monkeypatch.setattr(scan, "_read_run", note)
        context = SourceContext(started=utc_now(), specs=SHIPPED.registries, write_caches=False)
        merged = read_run_registry_inputs(repository, context)
        read_for_merge = names.copy()
        alone = replace(repository, config=replace(repository.config, dagster=DagsterTable()))
        one_machine = read_run_registry_inputs(alone, context)
        assert build_run_registry(merged.inputs, CONTEXT).files == build_run_registry(one_machine.inputs, CONTEXT).files
        assert merged.findings == one_machine.findings
        assert all("_shard." in name for name in read_for_merge), read_for_merge
        assert len(build_run_registry(merged.inputs, CONTEXT).files[ARTIFACT].splitlines()) > len(read_for_merge)


@pytest.mark.soak
def test_a_backfill_is_a_run_for_each_shard_and_spreads_over_two_workers(
    months: Path, tmp_path: Path, postgres: Postgres, queue: Redis
) -> None:
    with deploy(months, tmp_path / "repository", postgres, queue, whole_runs=True) as deployment:
        keys = [
            str(item.shard)
            for item in list_pending_index_shards(deployment.repository, utc_now() + timedelta(minutes=1))[1]
        ]
        deployment.instance.add_dynamic_partitions(INDEX_ASSET, keys)
        deployment.start_workers("first", "second")
        served = serve(deployment)
        selected = {"assetSelection": [{"path": [INDEX_ASSET]}], "partitionNames": keys}
        backfill_id = served.graphql(BACKFILL, params=selected)["launchPartitionBackfill"]["backfillId"]
        runs = until("the backfill", lambda: list_backfill_runs(served, backfill_id), WORK_SECONDS)

        assert len(runs) == len(keys)
        assert {worker for run_id in runs for worker in deployment.workers_of_runs(run_id)} == {"first", "second"}
        assert list_pending_index_shards(deployment.repository, utc_now())[1] == []
