from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import FilesFor, PublishedFolder, seal_folder
from registry_pipeline_tests.runs.small_run import WANTED, files_for


@dataclass(frozen=True)
class SealRoots:
    """A publish root and the staging root beside it."""

    publish: Path
    staging: Path

    def seal(self, run_id: RunId = WANTED, files: FilesFor | None = None) -> PublishedFolder:
        return seal_folder(self.publish, self.staging, run_id, files or files_for())

    def published(self) -> list[str]:
        return sorted(path.name for path in self.publish.iterdir())

    def staged(self) -> list[str]:
        return sorted(path.name for path in self.staging.iterdir()) if self.staging.exists() else []


@pytest.fixture
def roots(tmp_path: Path) -> SealRoots:
    (tmp_path / "RUNS").mkdir()
    return SealRoots(tmp_path / "RUNS", tmp_path / ".staging")
