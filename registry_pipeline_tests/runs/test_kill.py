"""The writer is killed at any of its calls: a run root then has nothing or a complete folder.

Every system call of a real process is tried by `soak/test_kill_seal.py`; here a fork dies at every call into `os`.
"""

from __future__ import annotations

from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.crash_points import killed_at
from registry_pipeline_tests.runs.conftest import SealRoots
from registry_pipeline_tests.runs.small_run import WANTED

_CALLS = (
    *(f"os.{name}" for name in ("open", "write", "fsync", "mkdir", "read", "scandir", "chmod", "close")),
    "registry_pipeline.runs.writer.rename_noreplace",
)


def test_a_writer_killed_at_any_call_leaves_nothing_or_a_complete_folder(roots: SealRoots) -> None:
    number, outcomes, killed = 1, set(), True
    while killed:
        run_id = RunId(WANTED.stamp, f"n{number}")
        killed = killed_at(number, lambda: roots.seal(run_id), _CALLS)  # noqa: B023 -- done before the next round
        published = roots.publish / str(run_id)
        outcomes.add((killed, published.exists()))
        if published.exists():
            assert verify_folder(published).verdict == "pass", f"killed at call {number}"
        number += 1

    assert outcomes == {(True, False), (True, True), (False, True)}


def test_what_a_killed_writer_left_does_not_hinder_the_next(roots: SealRoots) -> None:
    assert killed_at(20, roots.seal, _CALLS)
    assert roots.staged() != []

    assert str(roots.seal().run_id) == str(WANTED)
