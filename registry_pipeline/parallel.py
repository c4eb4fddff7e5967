"""Apply a function to many items in forked processes.

A pool of the standard library takes 40 ms to import and start, a fifth of the time in which 3,000 folders are verified.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from select import POLLIN, poll
from typing import Any, Final, NoReturn, TypeVar

from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.atomic_write import write_all_bytes

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_CHUNK: Final = 64
# The numbers of all chunks are written before a process reads any: even a small pipe holds 4 KiB.
_MAX_CHUNKS: Final = 1024
_NUMBER_BYTES: Final = 4
_READ: Final = 2**16


def map_in_processes(
    function: Callable[[_Item], _Result], items: Sequence[_Item], jobs: int
) -> Generator[_Result, None, None]:
    """Yield the result of each item, in their order, computed by at most `jobs` processes.

    One item is computed in this process, and so is everything in a program with several threads or one that ignores
    the end of its children. Results must be picklable.

    Raises:
        RegistryPipelineError: a process was killed (exit 1). Also what the function raises.
    """
    if jobs == 1 or len(items) <= 1 or not _can_fork():
        yield from map(function, items)
        return
    size = max(min(_CHUNK, -(-len(items) // jobs)), -(-len(items) // _MAX_CHUNKS))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    # (1) A process that is free takes the next number.
    numbers, numbers_end = os.pipe()
    write_all_bytes(numbers_end, b"".join(number.to_bytes(_NUMBER_BYTES, "big") for number in range(len(chunks))))
    os.close(numbers_end)
    processes: dict[int, int] = {}
    try:
        for _ in range(min(jobs, len(chunks))):
            # As many as the system grants; without any there is an error to raise.
            try:
                _start_process(function, chunks, numbers, processes)
            except OSError:
                if not processes:
                    raise
                break
        # (2) Results come in any order, and are yielded in that of the items.
        outcomes = _receive_outcomes(tuple(processes))
        early: dict[int, list[_Result]] = {}
        for number in range(len(chunks)):
            while number not in early:
                early |= [next(outcomes)]
            yield from early.pop(number)
    finally:
        os.close(numbers)
        for results, pid in processes.items():
            os.close(results)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _can_fork() -> bool:
    # A fork of a process with threads may inherit a lock that nobody will ever release. If the end of children is
    # ignored, the system gives their numbers to other processes at once.
    is_alone = threading.active_count() == 1 and signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN
    return is_alone and sys.platform == "linux"


def _start_process(
    function: Callable[[Any], Any], chunks: Sequence[Sequence[Any]], numbers: int, processes: dict[int, int]
) -> None:
    """Start a process, and add the descriptor from which its results are read, with its id, to `processes`."""
    results, results_end = os.pipe()
    # A signal between the fork and the next lines would run the parent's code in the child, or lose the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        pid = os.fork()
        if pid == 0:
            # While this process held them open, the others would not notice that their reader has ended.
            _work(function, chunks, numbers, results_end, before, (results, *processes))
        processes[results] = pid
    except OSError:
        os.close(results)
        raise
    finally:
        os.close(results_end)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    function: Callable[[Any], Any],
    chunks: Sequence[Sequence[Any]],
    numbers: int,
    results: int,
    signals: Iterable[int],
    unneeded: Sequence[int],
) -> NoReturn:
    """Compute chunks until none is left, write their results, and end the process."""
    try:
        import pickle  # noqa: PLC0415 - most commands start no process

        for descriptor in unneeded:
            os.close(descriptor)
        # Ctrl-C is the parent's business. Other signals end the process without the parent's handlers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        # Collecting garbage among the parent's objects would copy all of their pages.
        gc.freeze()
        while encoded := os.read(numbers, _NUMBER_BYTES):
            number = int.from_bytes(encoded, "big")
            outcome: list[Any] | Exception
            try:
                outcome = [function(item) for item in chunks[number]]
            except Exception as error:  # noqa: BLE001 - the parent raises it
                outcome = error
            try:
                data = pickle.dumps((number, outcome), pickle.HIGHEST_PROTOCOL)
                if isinstance(outcome, Exception):
                    pickle.loads(data)  # noqa: S301 - an exception of another library may refuse to be made again
            except Exception:  # noqa: BLE001 - as above
                outcome = RegistryPipelineError(f"{type(outcome).__name__}: {outcome}")
                data = pickle.dumps((number, outcome), pickle.HIGHEST_PROTOCOL)
            write_all_bytes(results, len(data).to_bytes(_NUMBER_BYTES, "big") + data)
    finally:
        # Not sys.exit: the exit handlers and the unwritten output are the parent's.
        os._exit(0)


def _receive_outcomes(descriptors: Sequence[int]) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number and the results of each chunk as they arrive; raise what a chunk raised."""
    import pickle  # noqa: PLC0415 - as above

    readable = poll()
    for descriptor in descriptors:
        readable.register(descriptor, POLLIN)
    open_count = len(descriptors)
    while open_count:
        for descriptor, _ in readable.poll():
            size = int.from_bytes(_read_exactly(descriptor, _NUMBER_BYTES), "big")
            if size == 0:
                readable.unregister(descriptor)
                open_count -= 1
                continue
            data = _read_exactly(descriptor, size)
            if len(data) < size:
                continue
            number, outcome = pickle.loads(data)  # noqa: S301 - written by our own process
            if isinstance(outcome, Exception):
                raise outcome
            yield number, outcome
    raise RegistryPipelineError("a process was ended from outside; there is no result", "run the command again")


def _read_exactly(descriptor: int, size: int) -> bytes:
    """Return so many bytes; fewer only at the end of the pipe."""
    data = b""
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data
