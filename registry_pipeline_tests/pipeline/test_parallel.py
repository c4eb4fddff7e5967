"""A function is applied to many items in several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from registry_pipeline.errors import ConfigError, RegistryPipelineError
from registry_pipeline.parallel import map_in_processes


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest-xdist has threads of its own. The functions of these tests touch none of their locks.
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def _describe(number: int) -> tuple[int, int]:
    return number, os.getpid()


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 1000])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_are_those_of_one_process_in_the_order_of_the_items(count: int, jobs: int) -> None:
    results = list(map_in_processes(_describe, range(count), jobs))

    assert [number for number, _ in results] == list(range(count))
    assert len({process for _, process in results}) <= jobs


def test_other_processes_compute_while_this_one_waits() -> None:
    processes = {process for _, process in map_in_processes(_describe, range(1000), 2)}

    assert os.getpid() not in processes


def test_a_program_with_threads_computes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)

    assert {process for _, process in map_in_processes(_describe, range(100), 2)} == {os.getpid()}


def test_large_results_arrive_complete() -> None:
    results = list(map_in_processes(lambda number: bytes([number]) * 500_000, range(8), 2))

    assert results == [bytes([number]) * 500_000 for number in range(8)]


def test_an_error_of_the_function_is_raised_here() -> None:
    def refuse(number: int) -> int:
        if number == 70:
            raise ConfigError("seventy", "take another")
        return number

    children = _list_children()

    with pytest.raises(ConfigError, match="seventy"):
        list(map_in_processes(refuse, range(200), 2))
    assert _list_children() == children


def test_a_killed_process_is_an_error_and_never_a_shorter_result() -> None:
    def end(number: int) -> int:
        if number == 70:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    children = _list_children()

    with pytest.raises(RegistryPipelineError, match="ended from outside"):
        list(map_in_processes(end, range(200), 2))
    assert _list_children() == children


def test_a_reader_that_stops_early_stops_the_processes() -> None:
    children = _list_children()
    results = map_in_processes(_describe, range(1000), 2)

    next(results)
    results.close()

    assert _list_children() == children


def _list_children() -> str:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="ascii")


def test_a_program_that_ignores_the_end_of_its_children_computes_by_itself() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert {process for _, process in map_in_processes(_describe, range(100), 2)} == {os.getpid()}
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_fewer_processes_than_asked_for_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, forks = os.fork, []

    def refuse_third() -> int:
        forks.append(1)
        if len(forks) > 2:
            raise BlockingIOError
        return fork()

    monkeypatch.setattr(os, "fork", refuse_third)
    results = list(map_in_processes(_describe, range(1000), 4))

    assert [number for number, _ in results] == list(range(1000))


def test_without_any_process_the_refusal_is_raised_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(BlockingIOError):
        list(map_in_processes(_describe, range(1000), 4))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


_INTERRUPTED: Final = """
import os, signal, threading
from pathlib import Path
from registry_pipeline.parallel import map_in_processes

fork, parent = os.fork, os.getpid()

def fork_and_interrupt():
    pid = fork()
    os.kill(os.getpid(), signal.SIGINT)
    return pid

os.fork = fork_and_interrupt
try:
    list(map_in_processes(abs, range(1000), 2))
except KeyboardInterrupt:
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    print("interrupted", os.getpid() == parent, repr(children))
"""


def test_a_signal_during_the_fork_reaches_the_parent_only() -> None:
    # In a program of its own: of several threads, another one could receive the signal.
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("interrupted True ''\n", "")


class Odd(Exception):  # noqa: N818 - as another library may name it
    """An exception that cannot be made again from what pickle keeps."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_an_exception_that_cannot_be_sent_is_an_error_with_its_text() -> None:
    def fail(_number: int) -> int:
        raise Odd(1, 2)

    with pytest.raises(RegistryPipelineError, match="Odd: 1 and 2"):
        list(map_in_processes(fail, range(100), 2))


_PARENT: Final = """
import os, signal
from registry_pipeline.parallel import map_in_processes

def end_parent(number):
    if number == 0:
        os.kill(os.getppid(), signal.SIGKILL)
    return bytes(100_000)

list(map_in_processes(end_parent, range(10_000), 2))
"""


def test_the_processes_end_with_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        # All of them share the other end of this pipe, so reading ends when the last one has ended.
        assert parent.stdout.read() == b""
