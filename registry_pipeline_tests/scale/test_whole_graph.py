"""The whole graph by two workers: runs that die, a rebuild, and its activation under two daemons.

One test, because the start of workers, of a database and of runs takes most of its time. Each part uses what the parts
before it left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter

from registry_pipeline.cli.commands.ui import find_dagster_commands, prepare_home
from registry_pipeline.config import load_repository
from registry_pipeline.defs.active_assets import ACTIVATE_JOB
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.proposal import CLOSURE_TAG, POINTERS_ASSET, REBUILD_JOB, propose
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.defs.conftest import QUIET, REGISTRIES, DagsterRepo
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, until
from registry_pipeline_tests.scale.deployment import Deployment
from registry_pipeline_tests.scale.pauses import MOVE, seal_point

pytestmark = pytest.mark.process

# Dagster's daemon would launch a run that died once more, in the middle of the next part.
ONCE = {"dagster/max_retries": "0"}
# Built from run_registry; two other registries are built from it.
KILLED = "op_status_table"
# Built from their sources alone.
EARLY, LATE = "run_registry", "role_registry"


def test_two_workers_build_the_whole_graph_and_under_two_daemons_the_pointers_move_once(
    deployment: Deployment, tmp_path: Path
) -> None:
    a_run_that_dies_while_its_steps_are_in_the_queue_writes_nothing(deployment)
    a_killed_worker_ends_its_run_whose_last_folder_nobody_accepts(deployment)
    two_workers_seal_the_bytes_of_one_process(deployment, tmp_path / "one_process")
    two_daemons_move_the_pointers_once(deployment)


def a_run_that_dies_while_its_steps_are_in_the_queue_writes_nothing(deployment: Deployment) -> None:
    """Start the workers after the end of the run."""
    before = deployment.folders()
    process, dead = deployment.start_run(REBUILD_JOB, tags=ONCE)
    until("steps in the queue", lambda: deployment.queued() or None, WORK_SECONDS, pause=0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # What Dagster's daemon does when it finds that the process of a run is gone.
    deployment.instance.report_run_failed(deployment.run(dead))
    count = deployment.queued()

    deployment.start_workers("first", "second")
    ends = (DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SUCCESS)
    until("the end of each step", lambda: len(deployment.events(dead, *ends)) == count or None, WORK_SECONDS, pause=0.1)

    failures = deployment.events(dead, DagsterEventType.STEP_FAILURE)
    assert len(failures) == count > 0
    assert all(f"the Dagster run {dead} is over" in str(f.step_failure_data.error) for f in failures)
    assert deployment.events(dead, DagsterEventType.ASSET_MATERIALIZATION) == []
    assert deployment.folders() == before


def a_killed_worker_ends_its_run_whose_last_folder_nobody_accepts(deployment: Deployment) -> None:
    """Kill the process of one worker before it seals; the other worker seals when the run is over."""
    before, pointers = deployment.folders(), deployment.repository.pointer_path.read_bytes()
    with deployment.hold(seal_point(LATE)) as late:
        process, torn = deployment.start_run(REBUILD_JOB, tags=ONCE)
        with deployment.hold(seal_point(KILLED)) as killed:
            until("two steps that seal", lambda: (late() and killed()) or None, WORK_SECONDS, pause=0.1)
            (child,) = killed()
            os.kill(child, signal.SIGKILL)
            process.wait(WORK_SECONDS)
        in_time = deployment.folders() - before
        assert deployment.run(torn).status is DagsterRunStatus.FAILURE
        assert 0 < len(in_time) < len(REGISTRIES)
        deployment.check_folders(in_time)

    def find_late() -> set[str] | None:
        events = deployment.events(torn, DagsterEventType.ASSET_MATERIALIZATION)
        return (deployment.folders() - before - in_time) if any(e.step_key == LATE for e in events) else None

    # It is whole, and its checks pass if a person launches them. It is no candidate all the same.
    (name,) = until("the folder that is sealed late", find_late, WORK_SECONDS, pause=0.1)
    deployment.check_folders({name})
    definitions = build_defs(deployment.repository.root)
    repo = DagsterRepo(deployment.repository, deployment.instance, definitions)
    assert repo.materialize_checks(f"check_{LATE}").success
    proposal = propose(deployment.instance, deployment.repository)
    assert name not in {run.ref.run_id for run in proposal.runs}
    assert f"{name} was sealed after the Dagster run {torn[:8]}" in proposal.obstacles[LATE].reason
    assert deployment.repository.pointer_path.read_bytes() == pointers


def two_workers_seal_the_bytes_of_one_process(deployment: Deployment, copy: Path) -> None:
    """Rebuild by workers, and in this process on a copy: every byte is the same, also of run.json and the manifest."""
    repository, before = deployment.repository, deployment.folders()
    with copied_repository(repository.root, copy) as root:
        # Two steps wait for each other, so that each worker has one of them.
        with deployment.hold(seal_point(EARLY)) as early, deployment.hold(seal_point(LATE)) as late:
            process, run_id = deployment.start_run(REBUILD_JOB)
            until("two steps that seal", lambda: (early() and late()) or None, WORK_SECONDS, pause=0.1)
        process.wait(WORK_SECONDS)
        sealed = deployment.folders() - before
        record = deployment.instance.get_run_record_by_id(run_id)
        assert record is not None
        assert record.dagster_run.is_success
        assert record.start_time is not None
        assert abs(record.create_timestamp.timestamp() - record.start_time) < START_SECONDS, "a time zone"
        again = rebuild_in_process(root, run_id, datetime.fromtimestamp(record.start_time, UTC))
        one_process = read_tree(load_repository(root).publish_root, again)

    assert set(deployment.workers_of_steps(run_id).values()) == {"first", "second"}
    assert len(sealed) == len(REGISTRIES)
    deployment.check_folders(sealed)
    assert read_tree(repository.publish_root, sealed) == one_process
    proposal = propose(deployment.instance, repository)
    assert {run.registry_id for run in proposal.runs} == set(REGISTRIES)
    assert {run.ref.run_id for run in proposal.runs} == sealed


def two_daemons_move_the_pointers_once(deployment: Deployment) -> None:
    """Let an activation that a daemon launched, and a second one of the same runs, compete for the pointers.

    Dagster looks up the key of a request before it launches a run: two daemons that look at once launch two runs. Here
    a process launches the second.
    """
    repository = deployment.repository
    assert read_chain_state(repository).records == ()
    proposed = {run.registry_id: run.ref for run in propose(deployment.instance, repository).runs}
    activations = RunsFilter(job_name=ACTIVATE_JOB)
    with deployment.hold(MOVE) as waiting:
        _, command = find_dagster_commands(repository.dagster_home, 0)
        daemons = {name: deployment.start(name, *command) for name in ("daemon_1", "daemon_2")}
        until("an activation by a daemon", lambda: waiting() or None, WORK_SECONDS, pause=0.1)
        by_daemon = deployment.instance.get_runs(activations)[-1]
        tags = {name: by_daemon.tags[name] for name in (CLOSURE_TAG, "dagster/run_key", "dagster/sensor_name")}
        process, second = deployment.start_run(ACTIVATE_JOB, run_config=by_daemon.run_config, tags=tags)
        # Both have validated the runs, with the same pointers.
        until("both activations", lambda: len(waiting()) == 2 or None, WORK_SECONDS, pause=0.1)
        assert read_chain_state(repository).records == ()
    process.wait(WORK_SECONDS)

    def both_daemons_are_at_work() -> bool | None:
        assert all(daemon.poll() is None for daemon in daemons.values())
        texts = [deployment.log(name).read_text(encoding="utf-8") for name in daemons]
        return all("Instance is configured" in text for text in texts) or None

    until("both daemons", both_daemons_are_at_work, START_SECONDS)
    run_ids = {run.run_id for run in deployment.instance.get_runs(activations)}
    runs = deployment.await_runs(run_ids | {by_daemon.run_id, second})

    moves = {run.run_id: deployment.count_moves(run.run_id) for run in runs}
    raced = {run_id: moves[run_id] for run_id in (by_daemon.run_id, second)}
    chain = read_chain_state(repository)
    # One that is refused each time, because a loaded machine seals slowly, fails and has moved nothing.
    assert all(run.is_success for run in runs if moves[run.run_id])
    assert sorted(raced.values()) == [0, len(REGISTRIES)]
    assert sum(moves.values()) == len(REGISTRIES)
    # The one that lost was refused at the lock, and did its work again: there was a race.
    (lost,) = (run_id for run_id, moved in raced.items() if moved == 0)
    retries = deployment.events(lost, DagsterEventType.STEP_UP_FOR_RETRY)
    assert POINTERS_ASSET in {event.step_key for event in retries}
    assert (chain.state, chain.findings, len(chain.records)) == ("committed", (), 2), "the first record, and the move"
    assert read_pointers(repository).active_refs() == proposed


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
    shutil.rmtree(repository.dagster_home)
    prepare_home(repository.dagster_home)
    before = {entry.name for entry in repository.publish_root.iterdir()}
    with pytest.MonkeyPatch.context() as patch, DagsterInstance.ephemeral() as instance:
        patch.setattr(RepositoryResource, "started", lambda *_: started)
        job = build_defs(root).resolve_job_def(REBUILD_JOB)
        assert job.execute_in_process(instance=instance, run_id=run_id, run_config=QUIET).success
    return {entry.name for entry in repository.publish_root.iterdir()} - before
