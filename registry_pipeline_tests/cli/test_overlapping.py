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

from registry_pipeline.cli import main
from registry_pipeline.config import Governed, load_governed
from registry_pipeline.model.delta import DELTA_LOG
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.model.verdict import Built, SealedRun
from registry_pipeline.runbook import building, underway
from registry_pipeline.runbook.building import BuildRun, seal
from registry_pipeline.runbook.underway import build_under_way
from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit
from registry_pipeline_tests.log_heads import head_of

LATER = "2026-03-02T12:00:00Z"


@pytest.fixture
def governed(built: Repository) -> Governed:
    return load_governed(built.root)


def build(governed: Governed, *words: str, now: str = LATER) -> int:
    return main(["-C", str(governed.root), "--now", now, "build", *words])


def folders(governed: Governed) -> list[str]:
    return sorted(path.name for path in governed.publish_root.iterdir())


@pytest.mark.parametrize("words", [(), (DELTA_LOG,), ("drift_signals_daily", "--as-of", "2026-02-05")])
def test_a_build_beside_another_one_changes_nothing_and_exits_6(
    governed: Governed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    before = folders(governed)
    monkeypatch.setattr(underway, "WAIT_SECONDS", 0.0)

    with build_under_way(governed):
        code = build(governed, *words)

    assert code == 6
    assert "another build is in progress" in capsys.readouterr().err
    assert folders(governed) == before


def test_a_build_waits_half_a_minute() -> None:
    assert underway.WAIT_SECONDS == 30


def test_a_build_begins_when_the_other_one_has_ended(governed: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    other, waited = ExitStack(), []
    other.enter_context(build_under_way(governed))

    def end_the_other_one(seconds: float) -> None:
        waited.append(seconds)
        other.close()

    monkeypatch.setattr("registry_pipeline.files.lock.time.sleep", end_the_other_one)

    assert build(governed) == 0
    assert len(waited) == 1
    assert head_of(governed) == "2026-03-02__120000__registry_delta_log_build"


@pytest.mark.parametrize(
    "words", [("status",), ("verify", "--active"), ("log",), ("runs",), ("show", "latest"), ("doctor",)]
)
def test_nobody_who_reads_waits_for_a_build(governed: Governed, words: tuple[str, ...]) -> None:
    with build_under_way(governed), underway.sealing_alone(governed, DELTA_LOG):
        assert main(["-C", str(governed.root), "--now", LATER, *words]) == 0


def test_a_log_that_somebody_continued_meanwhile_is_built_again_on_the_new_head(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster seals a log, without the lock of a build, between our reading of the head and our sealing."""
    real = seal
    others: list[SealedRun] = []

    def sealed_behind_another(governed: Governed, run: BuildRun, spec: RegistrySpec, built: Built) -> SealedRun:
        if spec.registry_id == DELTA_LOG and not others:
            theirs = building.BuildRun(run.started, run.git, "a-dagster-run")
            others.append(real(governed, theirs, spec, built))
        return real(governed, run, spec, built)

    monkeypatch.setattr("registry_pipeline.runbook.stack.seal", sealed_behind_another)
    assert build(governed, DELTA_LOG, "--force") == 0

    head = head_of(governed)
    previous = json.loads((governed.publish_root / head / "run.json").read_bytes())["inputs"]["registries"]
    assert head == "2026-03-02__120000__registry_delta_log_build__02"
    named = {each["registry_id"]: each["sealed_ref"]["run_id"] for each in previous}
    assert named[DELTA_LOG] == others[0].ref.run_id


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Iterator[Governed]:
    """A git checkout in which nothing was built yet."""
    root = tmp_path / "checkout"
    root.mkdir()
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    for words in (("init", "-q"), ("commit", "-qm", "first", "--allow-empty")):
        subprocess.run(["git", *name, *words], cwd=root, env=environment(home), check=True)
    assert main(["-C", str(root), "--now", LATER, "init"]) == 0
    yield load_governed(root)
    make_removable(root)


def build_at_once(root: str, barrier: Barrier) -> None:
    """Build as soon as the other process is ready to, and exit with the exit code."""
    wait_for_locks_without_limit()
    barrier.wait()
    sys.exit(main(["-C", root, "--now", LATER, "build"]))


@pytest.mark.door
def test_two_processes_that_build_at_once_leave_one_log(empty: Governed) -> None:
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
