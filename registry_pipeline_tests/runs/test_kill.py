"""The writer is killed at any of its calls: a run root then has nothing or a complete folder.

Every system call of a real process is tried by `soak/test_kill_seal.py`; here a fork dies at every call into `os`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from registry_pipeline.files.durable import rename_noreplace
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.runs.conftest import SealRoots
from registry_pipeline_tests.runs.small_run import WANTED

CALLS = ("open", "write", "fsync", "mkdir", "read", "scandir", "chmod", "close")


def _killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a fork that kills itself at its call of this number; tell whether it came so far."""
    child = os.fork()
    if child == 0:
        left = number

        def crash_points(real: Any) -> Any:
            def call(*args: Any, **words: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **words)

            return call

        for name in CALLS:
            setattr(os, name, crash_points(getattr(os, name)))
        pytest.MonkeyPatch().setattr("registry_pipeline.runs.writer.rename_noreplace", crash_points(rename_noreplace))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_writer_killed_at_any_call_leaves_nothing_or_a_complete_folder(roots: SealRoots) -> None:
    number, outcomes, killed = 1, set(), True
    while killed:
        run_id = RunId(WANTED.stamp, f"n{number}")
        killed = _killed_at(number, lambda: roots.seal(run_id))  # noqa: B023 -- done before the next round
        published = roots.publish / str(run_id)
        outcomes.add((killed, published.exists()))
        if published.exists():
            assert verify_folder(published).verdict == "pass", f"killed at call {number}"
        number += 1

    assert outcomes == {(True, False), (True, True), (False, True)}


def test_what_a_killed_writer_left_does_not_hinder_the_next(roots: SealRoots) -> None:
    assert _killed_at(20, roots.seal)
    assert roots.staged() != []

    assert str(roots.seal().run_id) == str(WANTED)
