"""Work in a process that is killed at one of its system calls."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import pytest


def killed_at(number: int, work: Callable[[], object], targets: Sequence[str], *, half: bool = False) -> bool:
    """Do the work in a fork that kills itself at its call of this number; return whether it came so far.

    Calls of the `targets` count, each given as `module.function`. With `half`, a write that is the last call writes
    the first half of its bytes before.
    """
    child = os.fork()
    if child == 0:
        left = number

        def counted_call(name: str, real: Any) -> Any:
            def call(*args: Any, **words: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    if half and name == "write":
                        real(args[0], bytes(args[1])[: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **words)

            return call

        patch = pytest.MonkeyPatch()
        for target in targets:
            module, name = target.rsplit(".", 1)
            owner = importlib.import_module(module)
            patch.setattr(owner, name, counted_call(name, getattr(owner, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
