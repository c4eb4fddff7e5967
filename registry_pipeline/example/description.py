"""The example as a value: its commits, its run folders, and what must be found wrong with them.

First `describe_example`, then the commits are written, then `describe_runs` with their ids, which run.json names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from registry_pipeline.canonical import json_document
from registry_pipeline.example.adapter_runs import RIG_ROOT, RigRun, plan_rig_runs, rig_folder_files
from registry_pipeline.example.defects import Defect
from registry_pipeline.example.history import ExampleCommit, describe_commits
from registry_pipeline.example.payload import run_folder_files
from registry_pipeline.example.schedule import PlannedRun, Seal, plan_runs
from registry_pipeline.example.seeded import seal_as_older_tools
from registry_pipeline.values import value_type

EXAMPLE_NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLE_SEED: Final = 1


@value_type
class ExampleRun:
    """One run folder.

    `files` maps relpath to bytes. With `seal` `ours` they are what is to be sealed; else all that the folder holds,
    an older tool's seal and the damage done since included. `defect` names that damage, None for a sound folder.
    """

    run_root: str
    run_id: str
    files: Mapping[str, bytes]
    seal: Seal
    defect: str | None


@value_type
class PlantedFolder:
    """A folder that must not pass: its path, its verdict, and its findings as (code, path), sorted."""

    path: str
    verdict: str
    findings: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the planted document."""
        found = [{"code": code, "path": path} for code, path in self.findings]
        return {"path": self.path, "verdict": self.verdict, "findings": found}


@value_type
class ExampleRepository:
    """All of the example that does not depend on commit ids; `end` is its newest instant, a full hour."""

    seed: int
    end: datetime
    commits: tuple[ExampleCommit, ...]
    planned: tuple[PlannedRun, ...]
    rig: tuple[RigRun, ...]
    planted: tuple[PlantedFolder, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The path of every run folder, sorted."""
        return (*(run.path for run in self.planned), *(run.path for run in self.rig))


def describe_example(seed: int = EXAMPLE_SEED, now: datetime = EXAMPLE_NOW) -> ExampleRepository:
    """Return the example whose 120 days end with the last full hour (UTC) before `now`.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("the example's end needs a time zone")
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    planned, rig = plan_runs(seed, end), plan_rig_runs(seed, end)
    planted = (
        *(_planted(run.path, run.defect) for run in planned if run.defect is not None),
        *(PlantedFolder(run.path, verdict, (found,)) for run in rig for verdict, found in (run.finding(),)),
    )
    return ExampleRepository(seed, end, describe_commits(seed, end, planted_document(planted)), planned, rig, planted)


def planted_document(planted: Sequence[PlantedFolder]) -> bytes:
    """Return `docs/PLANTED_FINDINGS.json`: every folder that `verify --all` must not pass, and nothing else."""
    return json_document(
        {
            "planted_version": "0.1",
            "description": "What verify --all must find in this repository, folder by folder, and nothing more.",
            "folders": [folder.to_json() for folder in planted],
        }
    )


def describe_runs(example: ExampleRepository, commit_ids: Sequence[str]) -> Iterator[ExampleRun]:
    """Return the run folders one by one, sorted by path; `commit_ids` are those of `example.commits`, in order."""
    history = [(commit.at, commit_id) for commit, commit_id in zip(example.commits, commit_ids, strict=True)]
    for run in example.planned:
        commit = next(name for at, name in reversed(history) if at <= run.at)
        files = run_folder_files(example.seed, run, commit)
        if run.defect is not None:
            files = run.defect.before(files)
        if run.seal != "ours" and run.seal != "none":  # noqa: PLR1714 - mypy narrows by comparison, not by `in`
            files = seal_as_older_tools(files, run.seal)
        if run.defect is not None:
            files = run.defect.after(files)
        yield ExampleRun(run.run_root, run.run_id, files, run.seal, run.defect.name if run.defect else None)
    for each in example.rig:
        commit = next(name for at, name in reversed(history) if at <= each.at)
        yield ExampleRun(RIG_ROOT, each.run_id, rig_folder_files(example.seed, each, commit), "none", each.state)


def _planted(path: str, defect: Defect) -> PlantedFolder:
    found = sorted((code, f"{path}/{name}" if name else path) for code, name in defect.findings)
    return PlantedFolder(path, defect.verdict, tuple(found))
