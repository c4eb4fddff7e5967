"""Thirty days over two workers, and a machine that is lost, under the daemon.

`make test` has the backfill by whole runs, `make soak` all.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterEventType, DagsterRunStatus, RunsFilter
from dagster import DagsterRun as Run
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from registry_pipeline.cli.commands.ui import find_dagster_commands
from registry_pipeline.config import CONFIG_NAME, load_repository
from registry_pipeline.dagster.dagster_internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.daily import DAILY_JOB
from registry_pipeline.defs.job_limits import MAX_RUNTIME_TAG
from registry_pipeline.defs.proposal import REBUILD_JOB, propose
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import daily
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base import seal_build
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Served, until
from registry_pipeline_tests.defs.test_history_served import ASSET, DAYS, STATE
from registry_pipeline_tests.histories import make_historic
from registry_pipeline_tests.scale.deployment import Deployment, deploy, list_children
from registry_pipeline_tests.scale.servers import HOST, Postgres, Redis, find_free_port

pytestmark = pytest.mark.process


def serve(deployment: Deployment) -> Served:
    """Start webserver, then daemon, and wait for the webserver."""
    port = find_free_port()
    web, daemon = find_dagster_commands(deployment.repository.dagster_home, port)
    served = Served(f"http://{HOST}:{port}", deployment.repository)
    deployment.start("web", *web)

    def answers() -> bool | None:
        try:
            return bool(served.location())
        except OSError:
            return None

    until("the webserver", answers, START_SECONDS)
    deployment.start("daemon", *daemon)
    return served


@pytest.fixture(scope="module")
def historic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_historic(tmp_path_factory.mktemp("historic") / "repository").root


@pytest.fixture(params=[pytest.param("steps", marks=pytest.mark.soak), "runs"])
def history(
    request: pytest.FixtureRequest, historic: Path, tmp_path: Path, postgres: Postgres, queue: Redis
) -> Iterator[Deployment]:
    """A repository with a past, whose steps are executed by workers, or whose runs are."""
    with deploy(historic, tmp_path / "repository", postgres, queue, whole_runs=request.param == "runs") as deployed:
        yield deployed


def list_backfill_runs(served: Served, backfill_id: str) -> list[str] | None:
    """Return the runs of a backfill that is complete, else None."""
    state = served.graphql(STATE, id=backfill_id)
    runs, status = state["runsOrError"]["results"], state["partitionBackfillOrError"]["status"]
    assert status in ("REQUESTED", "COMPLETED", "COMPLETED_SUCCESS"), state
    return None if status == "REQUESTED" else [run["runId"] for run in runs if run["status"] == "SUCCESS"]


def add_backfill(deployment: Deployment, days: list[str]) -> str:
    """Request a backfill of the days, as the page of the asset does, and return its id."""
    asset = AssetKey(ASSET["path"])
    backfill_id = make_new_backfill_id()
    deployment.instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id,
            build_defs(deployment.repository.root).resolve_asset_graph(),
            days,
            [asset],
            datetime.now(UTC).timestamp(),  # noqa: TID251 - Dagster takes no partition that is later than this
            tags={},
            dynamic_partitions_store=deployment.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )
    return backfill_id


def test_thirty_days_in_two_backfills_are_sealed_by_two_workers_as_by_one_process(
    history: Deployment, historic: Path, tmp_path: Path
) -> None:
    days = DAYS[:30]
    ids = [add_backfill(history, half) for half in (days[:15], days[15:])]
    history.start_workers("first", "second")
    _, daemon = find_dagster_commands(history.repository.dagster_home, 0)
    with history.shared_by_two_workers():
        history.start("daemon", *daemon)
    instance = history.instance

    def complete() -> list[list[Run]] | None:
        of_each = [list(instance.get_runs(RunsFilter(tags={"dagster/backfill": name}))) for name in ids]
        ended = all(runs and all(run.is_finished for run in runs) for runs in of_each)
        return of_each if ended else None

    runs = until("the backfills", complete, WORK_SECONDS, pause=0.1)
    assert [len(of_one) for of_one in runs] == [1, 1]
    assert all(of_one[0].is_success for of_one in runs)
    events = [event for (run,) in runs for event in history.events(run.run_id, DagsterEventType.ASSET_MATERIALIZATION)]
    pages = [event.materialization for event in events]

    assert {worker for of_one in runs for worker in history.workers_of_runs(of_one[0].run_id)} == {"first", "second"}
    assert sorted(str(page.partition) for page in pages) == days, "each day once"
    history.check_folders({str(page.metadata["run_id"].value) for page in pages})
    with copied_repository(historic, tmp_path / "one_process") as root:
        shutil.copy(history.repository.root / CONFIG_NAME, root)
        run = seal_build.BuildRun(datetime(2100, 1, 1, tzinfo=UTC), GitState(None, None))
        sealed = daily.build_days(load_repository(root), run, [datetime.fromisoformat(day).date() for day in days])
        contents = {str(day.day): day.built.artifacts.content_sha256 for day in sealed}
    assert {page.partition: page.metadata["content_sha256"].value for page in pages} == contents


@pytest.mark.soak
@pytest.mark.parametrize("history", ["steps"], indirect=True)
def test_a_cancelled_backfill_ends_after_the_days_that_its_worker_has_begun(history: Deployment) -> None:
    before = history.folders()
    history.start_workers("first")
    days = {ASSET_PARTITION_RANGE_START_TAG: DAYS[0], ASSET_PARTITION_RANGE_END_TAG: DAYS[-1]}
    process, run_id = history.start_run(DAILY_JOB, tags=days)
    until("a day", lambda: history.events(run_id, DagsterEventType.ASSET_MATERIALIZATION) or None, WORK_SECONDS)

    # What the button of the run's page does. The worker gets no signal.
    history.instance.report_run_canceling(history.run(run_id))
    process.send_signal(signal.SIGTERM)
    process.wait(WORK_SECONDS)
    sealed = history.folders() - before

    assert history.run(run_id).status is DagsterRunStatus.CANCELED
    assert 0 < len(sealed) < len(DAYS)
    assert len(history.events(run_id, DagsterEventType.ASSET_MATERIALIZATION)) == len(sealed)
    history.check_folders(sealed)


@pytest.mark.soak
def test_a_whole_run_whose_worker_is_killed_fails_and_is_executed_again(
    known_repository: Path, tmp_path: Path, postgres: Postgres, queue: Redis
) -> None:
    with deploy(known_repository, tmp_path / "repository", postgres, queue, whole_runs=True) as deployment:
        before = deployment.folders()
        workers = dict(zip(("first", "second"), deployment.start_workers("first", "second"), strict=True))
        torn = serve(deployment).launch(REBUILD_JOB)
        until("sealed runs", lambda: deployment.folders() - before or None, WORK_SECONDS)
        with deployment.git_withheld() as since:
            until("a step that waits", lambda: deployment.find_waiting_step(torn, since), WORK_SECONDS)
            (worker,) = deployment.workers_of_runs(torn)
            (child,) = list_children(workers[worker])
            os.kill(child, signal.SIGKILL)

        def executed_again() -> Run | None:
            runs = deployment.instance.get_runs(RunsFilter(job_name=REBUILD_JOB))
            return next((run for run in runs if run.parent_run_id == torn and run.is_finished), None)

        again = until("the second run", executed_again, WORK_SECONDS)

        assert deployment.run(torn).status is DagsterRunStatus.FAILURE
        assert again.is_success
        deployment.check_folders(deployment.folders() - before)


@pytest.mark.soak
@pytest.mark.parametrize("sealed", [1, 6, 12])
def test_a_run_ends_at_its_limit_if_a_machine_is_lost_and_the_next_run_succeeds(
    deployment: Deployment, sealed: int
) -> None:
    before = deployment.folders()
    workers = dict(zip(("first", "second"), deployment.start_workers("first", "second"), strict=True))
    served = serve(deployment)
    torn = served.launch(REBUILD_JOB)
    until("sealed runs", lambda: len(deployment.folders() - before) >= sealed or None, WORK_SECONDS)
    with deployment.git_withheld() as since:
        step = until("a step that waits", lambda: deployment.find_waiting_step(torn, since), WORK_SECONDS)
        worker = until("its worker", lambda: deployment.workers_of_steps(torn).get(step), START_SECONDS)
        os.killpg(workers[worker].pid, signal.SIGKILL)
    deployment.instance.add_run_tags(torn, {MAX_RUNTIME_TAG: "1"})  # as if it had been waited for long enough

    def over() -> Run | None:
        run = deployment.run(torn)
        return run if run.is_finished else None

    assert until("the end of the run", over, WORK_SECONDS).status is not DagsterRunStatus.SUCCESS
    deployment.check_folders(deployment.folders() - before)
    assert deployment.events(torn, DagsterEventType.RUN_SUCCESS) == []

    whole = deployment.execute(REBUILD_JOB)

    assert whole.status is DagsterRunStatus.SUCCESS

    # Dagster may execute the torn run again, too. In the end, the newest build of each registry is active.
    def is_settled() -> bool | None:
        if any(not run.is_finished for run in deployment.instance.get_runs()):
            return None
        proposal = propose(deployment.instance, deployment.repository)
        return all(proposal.is_newest_active(name) for name in REGISTRIES) or None

    until("the activation of every registry", is_settled, WORK_SECONDS)
    chain = read_chain_state(deployment.repository)
    assert (chain.state, chain.findings) == ("committed", ())
