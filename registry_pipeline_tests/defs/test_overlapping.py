"""A Dagster run beside another build: the log of deltas is continued by one of them, and then by the other."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from dagster import DagsterEventType, ExecuteInProcessResult

from registry_pipeline.cli.main import main
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import catalog
from registry_pipeline.registries.base.delta import DELTA_LOG
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import DagsterRepo, failure_of, open_dagster_repo, page_of, troubles
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit
from registry_pipeline_tests.log_heads import head_of


def interrupt_sealing(monkeypatch: pytest.MonkeyPatch, other: Callable[[], None], times: int = 1) -> None:
    """Let `other` run between the building of a log and its sealing, so many times."""
    real = steps.seal
    left = [other] * times

    def interrupted(*arguments: object, **options: object) -> SealedRun:
        if arguments[2] is catalog.SHIPPED.spec_of(DELTA_LOG) and left:
            left.pop()()
        return real(*arguments, **options)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(steps, "seal", interrupted)


def continue_the_log(repo: DagsterRepo) -> Callable[[], None]:
    """Return what seals another log through the command line, and then a snapshot that no log has yet."""

    def build() -> None:
        assert main(["-C", str(repo.repository.root), "build", DELTA_LOG]) == 0
        seal_a_snapshot(repo)

    return build


def seal_a_snapshot(repo: DagsterRepo) -> None:
    """Seal a snapshot that no log has yet."""
    assert main(["-C", str(repo.repository.root), "build", "run_registry", "--only"]) == 0


def retries(result: ExecuteInProcessResult) -> int:
    return sum(event.event_type == DagsterEventType.STEP_RESTARTED for event in result.all_events)


def previous_of(repo: DagsterRepo, run_id: str) -> list[str]:
    return [each["sealed_ref"]["run_id"] for each in repo.run_json(run_id)["inputs"]["registries"]]


def test_a_log_that_the_command_line_continued_is_built_again_on_its_head(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt.materialize(DELTA_LOG)
    first = head_of(rebuilt.repository)
    interrupt_sealing(monkeypatch, continue_the_log(rebuilt))
    seal_a_snapshot(rebuilt)

    again = rebuilt.materialize(DELTA_LOG)

    assert again.success, troubles(again)
    assert retries(again) == 1
    head = head_of(rebuilt.repository)
    (theirs,) = previous_of(rebuilt, head)
    assert page_of(again, DELTA_LOG)["run_id"] == head
    assert previous_of(rebuilt, theirs) == [first]


def test_two_dagster_runs_that_log_the_same_snapshots_leave_one_log(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[ExecuteInProcessResult] = []
    interrupt_sealing(monkeypatch, lambda: others.append(rebuilt.materialize(DELTA_LOG)))
    seal_a_snapshot(rebuilt)

    again = rebuilt.materialize(DELTA_LOG)

    assert [result.success for result in (again, *others)] == [True, True], troubles(again)
    assert page_of(again, DELTA_LOG)["run_id"] == page_of(others[0], DELTA_LOG)["run_id"] == head_of(rebuilt.repository)
    assert page_of(again, DELTA_LOG)["state"] == "unchanged"


def test_a_log_that_always_loses_the_race_fails_the_step_with_a_hint(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_sealing(monkeypatch, continue_the_log(rebuilt), times=4)
    seal_a_snapshot(rebuilt)

    again = rebuilt.materialize(DELTA_LOG)

    assert not again.success
    assert retries(again) == 3
    assert "was continued by another build" in failure_of(again, DELTA_LOG)
    assert head_of(rebuilt.repository)


def build_at_once(root: str, barrier: Barrier) -> None:
    """Build as soon as the other process is ready to, and exit with the exit code."""
    wait_for_locks_without_limit()
    barrier.wait()
    sys.exit(main(["-C", root, "build"]))


def materialize_at_once(root: str, barrier: Barrier) -> None:
    """Materialize all that is built, with its checks; a failure is returned in place of the exit code."""
    with open_dagster_repo(Path(root)) as repo:
        wait_for_locks_without_limit()
        barrier.wait()
        result = repo.rebuild()
        sys.exit("\n".join(troubles(result)) if not result.success else 0)


@pytest.mark.process
def test_a_concurrent_materialization_and_build_leave_one_log(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    for words in (("init", "-q"), ("commit", "-qm", "first", "--allow-empty")):
        subprocess.run(["git", *name, *words], cwd=root, check=True)
    assert main(["-C", str(root), "init"]) == 0
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    targets = (build_at_once, materialize_at_once)
    both = [context.Process(target=target, args=(str(root), barrier)) for target in targets]

    for each in both:
        each.start()
    wait([each.sentinel for each in both])
    barrier.abort()  # a process that failed early must not leave the other waiting
    for each in both:
        each.join()

    with open_dagster_repo(root) as repo:
        assert [each.exitcode for each in both] == [0, 0]
        assert head_of(repo.repository)
    assert main(["-C", str(root), "verify", "--all", "--jobs", "1"]) == 0
    make_removable(root)
