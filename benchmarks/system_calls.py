"""How many system calls a command makes, counted by strace in an environment in which it always does the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SYNCS: Final = "fsync,fdatasync,syncfs,sync,sync_file_range,msync"
# How often memory is requested depends on addresses, which are random.
REPEATABLE: Final = "!brk,mmap,munmap,mremap,madvise,futex"


def environment() -> dict[str, str]:
    """Return the environment of the commands: each process does the same, whatever ran before."""
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def run(command: Sequence[str], expected: int) -> None:
    """Run a command; raise RuntimeError with what it wrote if it does not exit with `expected`."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != expected:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def at_day(day: int) -> list[str]:
    """Return the options that set the clock of a command."""
    # Far in the future, so that the folders are old enough for the line cache when the first build starts.
    return ["--now", f"2037-03-{day:02}T12:00:00Z", "--allow-future"]


def count_system_calls(place: Path, calls: str, words: Sequence[str], expected: int = 0) -> int:
    """Return how often a command of the program makes one of these system calls, its child processes included."""
    return count_calls_of(place, calls, [sys.executable, "-m", "registry_pipeline", *words], expected)


def count_calls_of(place: Path, calls: str, command: Sequence[str], expected: int = 0) -> int:
    """Return how often any command makes one of these system calls, its child processes included."""
    summary = place / "strace.txt"
    run(["strace", "-f", "-c", "-o", str(summary), "-e", f"trace={calls}", *command], expected)
    # "% time, seconds, usecs/call, calls, errors, syscall"; no lines without a call.
    totals = [line.split() for line in summary.read_text().splitlines() if line.endswith(" total")]
    return sum(int(columns[3]) for columns in totals)
