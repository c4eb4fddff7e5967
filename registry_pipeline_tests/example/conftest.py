from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from registry_pipeline.example.make import (
    ExampleRepository,
    ExampleRun,
    describe_example,
    describe_runs,
    write_commits,
    write_plain_run,
)
from registry_pipeline.example.sources import CODEX
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import seal_folders


@dataclass(frozen=True)
class Written:
    """The example on a disk, with the values that it was written from."""

    root: Path
    example: ExampleRepository
    commit_ids: tuple[str, ...]
    runs: tuple[ExampleRun, ...]


def write_runs(root: Path, runs: Iterable[ExampleRun]) -> None:
    """Write the folders as `make_example` does: those of other tools as they are, the rest with the writer."""
    ours = []
    for run in runs:
        run_id = RunId.parse(run.run_id)
        if run.seal != "ours":
            write_plain_run(root, run)
        elif run_id is not None:
            ours.append((run_id, partial(_files_of, run)))
    seal_folders(root / CODEX, root / ".codex/.staging", ours)


def _files_of(run: ExampleRun, _: RunId) -> Mapping[str, bytes]:
    return run.files


@pytest.fixture(scope="session")
def example() -> ExampleRepository:
    return describe_example()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, example: ExampleRepository) -> Written:
    """Tests only read it."""
    root = tmp_path_factory.mktemp("example") / "tides"
    commit_ids = write_commits(root, example)
    runs = tuple(describe_runs(example, commit_ids))
    write_runs(root, runs)
    return Written(root, example, commit_ids, runs)
