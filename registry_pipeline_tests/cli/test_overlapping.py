"""Two builds at once: one waits for the other, and the log of deltas never gets two heads."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from registry_pipeline.cli.main import main
from registry_pipeline.config import Repository as GovernedRepository
from registry_pipeline.config import load_repository
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.steps import hold_build_lock, seal
from registry_pipeline.registries.base.delta import DELTA_LOG
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.sealed_run import Built, SealedRun
from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit
from registry_pipeline_tests.log_heads import head_of

LATER = "2026-03-02T12:00:00Z"


@pytest.fixture
def repository(built: Repository) -> GovernedRepository:
    return load_repository(built.root)


def build(repository: GovernedRepository, *words: str, now: str = LATER) -> int:
    return main(["-C", str(repository.root), "--now", now, "build", *words])


def folders(repository: GovernedRepository) -> list[str]:
    return sorted(path.name for path in repository.publish_root.iterdir())


@pytest.mark.parametrize("words", [(), (DELTA_LOG,), ("drift_signals_daily", "--as-of", "2026-02-05")])
def test_a_build_during_another_one_changes_nothing_and_exits_6(
    repository: GovernedRepository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    before = folders(repository)
    monkeypatch.setattr(steps, "WAIT_SECONDS", 0.0)

    with hold_build_lock(repository):
        code = build(repository, *words)

    assert code == 6
    assert "another build is in progress" in capsys.readouterr().err
    assert folders(repository) == before


def test_a_build_waits_half_a_minute() -> None:
    assert steps.WAIT_SECONDS == 30


def test_a_build_begins_when_the_other_one_has_ended(
    repository: GovernedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, waited = ExitStack(), []
    other.enter_context(hold_build_lock(repository))

    def end_the_other_one(seconds: float) -> None:
        waited.append(seconds)
        other.close()

    monkeypatch.setattr("registry_pipeline.files.lock.time.sleep", end_the_other_one)

    assert build(repository) == 0
    assert len(waited) == 1
    assert head_of(repository) == "2026-03-02__120000__registry_delta_log_build"


@pytest.mark.parametrize(
    "words", [("status",), ("verify", "--active"), ("log",), ("runs",), ("show", "latest"), ("doctor",)]
)
def test_reading_commands_do_not_wait_for_a_build(repository: GovernedRepository, words: tuple[str, ...]) -> None:
    with hold_build_lock(repository), steps.hold_registry_lock(repository, DELTA_LOG):
        assert main(["-C", str(repository.root), "--now", LATER, *words]) == 0


def test_a_log_that_another_process_continued_is_built_again_on_the_new_head(
    repository: GovernedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster seals a log, without the lock of a build, between our reading of the head and our sealing."""
    real = seal
    others: list[SealedRun] = []

    def sealed_behind_another(
        repository: GovernedRepository, run: BuildRun, spec: RegistrySpec, built: Built
    ) -> SealedRun:
        if spec.registry_id == DELTA_LOG and not others:
            theirs = BuildRun(run.started, run.git, "a-dagster-run")
            others.append(real(repository, theirs, spec, built))
        return real(repository, run, spec, built)

    monkeypatch.setattr("registry_pipeline.pipeline.rebuild.seal", sealed_behind_another)
    assert build(repository, DELTA_LOG, "--force") == 0

    head = head_of(repository)
    previous = json.loads((repository.publish_root / head / "run.json").read_bytes())["inputs"]["registries"]
    assert head == "2026-03-02__120000__registry_delta_log_build__02"
    named = {each["registry_id"]: each["sealed_ref"]["run_id"] for each in previous}
    assert named[DELTA_LOG] == others[0].ref.run_id


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Iterator[GovernedRepository]:
    """A git checkout in which nothing was built yet."""
    root = tmp_path / "checkout"
    root.mkdir()
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    for words in (("init", "-q"), ("commit", "-qm", "first", "--allow-empty")):
        subprocess.run(["git", *name, *words], cwd=root, env=environment(home), check=True)
    assert main(["-C", str(root), "--now", LATER, "init"]) == 0
    yield load_repository(root)
    make_removable(root)


def build_at_once(root: str, barrier: Barrier) -> None:
    """Build as soon as the other process is ready to, and exit with the exit code."""
    wait_for_locks_without_limit()
    barrier.wait()
    sys.exit(main(["-C", root, "--now", LATER, "build"]))


@pytest.mark.process
def test_two_processes_that_build_at_once_leave_one_log(empty: GovernedRepository) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    builds = [context.Process(target=build_at_once, args=(str(empty.root), barrier)) for _ in range(2)]
    for each in builds:
        each.start()
    for each in builds:
        each.join()

    assert [each.exitcode for each in builds] == [0, 0]
    assert head_of(empty)
    assert main(["-C", str(empty.root), "verify", "--all", "--jobs", "1"]) == 0
