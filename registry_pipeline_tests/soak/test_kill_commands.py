"""The real command line under strace: killed at every system call that changes the disk (make soak)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.faults.conftest import built_repository, home
from registry_pipeline_tests.faults.test_commands import (
    Prepared,
    check_owned_files,
    check_recovery,
    check_runs,
    digests,
    prepared,
    source_repository,
)

__all__ = ["built_repository", "home", "prepared", "source_repository"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(14400)]

CHANGING = (
    "write,pwrite64,fsync,syncfs,rename,renameat2,link,unlink,unlinkat,mkdir,rmdir,ftruncate,chmod,fchmod,fchown,openat"
)
_CALL = re.compile(r"^(?:\d+ +)?([a-z0-9_]+)\((.*)$")


def strace(repository: Repository, words: tuple[str, ...], *options: str) -> int:
    command = ["strace", "-f", "-qq", *options, sys.executable, "-m", "registry_pipeline", *words]
    env = {**environment(repository.home), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=repository.root, env=env, capture_output=True, check=False).returncode


def changing_calls(log: Path, root: Path) -> list[tuple[str, int]]:
    """Return the calls that change something under `root`: name, and how many-th of its kind it is in the process."""
    seen: Counter[str] = Counter()
    calls: list[tuple[str, int]] = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        seen[name] += 1
        reads = name == "openat" and not any(flag in rest for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
        if str(root) in rest and not reads and f"{root}/.git/" not in rest:
            calls.append((name, seen[name]))
    return calls


def test_a_command_killed_at_any_changing_call_leaves_nothing_half_done(prepared: Prepared, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with prepared.copy(tmp_path / "whole") as repository:
        assert strace(repository, prepared.command.words, "-y", "-e", f"trace={CHANGING}", "-o", str(log)) == 0
        calls = changing_calls(log, repository.root)
    assert len(calls) >= 3

    for name, count in calls:
        with prepared.copy(tmp_path / "whole") as repository:
            inject = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}")
            strace(repository, prepared.command.words, "-o", "/dev/null", *inject)
            context = f"{prepared.name}: killed at {name} number {count}"
            found = digests(repository.root)
            check_runs(prepared, repository, found, context)
            check_owned_files(prepared, found, context)
            check_recovery(prepared, repository, context)
