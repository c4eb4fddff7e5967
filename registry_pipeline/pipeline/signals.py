"""Stopping between two pieces of work instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred(*numbers: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Hold signals back while the block runs, and deliver them at its end; the value tells whether one has come.

    A second signal is not held back. Only the main thread hears signals: in another nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        _restore(before)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        _restore(before)
    if came:
        signal.raise_signal(signal.Signals(came[0]))


def _restore(before: Mapping[signal.Signals, object]) -> None:
    for number, handler in before.items():
        # None: a handler that was not set from Python, and that Python cannot set again
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
