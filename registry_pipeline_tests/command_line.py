"""Run the command line in a test: in this process, which is fast, or in a process of its own.

`run_command` is right for most tests. It gives a command what a new process would have: arguments, working folder,
environment, the three standard streams, signal handlers, warning filters and an empty cache of roles. Use `run_process`
where the process is what is tested: imports, signals, terminals, pipes, exit of the interpreter, other user rights.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest import mock

from registry_pipeline.cli.invoke import run
from registry_pipeline.registries.roles.pack import clear_role_cache
from registry_pipeline.schema import check_value

PROGRAM = (sys.executable, "-m", "registry_pipeline")

# The interpreter, the C library and the loader read these when a process starts, and never again.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_")

_MODES = ("rb", "wb", "wb")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


@dataclass(frozen=True)
class CommandResult:
    """The result of a command."""

    code: int
    out: str
    err: str

    def document(self, verb: str) -> Any:
        """Return stdout as the one JSON document that it must be, checked by the schema that ships for the verb."""
        value = json.loads(self.out)
        assert check_value(f"cli/{verb}.schema.json", value) == []
        return value


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment without the user's settings and without the variables that a git hook sets."""
    dropped = ("GIT_", "REGISTRY_PIPELINE_", "NO_COLOR", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return {**kept, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "REGISTRY_PIPELINE_ACTOR": "Ada", **more}


def call(*words: str, cwd: Path, env: Mapping[str, str], prefix: tuple[str, ...] = ()) -> CommandResult:
    """Run a command in this process if that makes no difference, otherwise as a process of its own."""
    if prefix or needs_process(words, env):
        return run_process(*words, cwd=cwd, env=env, prefix=prefix)
    return run_command(*words, cwd=cwd, env=env)


def needs_process(words: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a command behaves differently inside this process.

    It does if it starts servers or worker processes, or if `env` changes a variable that is read at start only.
    """
    changed = {name for name in {*env, *os.environ} if env.get(name) != os.environ.get(name)}
    starts = any(word == "ui" or word.startswith("--jobs") for word in words)
    return starts or any(name.startswith(_READ_AT_START) for name in changed)


def run_process(
    *words: str,
    cwd: Path,
    env: Mapping[str, str],
    prefix: tuple[str, ...] = (),
    stdin: bytes = b"",
    program: Sequence[str] = PROGRAM,
) -> CommandResult:
    """Run a command as a process of its own; `prefix` is a program that starts it."""
    done = subprocess.run([*prefix, *program, *words], cwd=cwd, env=env, capture_output=True, input=stdin, check=False)
    return CommandResult(done.returncode, done.stdout.decode(), done.stderr.decode())


def run_command(
    *words: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    main: Callable[[Sequence[str]], int] = run,
) -> CommandResult:
    """Run a command in this process, as a new process would; afterwards everything is as it was before."""
    with ExitStack() as files:
        given, out, err = (files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        with ExitStack() as stack:
            for isolate in (_folder(cwd), _environment(env), _signals(), _warnings(), _interpreter()):
                stack.enter_context(isolate)
            stack.enter_context(_streams(given, out, err))
            code = _exit_code(main, words)
        out.seek(0)
        err.seek(0)
        return CommandResult(code, out.read().decode(), err.read().decode())


def _exit_code(main: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1


@contextmanager
def _folder(cwd: Path) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(cwd)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, env, clear=True):
        yield


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _warnings() -> Iterator[None]:
    """Set the filters that Python begins with, in place of those of pytest."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        with mock.patch.object(warnings, "showwarning", _print_warning):
            yield


def _print_warning(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


@contextmanager
def _interpreter() -> Iterator[None]:
    """Isolate the rest of the state that a process has for itself."""
    clear_role_cache()
    mask, collects = os.umask(0o022), gc.isenabled()
    os.umask(mask)
    try:
        # One worker process for `verify`: a pool cannot be forked from a process with threads, which pytest-xdist has.
        with mock.patch.object(os, "cpu_count", return_value=1):
            yield
    finally:
        os.umask(mask)
        (gc.enable if collects else gc.disable)()
        clear_role_cache()


@contextmanager
def _streams(*files: IO[bytes]) -> Iterator[None]:
    """Put files in the place of the standard streams: those of Python, and those that a child process inherits."""
    saved = [os.dup(number) for number in range(3)]
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    stdin, stdout, stderr = (io.TextIOWrapper(os.fdopen(n, m, closefd=False), "utf-8") for n, m in enumerate(_MODES))
    stderr.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        with mock.patch.multiple(sys, stdin=stdin, stdout=stdout, stderr=stderr):
            yield
    finally:
        stdout.flush()
        stderr.flush()
        for number, duplicate in enumerate(saved):
            os.dup2(duplicate, number)
            os.close(duplicate)
