"""Run small programs in separate processes without importing the modules each time.

A server process with one thread imports the modules once. For every program it forks a child, in which the program runs
as `python -c` would run it. The child may be killed, may exit as it likes, and holds locks of its own. A fork of the
test process itself would do as well, but that one has threads (pytest-xdist) and objects of other tests.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_SERVER = """
import importlib, json, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, path in enumerate(request["streams"]):
            os.dup2(os.open(path, os.O_RDWR), number)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = ["-c", *request["words"]]
        exec(compile(request["program"], "<string>", "exec"), {"__name__": "__main__"})
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class ForkServer:
    """A process that has imported `modules` and nothing else."""

    def __init__(self, *modules: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._answer() == "ready"

    def run(
        self, program: str, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in a child process, and return how it ended; a negative code is the signal that killed it."""
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            request = {
                "program": program,
                "words": words,
                "cwd": str(cwd or Path.cwd()),
                "env": dict(os.environ if env is None else env),
                "streams": (os.devnull, out.name, err.name),
            }
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            code = int(self._answer())
            return subprocess.CompletedProcess((program, *words), code, out.read(), err.read())

    def close(self) -> None:
        """End the server."""
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()


@cache
def fork_server(*modules: str) -> ForkServer:
    """Return the server that has imported `modules`; it ends with this process."""
    server = ForkServer(*modules)
    atexit.register(server.close)
    return server
