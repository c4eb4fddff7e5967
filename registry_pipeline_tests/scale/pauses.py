"""Points at which the workers of a test wait, so that no test depends on how fast a machine is.

A worker imports this module (`Deployment.start_workers`). Only the processes in which it executes steps and runs wait.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final

from celery.signals import worker_process_init  # type: ignore[import-untyped]

from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.pipeline import steps
from registry_pipeline.pointers import transaction

# A step or a run begins; it has read nothing.
BEGIN: Final = "begin"
# Runs to activate are validated; the lock of the pointers is not taken.
MOVE: Final = "move"


def seal_point(registry_id: str) -> str:
    """Return the point at which a registry is built, and nothing asks any more whether its run is over."""
    return f"seal-{registry_id}"


@contextmanager
def hold(home: Path, point: str) -> Iterator[Callable[[], set[int]]]:
    """Let each process of a worker that reaches a point wait there; yield what returns the ids of these processes.

    They go on when the block ends, and when this process ends, however it ends.
    """
    new, held = home / f"{point}.new", home / f"{point}.held"
    with new.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(held)
        try:
            yield lambda: {int(path.suffix[1:]) for path in home.glob(f"{point}.waits.*")}
        finally:
            held.unlink()
            for path in home.glob(f"{point}.waits.*"):
                path.unlink()


def _wait(point: str) -> None:
    home = Path(os.environ["DAGSTER_HOME"])
    try:
        lock = (home / f"{point}.held").open("rb")
    except FileNotFoundError:
        return
    with lock:
        (home / f"{point}.waits.{os.getpid()}").touch()
        fcntl.flock(lock, fcntl.LOCK_SH)


def _wait_before(owner: Any, name: str, find_point: Callable[..., str]) -> None:
    function = getattr(owner, name)

    @wraps(function)
    def waiting(*args: Any, **options: Any) -> Any:
        _wait(find_point(*args))
        return function(*args, **options)

    setattr(owner, name, waiting)


def _find_seal_point(_repository: Any, _run: Any, spec: Any, _built: Any) -> str:
    return seal_point(spec.registry_id)


@worker_process_init.connect  # type: ignore[untyped-decorator]  # celery has no types
def _install(**_signal: Any) -> None:
    _wait_before(RepositoryResource, "_admit_step", lambda *_: BEGIN)
    _wait_before(steps, "seal", _find_seal_point)
    _wait_before(transaction, "pointer_lock", lambda *_: MOVE)
