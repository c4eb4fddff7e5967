"""The suite itself runs in the background and without pytest-xdist, and tries the same points for the same commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline_tests import sampling
from registry_pipeline_tests.memory_disk import use_memory_disk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_remembered_offset() -> None:
    sampling.source_offset.cache_clear()


def test_tests_with_signals_pass_in_the_background_and_without_xdist() -> None:
    """A shell ignores SIGINT for `make test &`, and nohup ignores SIGHUP; both are inherited."""
    tests = "registry_pipeline_tests/pipeline/test_interrupts.py"
    pytest_words = f"{sys.executable} -m pytest -q -p no:xdist -p no:cacheprovider {tests}"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}

    done = subprocess.run(
        ["bash", "-c", f"trap '' INT HUP; exec {pytest_words}"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_source_gives_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sampling.OFFSET_VARIABLE, raising=False)
    offset = sampling.source_offset()
    sampling.source_offset.cache_clear()

    assert sampling.source_offset() == offset


@pytest.mark.parametrize("offset", ["0", "7", "4294967295"])
@pytest.mark.parametrize("total", [1, 29, 30, 61, 500])
def test_points_are_many_distinct_and_in_range(monkeypatch: pytest.MonkeyPatch, offset: str, total: int) -> None:
    monkeypatch.setenv(sampling.OFFSET_VARIABLE, offset)

    points = sampling.sample_points(total, 30)

    assert len(points) == len(set(points)) >= min(30, total)
    assert all(1 <= point <= total for point in points)


def test_every_point_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = set()
    for offset in range(10):
        monkeypatch.setenv(sampling.OFFSET_VARIABLE, str(offset))
        sampling.source_offset.cache_clear()
        tried |= set(sampling.sample_points(300, 30))

    assert tried == set(range(1, 301))


def test_a_folder_for_temporary_files_that_somebody_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")

    use_memory_disk()

    assert os.environ["TMPDIR"] == "/elsewhere"
