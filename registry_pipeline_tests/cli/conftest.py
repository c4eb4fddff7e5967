from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_pipeline_tests.command_line import PROGRAM, CommandResult, call, environment
from registry_pipeline_tests.copies import copied_repository, flip_byte
from registry_pipeline_tests.registries.repositories import git

__all__ = ["NOON", "PROGRAM", "Call", "CommandResult", "Repository", "call", "environment"]

NOON = "2026-03-01T12:00:00Z"
Call = Callable[..., CommandResult]


@dataclass(frozen=True)
class Repository:
    """A repository, and the command line called in it with a fixed clock."""

    root: Path
    home: Path

    def __call__(self, *words: str, now: str = NOON, prefix: tuple[str, ...] = (), **more: str) -> CommandResult:
        return call(*words, "--now", now, cwd=self.root, env=environment(self.home, **more), prefix=prefix)

    @property
    def runs(self) -> Path:
        return self.root / ".codex/RUNS"

    @property
    def pointers(self) -> Path:
        return self.root / "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"

    def files(self) -> dict[str, bytes]:
        """Return every file but those of git, so that two moments can be compared."""
        paths = (p for p in self.root.rglob("*") if p.is_file() and ".git" not in p.relative_to(self.root).parts)
        return {str(p.relative_to(self.root)): p.read_bytes() for p in paths}

    def active(self, registry_id: str) -> str:
        """Return the run id that the pointer file names."""
        pointers = json.loads(self.pointers.read_bytes())["pointers"]
        return next(str(p["active_ref"]["run_id"]) for p in pointers if p["registry_id"] == registry_id)

    def tamper(self, run_id: str, artifact: str) -> None:
        """Flip one byte of a sealed artifact."""
        flip_byte(self.runs / run_id / artifact)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def built_repository(known_repository: Path, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    root = tmp_path_factory.mktemp("built") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    repository = Repository(root, home)
    assert repository("init").code == 0
    assert repository("build").code == 0
    return root


@pytest.fixture
def known(known_repository: Path, tmp_path: Path, home: Path) -> Iterator[Repository]:
    """A repository with run folders of every quality, where neither `init` nor `build` ever ran."""
    with copied_repository(known_repository, tmp_path / "known") as root:
        yield Repository(root, home)


@pytest.fixture
def built(built_repository: Path, tmp_path: Path, home: Path) -> Iterator[Repository]:
    """A repository where everything was built and activated at noon by Ada."""
    with copied_repository(built_repository, tmp_path / "built") as root:
        yield Repository(root, home)


@pytest.fixture(scope="session")
def tracked_repository(built_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tracked") / "repository"
    shutil.copytree(built_repository, root, symlinks=True)
    git(root, "add", "--force", "--all")
    git(root, "commit", "-q", "-m", "evidence")
    return root


@pytest.fixture
def tracked(tracked_repository: Path, tmp_path: Path, home: Path) -> Iterator[Repository]:
    """The built repository with all of its evidence committed, by `git add --force`."""
    with copied_repository(tracked_repository, tmp_path / "tracked") as root:
        yield Repository(root, home)


@pytest.fixture(scope="session")
def seen(built_repository: Path, home: Path) -> Repository:
    """The built repository itself, for commands that only look."""
    return Repository(built_repository, home)


@pytest.fixture(scope="session")
def plain_repository(known_repository: Path, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    root = tmp_path_factory.mktemp("plain") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    (root / "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json").unlink()
    repository = PlainRepository(root, home)
    assert repository("init").code == 0
    assert repository("build").code == 0
    return root


class PlainRepository(Repository):
    """A repository whose pointer file this tool made, in its own place."""

    @property
    def pointers(self) -> Path:
        return self.root / ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"


@pytest.fixture
def plain(plain_repository: Path, tmp_path: Path, home: Path) -> Iterator[Repository]:
    """A repository built and activated at noon by Ada, with a pointer file that `init` made."""
    with copied_repository(plain_repository, tmp_path / "plain") as root:
        yield PlainRepository(root, home)
