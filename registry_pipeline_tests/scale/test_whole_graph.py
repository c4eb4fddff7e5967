"""A rebuild by two workers, activated under two daemons."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, RunsFilter

from registry_pipeline.cli.commands.ui import find_dagster_commands, prepare_home
from registry_pipeline.config import load_repository
from registry_pipeline.defs.active_assets import ACTIVATE_JOB
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.proposal import REBUILD_JOB, propose
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.defs.conftest import QUIET, REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, until
from registry_pipeline_tests.scale.deployment import Deployment

pytestmark = [pytest.mark.process, pytest.mark.soak]

TICK = "Checking for new runs for sensor: activation_sensor"


def read_tree(root: Path, names: set[str]) -> Mapping[str, bytes]:
    """Return every file of some run folders, by its path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for name in sorted(names)
        for path in sorted((root / name).rglob("*"))
        if path.is_file()
    }


def rebuild_in_process(root: Path, run_id: str, started: datetime) -> set[str]:
    """Rebuild a repository in this process, as the Dagster run of that id and start; return the new folders."""
    repository = load_repository(root)
    prepare_home(repository.dagster_home)
    before = {entry.name for entry in repository.publish_root.iterdir()}
    with pytest.MonkeyPatch.context() as patch, DagsterInstance.ephemeral() as instance:
        patch.setattr(RepositoryResource, "started", lambda *_: started)
        job = build_defs(root).resolve_job_def(REBUILD_JOB)
        assert job.execute_in_process(instance=instance, run_id=run_id, run_config=QUIET).success
    return {entry.name for entry in repository.publish_root.iterdir()} - before


def test_two_workers_seal_the_same_bytes_as_one_process_and_two_daemons_move_the_pointers_once(
    deployment: Deployment, known_repository: Path, tmp_path: Path
) -> None:
    repository, before = deployment.repository, deployment.folders()
    assert read_chain_state(repository).records == ()
    deployment.start_workers("first", "second")
    process, run_id = deployment.start_run(REBUILD_JOB)
    process.wait(WORK_SECONDS)
    sealed = deployment.folders() - before
    record = deployment.instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.dagster_run.is_success
    assert record.start_time is not None
    assert abs(record.create_timestamp.timestamp() - record.start_time) < START_SECONDS, "a time zone"

    # (1) The same run in one process, on a copy: every byte is the same, also of run.json and the manifest.
    with copied_repository(known_repository, tmp_path / "one_process") as root:
        shutil.copy(repository.root / "registry-pipeline.toml", root)
        again = rebuild_in_process(root, run_id, datetime.fromtimestamp(record.start_time, UTC))
        one_process = read_tree(load_repository(root).publish_root, again)
    assert set(deployment.workers_of_steps(run_id).values()) == {"first", "second"}
    assert read_tree(repository.publish_root, sealed) == one_process

    # (2) Two daemons evaluate the sensor on one PostgreSQL.
    proposed = {run.registry_id: run.ref for run in propose(deployment.instance, repository).runs}
    assert set(proposed) == set(REGISTRIES)
    _, daemon = find_dagster_commands(repository.dagster_home, 0)
    daemons = {name: deployment.start(name, *daemon) for name in ("daemon_1", "daemon_2")}

    def activated() -> list[DagsterRun] | None:
        """Return the activations once all are over and each daemon has evaluated the sensor."""
        assert all(process.poll() is None for process in daemons.values())
        logs = [deployment.log(name).read_text(encoding="utf-8") for name in daemons]
        runs = deployment.instance.get_runs(RunsFilter(job_name=ACTIVATE_JOB))
        complete = runs and all(run.is_finished for run in runs) and all(TICK in log for log in logs)
        return list(runs) if complete else None

    runs = until("the activation", activated, WORK_SECONDS)

    chain = read_chain_state(repository)
    moved = [count for run in runs if (count := deployment.count_moves(run.run_id))]
    assert all(run.is_success for run in runs)
    assert moved == [len(REGISTRIES)]
    assert (chain.state, chain.findings, len(chain.records)) == ("committed", (), 2), "the first record, and the move"
    assert read_pointers(repository).active_refs() == proposed
