"""Let a lock be waited for as long as it takes, or not at all.

Locks give up after some seconds. A test in which several processes compete is not about that limit, and must not fail
on a busy machine because of it. A test of a lock that stays held need not wait for the limit.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

_NO_PROGRESS = SimpleNamespace(monotonic=lambda: 0.0, sleep=time.sleep)


def wait_for_locks_without_limit(patch: pytest.MonkeyPatch | None = None) -> None:
    """Stop the clock by which locks measure their waits: in this process for good, or until `patch` is undone."""
    patch = patch or pytest.MonkeyPatch()
    for module in ("registry_pipeline.files.lock", "registry_pipeline.files.atomic_write"):
        patch.setattr(f"{module}.time", _NO_PROGRESS)
    patch.setattr("registry_pipeline.registries.run_index.side_index._WAIT", 600.0)


def give_up_locks_at_once(patch: pytest.MonkeyPatch) -> None:
    """Let each look at the clock by which locks measure their waits advance it by an hour."""
    hours = count(0.0, 3600.0)
    hurried = SimpleNamespace(monotonic=lambda: next(hours), sleep=lambda _seconds: None)
    patch.setattr("registry_pipeline.files.lock.time", hurried)


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    """Hold the lock of a file in a process of its own."""
    command = ["flock", f"{path}.lock", "sh", "-c", "echo held; cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        # `cat` ends, and the lock with it, when the end of the block closes its input.
        yield
