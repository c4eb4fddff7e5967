"""The daemon is killed during a rebuild and during an activation."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import DagsterInstance

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.defs.active_assets import ACTIVATE_JOB
from registry_pipeline.defs.job_limits import MAX_RUNTIME_TAG
from registry_pipeline.defs.proposal import REBUILD_JOB
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, Served, until

pytestmark = pytest.mark.process


@pytest.fixture
def machine(known_repository: Path, tmp_path: Path) -> Iterator[Machine]:
    root = tmp_path / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    machine = Machine(load_repository(root))
    try:
        machine.start(machine.web)
        until("the webserver", machine.answers, START_SECONDS)
        yield machine
    finally:
        machine.stop()
        make_removable(root)


@contextmanager
def git_withheld(repository: Repository) -> Iterator[None]:
    """Keep every run that begins from going on: it asks git first, and waits its turn."""
    with (repository.dagster_home / "git_state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_that_is(served: Served, job: str, status: str) -> str | None:
    return next((run_id for run_id, found in served.runs(job).items() if found == status), None)


def test_a_daemon_killed_in_a_rebuild_and_in_an_activation_moves_the_pointers_exactly_once(machine: Machine) -> None:
    repository, served = machine.repository, machine.served
    before = repository.pointer_path.read_bytes()

    daemon = machine.start(machine.daemon)
    with git_withheld(repository):
        served.launch(REBUILD_JOB)
        until("the rebuild begins", lambda: run_that_is(served, REBUILD_JOB, "STARTED"), START_SECONDS)
        daemon.kill()
    until("the rebuild ends without a daemon", lambda: run_that_is(served, REBUILD_JOB, "SUCCESS"), WORK_SECONDS)
    assert served.runs(ACTIVATE_JOB) == {}

    with git_withheld(repository):
        daemon = machine.start(machine.daemon)
        torn = until("the move begins", lambda: run_that_is(served, ACTIVATE_JOB, "STARTED"), START_SECONDS)
        os.killpg(daemon.pid, signal.SIGKILL)  # the daemon and the process of the run, as in a power cut
    assert repository.pointer_path.read_bytes() == before
    with DagsterInstance.from_config(str(repository.dagster_home)) as instance:
        instance.add_run_tags(torn, {MAX_RUNTIME_TAG: "1"})  # as if it had been waited for long enough

    machine.start(machine.daemon)
    moved = until("the move", lambda: run_that_is(served, ACTIVATE_JOB, "SUCCESS"), WORK_SECONDS)
    chain = read_chain_state(repository)
    pointers = served.newest("active_registry_pointers")
    assert served.runs(ACTIVATE_JOB) == {moved: "SUCCESS", torn: "FAILURE"}
    assert (chain.state, chain.findings, len(chain.records)) == ("committed", (), 2), "the first record, and the move"
    assert pointers is not None
    assert {"label": "moved", "intValue": len(REGISTRIES)} in pointers["metadataEntries"]
