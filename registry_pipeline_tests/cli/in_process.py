"""The command line in a fork of the test's own process, so that a function of the program can be replaced first."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from registry_pipeline_tests.cli.conftest import NOON, CommandResult, Repository, environment


def _nothing() -> None: ...


def run_forked(repository: Repository, *words: str, prepare: Callable[[], object] = _nothing) -> CommandResult:
    """Run a command in the repository, after `prepare`; nothing that it replaces lasts longer than the command."""
    from registry_pipeline.cli.invoke import run

    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("out", "err")]
        child = os.fork()
        if child == 0:
            code = 99
            try:
                os.chdir(repository.root)
                os.environ.clear()
                os.environ.update(environment(repository.home))
                for number, path in enumerate(outputs, 1):
                    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
                sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
                prepare()
                code = run([*words, "--now", NOON])
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return CommandResult(code, *(path.read_text() for path in outputs))
