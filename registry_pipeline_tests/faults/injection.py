"""Run a command in a forked child, and let one of its calls that change the disk fail, or kill the child there.

A *fault point* is such a call inside the repository: a file opened for writing, a write, an fsync, a rename, and so on.
Most of them raise an audit event, which the child's hook counts; the others are wrapped. A hook that raises makes the
call fail, and a hook that ends the process is a kill before the call. What a power cut takes is another matter
(`soak/test_power_cut.py`): after a kill everything that was written is still there.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from registry_pipeline.cli.invoke import run
from registry_pipeline.files import durable

KILLED: Final = 137
FAULTS: Final = ("kill", "ENOSPC", "torn", "EIO", "EACCES")
"""`torn` kills in the middle of a write; at any other call it is a kill."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PATH_EVENTS: Final = frozenset(
    ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.truncate")
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, what it printed, and how many fault points it passed."""

    code: int
    out: str
    err: str
    points: int

    @property
    def killed(self) -> bool:
        return self.code == KILLED


class _Injector:
    """Counts the fault points of this process inside a folder, and acts at one of them."""

    def __init__(self, root: Path, point: int | None, fault: str, counted: int) -> None:
        self.root = f"{root.resolve()}{os.sep}"
        self.point = point
        self.fault = fault
        self.descriptor = counted
        self.count = 0
        self.inside = False

    def install(self) -> None:
        self._write, self._fsync = os.write, os.fsync
        os.write = self._wrapped_write
        os.fsync = self._wrapped_fsync  # type: ignore[assignment]  # our code syncs descriptors only
        real = durable._libc
        durable._libc = lambda name: self._wrapped_libc(name, real(name))  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.inside:
            return
        self.inside = True
        try:
            path = self._changed_path(event, arguments)
            if path is not None and self._is_ours(path):
                self._reach(event)
        finally:
            self.inside = False

    @staticmethod
    def _changed_path(event: str, arguments: tuple[Any, ...]) -> Any:
        """Return the path or descriptor that an event is about to change, None for an event that changes nothing."""
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & _WRITING) if isinstance(flags, int) else any(c in (mode or "") for c in "wax+")
            return path if writes else None
        return arguments[0] if event in _PATH_EVENTS else None

    def _is_ours(self, path: Any) -> bool:
        if isinstance(path, int):
            try:
                text = str(Path(f"/proc/self/fd/{path}").readlink())
            except OSError:
                return False
        else:
            text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - resolve() would follow the last link
        return text.startswith(self.root) and f"{os.sep}.git{os.sep}" not in text

    def _reach(self, _event: str, tear: Callable[[], object] | None = None) -> None:
        self.count += 1
        os.pwrite(self.descriptor, b"%-12d" % self.count, 0)
        if self.count != self.point:
            return
        if self.fault in ("kill", "torn"):
            if self.fault == "torn" and tear is not None:
                tear()
            os._exit(KILLED)
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number))

    def _wrapped_write(self, descriptor: int, data: Any, /) -> int:
        if self._is_ours(descriptor):
            half = bytes(data)[: len(data) // 2]
            self._reach("write", lambda: self._write(descriptor, half))
        return self._write(descriptor, data)

    def _wrapped_fsync(self, descriptor: int, /) -> None:
        if self._is_ours(descriptor):
            self._reach("fsync")
        self._fsync(descriptor)

    def _wrapped_libc(self, name: str, real: Any) -> Any:
        if real is None:
            return None

        def called(*arguments: Any) -> int:
            try:
                self._reach(name)
            except OSError as error:
                ctypes.set_errno(error.errno or 0)
                return -1
            return int(real(*arguments))

        return called


def run_with_fault(
    words: tuple[str, ...], root: Path, env: Mapping[str, str], *, point: int | None = None, fault: str = "kill"
) -> Outcome:
    """Run a command of the command line in a forked child; without a `point` nothing is injected."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as counted:
        child = os.fork()
        if child == 0:
            _in_child(words, root, env, (out.fileno(), err.fileno()), _Injector(root, point, fault, counted.fileno()))
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        counted.seek(0)
        points = int(counted.read() or b"0")
        return Outcome(os.waitstatus_to_exitcode(status), _text(out.read()), _text(err.read()), points)


def _in_child(
    words: tuple[str, ...], root: Path, env: Mapping[str, str], streams: tuple[int, int], injector: _Injector
) -> NoReturn:
    code = 1
    try:
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
        # Streams of their own: pytest's capture must not see what the child prints.
        sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
        os.chdir(root)
        os.environ.clear()
        os.environ.update(env)
        # One process: a pool of workers would not share the injector's count.
        os.cpu_count = lambda: 1
        injector.install()
        code = run(list(words))
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        os._exit(code)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def read_findings(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the findings of a command that was run with `--json`."""
    return list(json.loads(outcome.out)["findings"])
