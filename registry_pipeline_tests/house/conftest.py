"""The distributions of this checkout, and an environment in which its wheel is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Distributions(NamedTuple):
    source: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment with our wheel."""

    folder: Path

    def run(
        self, program: str, *arguments: str, cwd: Path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; nothing of the caller's variables but PATH is passed on."""
        keep = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(command, cwd=cwd, env=keep | (env or {}), capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The source distribution of this checkout, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("distributions")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*hatchling, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = folder / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatchling, "-t", "wheel"], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return Distributions(source, wheel)


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel, installed with pip in a new environment, which finds the dependencies in this one."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
    install = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, str(distributions.wheel)], check=True, capture_output=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # Python searches a path in a .pth file, but ignores the .pth files there: the editable install has no effect.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return Environment(environment)
