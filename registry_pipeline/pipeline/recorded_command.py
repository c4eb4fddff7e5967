"""Run a command and record it as a sealed run (`record`): its files, its output, its exit code."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import PublishError, RefusedError, RegistryPipelineError
from registry_pipeline.files.atomic_write import write_all_bytes
from registry_pipeline.files.durable import advise_on_write_error
from registry_pipeline.pipeline.recorded_run import OperationChoice, RecordedRun
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import PublishedFolder
from registry_pipeline.values import value_type

FOLDER_VARIABLE: Final = "RUN_DIR"
"""The environment variable that names the folder for the files of the run."""
OUTPUT_FILES: Final = ("stdout.txt", "stderr.txt")
_FORWARDED: Final = frozenset(
    (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
)
_CHUNK: Final = 1 << 16
_POLL_SECONDS: Final = 0.2
_SIGNAL_BASE: Final = 128


class NotExecutableError(RegistryPipelineError):
    """The command exists and cannot be started (exit 126)."""

    exit_code = 126


class CommandNotFoundError(RegistryPipelineError):
    """There is no such command (exit 127)."""

    exit_code = 127


@value_type
class RecordedCommand:
    """A command that ended, and its sealed run.

    Attributes:
        exit_code: as a shell reports it: 128 and the number of the signal that ended the command.
        signal: the name of that signal, or None.
        ending: the exit code or the signal as a text.
    """

    published: PublishedFolder
    exit_code: int
    signal: str | None
    ending: str


@value_type
class CommandRequest:
    """A command to record: its arguments, what it is recorded as, and the descriptors that its output also goes to."""

    arguments: tuple[str, ...]
    run_id: RunId
    operation: OperationChoice
    outputs: tuple[int, int]


def record_command(repository: Repository, run: BuildRun, request: CommandRequest) -> RecordedCommand:
    """Run a command, and publish its run, whatever its exit code.

    The command has the environment of this process and `$RUN_DIR`. Signals that another process sends to this one are
    passed on to the command, and end it or not.

    Raises:
        RefusedError: the system has no sigtimedwait(2), or publish_root is a link or behind one.
        NotExecutableError, CommandNotFoundError: it could not be started; nothing was recorded.
        PublishError: the run could not be recorded or published; the message says where its files are.
        DurabilityError: it is published and complete, but the disk did not confirm it.
    """
    if not hasattr(signal, "sigtimedwait"):  # macOS
        raise RefusedError("this system cannot pass signals on to a command", "use `open_run` in Python, or Linux")
    # Signals are held until the run is published: it would not come to its end otherwise.
    with _held_signals() as previous_mask:
        recorded = RecordedRun(repository, run, request.run_id, request.operation)
        code = _run(recorded, request, previous_mask)
        name, ending = _find_signal_name(code), _format_ending(code)
        execution = {
            "command": [os.fsencode(word).decode("utf-8", "backslashreplace") for word in request.arguments],
            "outcome": "failure" if code else "success",
            "exit_code": code if name is None else None,
            "signal": name,
        }
        try:
            published = recorded.publish(execution)
        except PublishError as error:
            raise type(error)(f"{error.message}; the command ended with {ending}", error.advice) from error
    return RecordedCommand(published, code if name is None else _SIGNAL_BASE - code, name, ending)


def _find_signal_name(code: int) -> str | None:
    """Return the name of the signal that ended a process, by its negative exit code; None if it exited."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:  # only the first and the last real-time signal have names
        return f"SIGRTMIN+{-code - signal.SIGRTMIN}"


def _format_ending(code: int) -> str:
    name = _find_signal_name(code)
    return f"exit code {code}" if name is None else f"signal {name}"


def _run(recorded: RecordedRun, request: CommandRequest, mask: set[Any]) -> int:
    """Run the command to its end and return its exit code, or minus the number of the signal that ended it."""
    with ExitStack() as stack:
        try:
            files = [stack.enter_context(recorded.staged.create_file(name)) for name in OUTPUT_FILES]
            process = stack.enter_context(_start(request.arguments, recorded.path, mask))
        except OSError as error:
            recorded.staged.discard()
            advice = advise_on_write_error(error, recorded.path.parent)
            raise PublishError(f"the command cannot be recorded: {error.strerror}", advice) from error
        except BaseException:
            recorded.staged.discard()
            raise
        problem = _follow(process, [file.fileno() for file in files], request.outputs)
    if problem is not None:
        ending = _format_ending(process.returncode)
        message = f"the output could not be recorded: {problem.strerror}; the command ended with {ending}"
        raise recorded.keep(PublishError(message, advise_on_write_error(problem, recorded.path.parent)))
    return process.returncode


@contextmanager
def _held_signals() -> Iterator[set[Any]]:
    """Hold the signals that are passed on, and yield the previous mask; at the end those that came late are dropped."""
    # If SIGCHLD is ignored, as some parents leave it, the exit code of the command is lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    try:
        yield previous_mask
    finally:
        while signal.sigtimedwait(_FORWARDED, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def _start(command: Sequence[str], folder: Path, mask: set[Any]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env={**os.environ, FOLDER_VARIABLE: os.fspath(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),  # noqa: PLW1509 - no thread runs yet
        )
    except FileNotFoundError:
        raise CommandNotFoundError(f"{command[0]}: command not found", "check its name and PATH") from None
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
            raise
        advice = "check its permissions and its first line"
        raise NotExecutableError(f"{command[0]} cannot be executed: {error.strerror}", advice) from None


def _follow(process: subprocess.Popen[bytes], files: Sequence[int], outputs: Sequence[int]) -> OSError | None:
    """Copy the output and pass signals on until the process has ended; return why output could not be recorded."""
    ended = threading.Event()
    errors: list[OSError] = []
    pipes = [pipe.fileno() for pipe in (process.stdout, process.stderr) if pipe is not None]
    copying = threading.Thread(target=_copy_output, args=(pipes, files, outputs, ended, errors))
    copying.start()
    while process.poll() is None:
        # SIGCHLD ends the wait. It is looked for again because another thread of the process may have got it.
        info = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, _POLL_SECONDS)
        # The kernel sends what a terminal causes, such as Ctrl-C, to the command itself.
        if info is not None and info.si_signo != signal.SIGCHLD and info.si_code <= 0:
            process.send_signal(info.si_signo)
    ended.set()
    copying.join()
    return errors[0] if errors else None


def _copy_output(
    pipes: Sequence[int], files: Sequence[int], outputs: Sequence[int], ended: threading.Event, errors: list[OSError]
) -> None:
    """Copy each pipe to its file and its output until it is closed, or is empty after the process has ended."""
    passing = set(pipes)
    with selectors.DefaultSelector() as selector:
        for pipe, file, output in zip(pipes, files, outputs, strict=True):
            selector.register(pipe, selectors.EVENT_READ, (file, output))
        while selector.get_map():
            # A process that outlives the command may hold a pipe open.
            has_ended = ended.is_set()
            events = selector.select(0 if has_ended else _POLL_SECONDS)
            if has_ended and not events:
                break
            for key, _ in events:
                file, output = key.data
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fd)
                    continue
                try:
                    if not errors:
                        write_all_bytes(file, data)
                except OSError as error:
                    errors.append(error)
                try:
                    if key.fd in passing:
                        write_all_bytes(output, data)
                except OSError:
                    passing.discard(key.fd)  # nobody reads it any more; the recording goes on
