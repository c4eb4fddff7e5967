"""Describe the example (commits, run folders, and the findings that they must have) and write it."""

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
from registry_pipeline.example.adapter_runs import (
    RIG_DEFECTS,
    RIG_ROOT,
    RigRun,
    make_rig_run_files,
    make_run_files,
    plan_rig_runs,
)
from registry_pipeline.example.history import ExampleCommit, describe_commits
from registry_pipeline.example.schedule import Defect, PlannedRun, Seal, plan_runs, seal_as_older_tools
from registry_pipeline.example.sources import CODEX
from registry_pipeline.files.durable import make_folders, make_write_error
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import FilesFor, seal_folders
from registry_pipeline.values import value_type

EXAMPLE_NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLE_SEED: Final = 1


@value_type
class ExampleRun:
    """One run folder.

    Attributes:
        files: bytes by relpath; the content to seal if `seal` is `ours`, else every file of the folder.
        defect: the name of the damage that was done to it.
    """

    run_root: str
    run_id: str
    files: Mapping[str, bytes]
    seal: Seal
    defect: str | None


@value_type
class PlantedFolder:
    """A folder that must not pass; its findings are (code, path), sorted."""

    path: str
    verdict: str
    findings: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the planted document."""
        findings = [{"code": code, "path": path} for code, path in self.findings]
        return {"path": self.path, "verdict": self.verdict, "findings": findings}


@value_type
class ExampleRepository:
    """Everything in the example that does not depend on commit ids; it ends at `end`, a full hour."""

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
        *(_make_planted_folder(run.path, run.defect) for run in planned if run.defect is not None),
        *(_make_planted_folder(run.path, RIG_DEFECTS[run.state]) for run in rig),
    )
    planted_document = {
        "planted_version": "0.1",
        "description": "What verify --all must find in this repository, folder by folder, and nothing more.",
        "folders": [folder.to_json() for folder in planted],
    }
    commits = describe_commits(seed, end, json_document(planted_document))
    return ExampleRepository(seed, end, commits, planned, rig, planted)


def _make_planted_folder(path: str, defect: Defect) -> PlantedFolder:
    findings = sorted((code, f"{path}/{relpath}" if relpath else path) for code, relpath in defect.findings)
    return PlantedFolder(path, defect.verdict, tuple(findings))


def describe_runs(example: ExampleRepository, commit_ids: Sequence[str]) -> Iterator[ExampleRun]:
    """Yield the run folders: those of the team, then those of the rig, each sorted by path.

    `commit_ids` are those of `example.commits`, in order; a run names the newest commit that is not after it.
    """
    newest_first = [(commit.at, name) for commit, name in zip(example.commits, commit_ids, strict=True)][::-1]
    for run in example.planned:
        commit = next(name for at, name in newest_first if at <= run.at)
        files = make_run_files(example.seed, run, commit)
        if run.defect is not None:
            files = run.defect.before(files)
        if run.seal != "ours" and run.seal != "none":  # noqa: PLR1714 - mypy narrows by comparison, not by `in`
            files = seal_as_older_tools(files, run.seal)
        if run.defect is not None:
            files = run.defect.after(files)
        yield ExampleRun(run.run_root, run.run_id, files, run.seal, run.defect.name if run.defect else None)
    for rig_run in example.rig:
        commit = next(name for at, name in newest_first if at <= rig_run.at)
        files = make_rig_run_files(example.seed, rig_run, commit)
        yield ExampleRun(RIG_ROOT, rig_run.run_id, files, "none", rig_run.state)


@value_type
class ExampleOutcome:
    """The example that was made; `runs` is the number of its run folders."""

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
    commit_ids = write_commits(target, example)
    repository = initialize(target, track_runs=None, now=now).repository
    ours: list[tuple[RunId, FilesFor]] = []
    done = 0
    for run in describe_runs(example, commit_ids):
        if run.seal == "ours":
            run_id = RunId.parse(run.run_id)
            if run_id is None:
                raise ValueError(f"{run.run_id!r} is not a run id")
            ours.append((run_id, partial(_get_files, run)))
        else:
            write_plain_run(target, run)
            done += 1
            on_progress(done, len(example.paths))
    # One call seals them all, with one synchronisation of the disk.
    seal_folders(repository.path(CODEX), repository.staging_root, ours)
    on_progress(len(example.paths), len(example.paths))
    return ExampleOutcome(repository, len(example.paths), example.planted)


def _get_files(run: ExampleRun, _run_id: RunId) -> Mapping[str, bytes]:
    return run.files


_BRANCH: Final = "refs/heads/main"
_NO_CONFIGURATION: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    # Git reads attributes, which may change line ends, from this folder whatever the settings say.
    "XDG_CONFIG_HOME": os.devnull,
    "LC_ALL": "C",
}


def write_commits(root: Path, example: ExampleRepository) -> tuple[str, ...]:
    """Make a git repository with the example's history and files at `root`; return the commit ids, oldest first.

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
            # If the folder cannot be made, this error has advice; git's has none.
            make_folders(root / ".git")
    except (FileExistsError, NotADirectoryError) as error:
        raise RefusedError(f"{root}: {error.strerror}", "name a new folder, or an empty one") from None
    except OSError as error:
        raise make_write_error(root, error) from None
    if taken is not None:
        raise RefusedError(f"{root} is not empty", "name a new folder, or an empty one")
    _run_git(root, "init", "--quiet", "--template=", f"--initial-branch={_BRANCH.rsplit('/', 1)[1]}")
    _run_git(root, "config", "core.autocrlf", "false")
    _run_git(root, "fast-import", "--quiet", "--done", stream=b"".join(_format_import_stream(example.commits)))
    _run_git(root, "reset", "--quiet", "--hard")
    return tuple(_run_git(root, "rev-list", "--reverse", "--first-parent", _BRANCH).split())


def write_plain_run(root: Path, run: ExampleRun) -> None:
    """Write the files of a run to its new folder below `root`, unsealed or with an older tool's seal.

    Raises:
        ValueError: the run is to be sealed.
        FileExistsError: the folder exists.
    """
    if run.seal == "ours":
        raise ValueError(f"{run.run_id} is to be sealed, not copied")
    folder = root / run.run_root / run.run_id
    folder.mkdir(parents=True)
    for relpath, data in run.files.items():
        path = folder / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _format_import_stream(commits: Iterable[ExampleCommit]) -> Iterable[bytes]:
    for commit in commits:
        who = f"{commit.author} <{commit.email}> {int(commit.at.timestamp())} +0000".encode()
        yield b"commit %s\nauthor %s\ncommitter %s\n" % (_BRANCH.encode(), who, who)
        yield _format_data(f"{commit.message}\n".encode())
        for path, content in commit.files.items():
            yield b"M 100644 inline %s\n" % path.encode()
            yield _format_data(content)
    yield b"done\n"


def _format_data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _run_git(root: Path, *arguments: str, stream: bytes = b"") -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=plain | _NO_CONFIGURATION, input=stream, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise NotFoundError("git is not installed", "install git; the example has a history") from None
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise RegistryPipelineError(f"git {arguments[0]} failed: {message}", "the folder is unchanged")
    return done.stdout.decode()
