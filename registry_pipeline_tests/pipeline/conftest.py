from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict

import pytest

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.pipeline.rebuild import RebuildResult, rebuild
from registry_pipeline.registries.base.seal_build import BuildRun, start_build_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.copies import add_run_folder, copied_repository, flip_byte

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Who(TypedDict):
    """Who changes pointers, and why."""

    actor: str
    reason: str


@dataclass(frozen=True)
class World:
    """A repository and a fixed clock."""

    repository: Repository

    @property
    def root(self) -> Path:
        return self.repository.root

    @property
    def runs(self) -> Path:
        return self.repository.publish_root

    def run(self, minutes: int = 0, dagster_run_id: str | None = None) -> BuildRun:
        return start_build_run(self.repository, NOON + timedelta(minutes=minutes), dagster_run_id)

    def build(self, *registries: str, minutes: int = 0, only: bool = False, move: bool = True) -> RebuildResult:
        """Build `minutes` after noon; a later build finds a run of that minute, so that there is something to do."""
        run = self.run(minutes)
        if minutes:
            add_run_folder(self.runs / f"work_at_{minutes}")
        return rebuild(
            self.repository, run, registries, only=only, move=move, actor="Ada", reason="because it is Sunday"
        )

    def active(self, registry_id: str) -> str:
        ref = read_pointers(self.repository).active(registry_id)
        assert ref is not None
        return ref.run_id

    def names(self) -> set[str]:
        """Return the run folders, apart from those that `build` of this class added."""
        return {entry.name for entry in self.runs.iterdir() if not entry.name.startswith("work_at_")}

    def tamper(self, run_id: str, artifact: str) -> None:
        """Flip one byte of a sealed artifact."""
        flip_byte(self.runs / run_id / artifact)


def all_active(outcome: RebuildResult) -> bool:
    """Return whether every built registry that can be active is active: moved now, or unchanged."""
    rows = [row for row in outcome.built if SHIPPED.registries[row.registry_id].pointer]
    return bool(rows) and all(row.activated or row.reused for row in rows)


@pytest.fixture(scope="session")
def built_repository(known_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    World(load_repository(root)).build()
    return root


def copied(source: Path, root: Path) -> Iterator[World]:
    with copied_repository(source, root):
        yield World(load_repository(root))


@pytest.fixture
def world(known_repository: Path, tmp_path: Path) -> Iterator[World]:
    """A repository where nothing was ever built."""
    yield from copied(known_repository, tmp_path / "known")


@pytest.fixture
def built(built_repository: Path, tmp_path: Path) -> Iterator[World]:
    """A repository where everything was built and activated at noon."""
    yield from copied(built_repository, tmp_path / "built")
