from __future__ import annotations

import signal
import threading

import pytest

from registry_pipeline.pipeline.rebuild import defer_signals


def work(done: list[str], signals: int) -> None:
    with defer_signals(signal.SIGINT) as received:
        assert not received()
        for number in range(signals):
            signal.raise_signal(signal.SIGINT)
            assert received()
            done.append(f"after signal {number + 1}")


def test_a_signal_waits_for_the_end_of_the_block_and_comes_then() -> None:
    done: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        work(done, signals=1)

    assert done == ["after signal 1"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_is_not_deferred() -> None:
    done: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        work(done, signals=2)

    assert done == ["after signal 1"]


def test_without_a_signal_and_after_an_error_the_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with defer_signals(signal.SIGINT, signal.SIGTERM) as received:
        assert not received()
    with pytest.raises(ValueError, match="mine"), defer_signals(signal.SIGINT, signal.SIGTERM):
        raise ValueError("mine")

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_the_work_is_done_and_no_signal_is_touched() -> None:
    heard: list[bool] = []

    def listen() -> None:
        with defer_signals(signal.SIGINT) as received:
            heard.append(received())

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()

    assert heard == [False]
