"""Defer signals, so that Ctrl-C stops a series of builds between two items."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred(*numbers: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Defer signals to the end of the block; yield a function that returns whether one has arrived.

    Only the first signal is deferred. In a thread other than the main thread nothing is deferred.
    """
    # Python delivers signals to the main thread only, and only there handlers can be set.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in numbers}

    def record(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        # A second Ctrl-C stops at once.
        _restore_handlers(handlers)

    for number in numbers:
        signal.signal(number, record)
    try:
        yield lambda: bool(received)
    finally:
        _restore_handlers(handlers)
    if received:
        signal.raise_signal(signal.Signals(received[0]))


def _restore_handlers(handlers: Mapping[signal.Signals, object]) -> None:
    for number, handler in handlers.items():
        # None: the handler was not set from Python, so Python cannot set it again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
