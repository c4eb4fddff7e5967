"""Make the example governed repository: `example` describes, git commits, the writer seals (SPEC 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from registry_pipeline.config import Governed
from registry_pipeline.example.description import (
    EXAMPLE_SEED,
    ExampleRun,
    PlantedFolder,
    describe_example,
    describe_runs,
)
from registry_pipeline.example.writing import write_commits, write_plain_run
from registry_pipeline.model.ids import RunId
from registry_pipeline.runbook.setup import initialise
from registry_pipeline.seal.folder import seal_folders
from registry_pipeline.values import value_type


@value_type
class ExampleOutcome:
    """The example that was made: its repository, how many run folders, and what must be found wrong with them."""

    governed: Governed
    runs: int
    planted: tuple[PlantedFolder, ...]


def make_example(
    target: Path,
    now: datetime,
    *,
    seed: int = EXAMPLE_SEED,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> ExampleOutcome:
    """Make the example at `target`, a folder that is new or empty; its 120 days end with the hour of `now`.

    `on_progress` is told how many run folders of how many are written.

    Raises:
        RefusedError: something is at `target` already.
    """
    example = describe_example(seed, now)
    commits = write_commits(target, example)
    governed = initialise(target, track_runs=False, now=now).governed
    ours: dict[str, list[ExampleRun]] = {}
    done = 0
    for run in describe_runs(example, commits):
        if run.seal == "ours":
            ours.setdefault(run.run_root, []).append(run)
        else:
            write_plain_run(target, run)
            done += 1
            on_progress(done, len(example.paths))
    for run_root, runs in ours.items():
        _seal_all(governed, run_root, runs)
        done += len(runs)
        on_progress(done, len(example.paths))
    return ExampleOutcome(governed, len(example.paths), example.planted)


def _seal_all(governed: Governed, run_root: str, runs: list[ExampleRun]) -> None:
    """Seal the runs of one root, with one synchronisation of the disk for all of them."""
    place = governed.path(run_root)
    place.mkdir(parents=True, exist_ok=True)
    seal_folders(place, governed.staging_root, [(_run_id(run), partial(_as_described, run)) for run in runs])


def _run_id(run: ExampleRun) -> RunId:
    run_id = RunId.parse(run.run_id)
    if run_id is None:
        raise ValueError(f"the example describes {run.run_id!r} as ours, and we would not name a run so")
    return run_id


def _as_described(run: ExampleRun, _run_id: RunId) -> Mapping[str, bytes]:
    return run.files
