"""The example as a value: its commits, its run folders, and what must be found wrong with them.

First `describe_example`, then the commits are written, then `describe_runs` with their ids, which run.json names.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import json_document
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError, RegistryPipelineError
from registry_pipeline.example.adapter_runs import RIG_ROOT, RigRun, plan_rig_runs, rig_folder_files, run_folder_files
from registry_pipeline.example.history import ExampleCommit, describe_commits
from registry_pipeline.example.schedule import Defect, PlannedRun, Seal, plan_runs, seal_as_older_tools
from registry_pipeline.files.durable import cannot_write, make_folders
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import seal_folders
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


@value_type
class ExampleOutcome:
    """The example that was made: its repository, how many run folders, and what must be found wrong with them."""

    repository: Repository
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

    `on_progress` is called with (written, total) run folders.

    Raises:
        RefusedError: something is at `target` already.
    """
    example = describe_example(seed, now)
    commits = write_commits(target, example)
    repository = initialize(target, track_runs=False, now=now).repository
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
        _seal_all(repository, run_root, runs)
        done += len(runs)
        on_progress(done, len(example.paths))
    return ExampleOutcome(repository, len(example.paths), example.planted)


def _seal_all(repository: Repository, run_root: str, runs: list[ExampleRun]) -> None:
    """Seal the runs of one root, with one synchronisation of the disk for all of them."""
    place = repository.path(run_root)
    place.mkdir(parents=True, exist_ok=True)
    seal_folders(place, repository.staging_root, [(_run_id(run), partial(_as_described, run)) for run in runs])


def _run_id(run: ExampleRun) -> RunId:
    run_id = RunId.parse(run.run_id)
    if run_id is None:
        raise ValueError(f"the example describes {run.run_id!r} as ours, and we would not name a run so")
    return run_id


def _as_described(run: ExampleRun, _run_id: RunId) -> Mapping[str, bytes]:
    return run.files


_BRANCH: Final = "refs/heads/main"
_DEAF: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "XDG_CONFIG_HOME": os.devnull,  # attributes that change line ends stand there, whatever the settings say
    "LC_ALL": "C",
}


def write_commits(root: Path, example: ExampleRepository) -> tuple[str, ...]:
    """Make a git repository with the example's history at `root`; return the commit ids, oldest first.

    Raises:
        RefusedError: `root` is a file, or a folder that is not empty (exit 5).
        WriteError: it cannot be written (exit 1).
        NotFoundError: git is not installed.
        RegistryPipelineError: git failed; `root` is left as it is then.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = next(root.iterdir(), None)
        if taken is None:
            make_folders(root / ".git")  # where it cannot be made, this says so as every command does; git would not
    except (FileExistsError, NotADirectoryError) as error:
        raise RefusedError(f"{root}: {error.strerror}", "name a new folder, or an empty one") from None
    except OSError as error:
        raise cannot_write(root, error) from None
    if taken is not None:
        raise RefusedError(f"{root} is not empty", "name a new folder, or an empty one")
    _git(root, "init", "--quiet", "--template=", f"--initial-branch={_BRANCH.rsplit('/', 1)[1]}")
    _git(root, "config", "core.autocrlf", "false")
    _git(root, "fast-import", "--quiet", "--done", stream=b"".join(_import_stream(example.commits)))
    _git(root, "reset", "--quiet", "--hard")
    return tuple(_git(root, "rev-list", "--reverse", "--first-parent", _BRANCH).split())


def write_plain_run(root: Path, run: ExampleRun) -> None:
    """Write the folder of a run under the repository `root` as it is, unsealed or with an older tool's seal.

    Raises:
        ValueError: the run is one that the runbook seals.
        FileExistsError: the folder is there already.
    """
    if run.seal == "ours":
        raise ValueError(f"{run.run_id} is to be sealed, not copied")
    folder = root / run.run_root / run.run_id
    folder.mkdir(parents=True)
    for relpath, data in run.files.items():
        place = folder / relpath
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _import_stream(commits: Iterable[ExampleCommit]) -> Iterable[bytes]:
    for commit in commits:
        who = f"{commit.author} <{commit.email}> {int(commit.at.timestamp())} +0000".encode()
        yield b"commit %s\nauthor %s\ncommitter %s\n" % (_BRANCH.encode(), who, who)
        yield _data(f"{commit.message}\n".encode())
        for path, content in commit.files.items():
            yield b"M 100644 inline %s\n" % path.encode()
            yield _data(content)
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _git(root: Path, *arguments: str, stream: bytes = b"") -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=plain | _DEAF, input=stream, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise NotFoundError("git is not installed", "install git; the example has a history") from None
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise RegistryPipelineError(f"git {arguments[0]} failed: {message}", "the folder is unchanged")
    return done.stdout.decode()
