"""The model of docs/explanation/scale.md at 1,000 to 1,000,000 run folders of two files (make soak)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 3600)]

ROOT = Path(__file__).parents[2]
SIZES = (1_000, 10_000, 100_000, 1_000_000)
# A disk, because the folders would fill the memory that other tests have their folders in.
DISK = Path("/var/tmp")  # noqa: S108 - the script makes a folder of its own there
BYTES, INODES = 30 * 10**9, 6_000_000


def test_no_prediction_misses_by_more_than_its_factor(tmp_path: Path) -> None:
    free = os.statvfs(DISK)
    assert free.f_bavail * free.f_frsize > BYTES, f"{DISK} needs {BYTES // 10**9} GB for a million run folders"
    assert free.f_favail > INODES, f"{DISK} needs {INODES:,} inodes for a million run folders"
    command = [
        sys.executable,
        "benchmarks/scale.py",
        "--result",
        str(tmp_path / "scale.json"),
        "--sizes",
        *map(str, SIZES),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(DISK)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
