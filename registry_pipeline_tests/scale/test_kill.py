"""A worker, or the process of a run, is killed in the middle of a run."""

from __future__ import annotations

import os
import signal

import pytest
from dagster import DagsterEventType, DagsterRunStatus

from registry_pipeline.defs.proposal import REBUILD_JOB, propose
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, until
from registry_pipeline_tests.scale.deployment import Deployment, list_children

pytestmark = [pytest.mark.process, pytest.mark.soak]


def test_a_killed_worker_fails_its_run_and_leaves_no_half_folder_and_the_next_run_succeeds(
    deployment: Deployment,
) -> None:
    before, pointers = deployment.folders(), deployment.repository.pointer_path.read_bytes()
    workers = dict(zip(("first", "second"), deployment.start_workers("first", "second"), strict=True))
    process, torn = deployment.start_run(REBUILD_JOB)
    until("a sealed run", lambda: deployment.folders() - before or None, WORK_SECONDS)
    with deployment.git_withheld() as since:
        step = until("a step that waits", lambda: deployment.find_waiting_step(torn, since), WORK_SECONDS)
        worker = until("its worker", lambda: deployment.workers_of_steps(torn).get(step), START_SECONDS)
        (child,) = list_children(workers[worker])
        os.kill(child, signal.SIGKILL)
    process.wait(WORK_SECONDS)
    torn_folders = deployment.folders() - before

    assert deployment.run(torn).status is DagsterRunStatus.FAILURE
    assert 0 < len(torn_folders) < len(REGISTRIES)
    deployment.check_folders(torn_folders)

    whole = deployment.execute(REBUILD_JOB)
    proposal = propose(deployment.instance, deployment.repository)

    assert whole.status is DagsterRunStatus.SUCCESS
    assert {run.registry_id for run in proposal.runs} == set(REGISTRIES)
    assert {run.ref.run_id for run in proposal.runs}.isdisjoint(torn_folders)
    deployment.check_folders(deployment.folders() - before)
    assert deployment.repository.pointer_path.read_bytes() == pointers


def test_a_step_that_waited_in_the_queue_when_its_run_died_writes_nothing(deployment: Deployment) -> None:
    before = deployment.folders()
    process, dead = deployment.start_run(REBUILD_JOB)
    until("steps in the queue", lambda: deployment.queued() or None, WORK_SECONDS)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # What Dagster's daemon does when it finds that the process of a run is gone.
    deployment.instance.report_run_failed(deployment.run(dead))

    deployment.start_workers("late")
    until("an empty queue", lambda: deployment.queued() == 0 or None, WORK_SECONDS)
    ends = (DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SUCCESS)
    until("the end of a step", lambda: deployment.events(dead, *ends) or None, WORK_SECONDS)

    failures = deployment.events(dead, DagsterEventType.STEP_FAILURE)
    assert failures
    assert all(f"the Dagster run {dead} is over" in str(f.step_failure_data.error) for f in failures)
    assert deployment.events(dead, DagsterEventType.ASSET_MATERIALIZATION) == []
    assert deployment.folders() == before
    assert propose(deployment.instance, deployment.repository).runs == ()
