"""A process that seals is killed at every system call from its staging folder on (make soak)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.runs.small_run import WANTED

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (apt install strace)"),
]

CHECKOUT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from registry_pipeline_tests.runs.small_run import WANTED, files_for
from registry_pipeline.runs.writer import seal_folder
extra = {f"part_{n:02d}.txt": b"x" for n in range(int(sys.argv[2]))} if int(sys.argv[2]) else None
seal_folder(Path(sys.argv[1]) / "RUNS", Path(sys.argv[1]) / ".staging", WANTED, files_for(extra))
"""
CALL = re.compile(r"^(?:\d+ +)?([a-z0-9_]+)\(")


def _run(place: Path, parts: int, *options: str) -> int:
    """Seal in a fresh process under strace and return its exit status."""
    (place / "RUNS").mkdir(parents=True)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    command = ["strace", "-qq", *options, sys.executable, "-c", PROGRAM, str(place), str(parts)]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, check=False).returncode


def _calls(log: Path) -> list[tuple[str, int]]:
    """Return each call from the first mention of the staging folder on: its name, and how many-th of its kind it is."""
    seen: Counter[str] = Counter()
    calls, staging = [], False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        seen[match[1]] += 1
        staging = staging or ".staging" in line
        # Nothing can be injected into these: they do not return, or strace cannot count them.
        if staging and match[1] not in ("exit_group", "rt_sigreturn"):
            calls.append((match[1], seen[match[1]]))
    return calls


@pytest.mark.parametrize("parts", [0, 17], ids=["fsync", "syncfs"])
def test_a_process_killed_at_any_system_call_leaves_nothing_or_a_complete_folder(tmp_path: Path, parts: int) -> None:
    log = tmp_path / "log"
    assert _run(tmp_path / "whole", parts, "-o", str(log)) == 0
    calls = _calls(log)
    outcomes: Counter[bool] = Counter()

    for number, (name, count) in enumerate(calls):
        place = tmp_path / str(number)
        _run(place, parts, "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}")
        published = place / "RUNS" / str(WANTED)
        assert [path.name for path in (place / "RUNS").iterdir()] in ([], [str(WANTED)])
        if published.exists():
            assert verify_folder(published).verdict == "pass", f"killed at {name} number {count}"
        outcomes[published.exists()] += 1
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
        shutil.rmtree(place)

    assert outcomes[False] > 50
    assert outcomes[True] > 5
