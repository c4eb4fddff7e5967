"""The jobs whose cost grows with the run folders, each measured as a process in a synthetic repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from plain_folders import make_plain_folders
from scale_model import Samples, Shape
from side_by_side import Cost, make_writable, measure_command
from stack import write_documents
from system_calls import REPEATABLE, count_system_calls

from registry_pipeline.config import load_repository

RUN_ROOT: Final = Path(".codex/RUNS")
LIST: Final = "list the names of a run root"
VERIFY: Final = "`verify --all --jobs 1`"
FIRST: Final = "`build run_registry --only`, nothing cached"
AGAIN: Final = "`build run_registry --only`, nothing new"
NEW: Final = "`build`, one new run"
NOTHING: Final = "`build`, nothing new"
STATUS: Final = "`status`"
FRAME: Final = "all runs as a pandas DataFrame"
GIT: Final = "`git status`, run folders tracked"
ON_DISK: Final = "on the disk"
READING: Final = (VERIFY, FIRST)
"""The jobs that read every file."""
# Above, these take longer than all the others: several builds come first, a million records become Python objects, and
# every file is added to git.
MOST_RUNS: Final = {NOTHING: 200_000, FRAME: 200_000, GIT: 50_000}
# The day of every command. What builds seal has it in its name, and what is measured has earlier ones.
_OWN_RUNS: Final = "2037-03-01"
_FRAME: Final = "from registry_pipeline import open_repository; open_repository('.').runs(own=True).frame()"
_LIST: Final = "import os, sys; sum(e.is_dir(follow_symlinks=False) for e in os.scandir(sys.argv[1]))"
# All files in one pack, and nothing that git does later by itself.
_SETTINGS: Final = ("user.name=a", "user.email=a@example.invalid", "core.bigFileThreshold=1", "gc.auto=0")
_GIT: Final = ("git", *(word for setting in _SETTINGS for word in ("-c", setting)))


class ScaleRepository:
    """A repository of a shape, its clock, and its run folders, to which each build adds some."""

    def __init__(self, root: Path, shape: Shape) -> None:
        """Make the run folders, and a repository around them."""
        self.root, self.shape, self._minute, self._next = root, shape, 0, int(shape.runs)
        make_plain_folders(root / RUN_ROOT, shape)
        write_documents(root)

    def count_runs(self) -> int:
        """Return the number of run folders now."""
        return sum(entry.is_dir() for entry in os.scandir(self.root / RUN_ROOT))

    def words(self, *words: str) -> list[str]:
        """Return the arguments of a command, a minute later than the one before."""
        self._minute += 1
        # Far in the future: a build caches the lines of folders only that are older than it by some seconds.
        now = f"{_OWN_RUNS}T{self._minute // 60:02}:{self._minute % 60:02}:00Z"
        return ["-C", str(self.root), *words, "--quiet", "--now", now, "--allow-future"]

    def build(self, times: int) -> None:
        """Build and activate all registries."""
        for _ in range(times):
            command = [sys.executable, "-m", "registry_pipeline", *self.words("build", "--actor", "bench")]
            subprocess.run(command, check=True, capture_output=True)

    def add_run(self) -> None:
        """Make one more run folder."""
        make_plain_folders(self.root / RUN_ROOT, self.shape, self._next, 1)
        self._next += 1

    def forget_lines(self) -> None:
        """Remove what earlier builds know about run folders."""
        shutil.rmtree(load_repository(self.root).state_root / "cache", ignore_errors=True)

    def track(self) -> None:
        """Add every file to git's index and commit it."""
        (self.root / ".gitignore").unlink(missing_ok=True)
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "all"), ("status", "--porcelain")):
            subprocess.run([*_GIT, *words], cwd=self.root, check=True, stdout=subprocess.DEVNULL)


class Job(NamedTuple):
    """A command whose cost grows with the run folders: what happens before its first round, and before each."""

    title: str
    words: tuple[str, ...]
    before_first: Callable[[ScaleRepository], None] = lambda _: None
    before_each: Callable[[ScaleRepository], None] = lambda _: None
    program: tuple[str, ...] = ()


# In this order: `verify` before builds add folders with larger files, `git status` when nothing more is built.
JOBS: Final = (
    Job(LIST, (), program=(sys.executable, "-I", "-S", "-c", _LIST, RUN_ROOT.as_posix())),
    Job(VERIFY, ("verify", "--all", "--jobs", "1")),
    Job(
        FIRST,
        ("build", "run_registry", "--only"),
        before_each=ScaleRepository.forget_lines,
    ),
    Job(AGAIN, ("build", "run_registry", "--only")),
    Job(
        NEW,
        ("build", "--actor", "bench"),
        before_first=lambda repository: repository.build(1),
        before_each=ScaleRepository.add_run,
    ),
    Job(
        NOTHING,
        ("build", "--actor", "bench"),
        # The next builds find what the last one activated.
        before_first=lambda repository: repository.build(3),
    ),
    Job(STATUS, ("status",)),
    Job(FRAME, (), program=(sys.executable, "-c", _FRAME)),
    Job(
        GIT,
        (),
        before_first=ScaleRepository.track,
        program=("git", "--no-optional-locks", "status", "--porcelain"),
    ),
)
COUNTED: Final = tuple(job.title for job in JOBS if not job.program)
"""The jobs that are commands of the program."""


def measure_costs(root: Path, shape: Shape, rounds: int) -> dict[str, Samples]:
    """Return by job and quantity what each round of it cost, and at last what is on the disk."""
    repository, costs = ScaleRepository(root, shape), dict[str, Samples]()
    for job in JOBS:
        if shape.runs > MOST_RUNS.get(job.title, shape.runs):
            continue
        job.before_first(repository)
        samples = costs.setdefault(job.title, {})
        for _ in range(rounds):
            job.before_each(repository)
            now = shape._replace(runs=repository.count_runs())
            words = job.program or (sys.executable, "-m", "registry_pipeline", *repository.words(*job.words))
            for quantity, value in _name_quantities(job, measure_in(root, words)).items():
                samples.setdefault(quantity, []).append((now, value))
    return costs | {ON_DISK: measure_disk(repository)}


def measure_in(folder: Path, words: Sequence[str]) -> Cost:
    """Return the cost of a command that is started in a folder."""
    with contextlib.chdir(folder):
        return measure_command(words)


def _name_quantities(job: Job, cost: Cost) -> dict[str, float]:
    assert cost.peak_mb is not None
    assert cost.read is not None
    assert cost.written is not None
    quantities = {"CPU seconds": cost.cpu, "peak memory": cost.peak_mb * 1e6, "bytes read": cost.read}
    # Other builds write the line cache only if a hundredth of its lines is new, and commands that read write nothing.
    return quantities | ({"bytes written": cost.written} if job.title in (FIRST, AGAIN) else {})


def count_calls(place: Path, shape: Shape, titles: Sequence[str] = COUNTED) -> dict[str, Samples]:
    """Return the system calls of one execution of some jobs."""
    root = place / f"counted-{shape.runs:g}-{shape.files:g}-{shape.bytes:g}"
    repository, calls = ScaleRepository(root, shape), dict[str, Samples]()
    for job in (job for job in JOBS if job.title in titles):
        job.before_first(repository)
        job.before_each(repository)
        now = shape._replace(runs=repository.count_runs())
        count = count_system_calls(place, REPEATABLE, repository.words(*job.words))
        calls[job.title] = {"system calls": [(now, float(count))]}
    remove(root)
    return calls


def remove(root: Path) -> None:
    """Remove a repository with its read-only run folders."""
    make_writable(root)
    shutil.rmtree(root)


def measure_disk(repository: ScaleRepository) -> Samples:
    """Return what the run folders, the last run registry and the caches take on the disk."""
    run_root, shape = repository.root / RUN_ROOT, repository.shape
    folders = [entry.path for entry in os.scandir(run_root) if entry.name < _OWN_RUNS]
    plain, inodes, blocks = shape._replace(runs=len(folders)), 0, 0
    for folder in folders:
        # One by one: a million folders have five million names.
        for path in (folder, *(f"{folder}/{name}" for name in os.listdir(folder))):  # noqa: PTH208
            inodes, blocks = inodes + 1, blocks + os.lstat(path).st_blocks
    registry = max(run_root.glob("*__run_registry_build*")) / "RUN_REGISTRY_v0_1.jsonl"
    lines = shape._replace(runs=registry.read_bytes().count(b"\n"))
    cache = load_repository(repository.root).state_root / "cache" / "run_registry_lines"
    samples = {
        "inodes of run folders": (plain, inodes),
        "bytes of run folders": (plain, 512 * blocks),
        "bytes of a run registry": (lines, registry.stat().st_size),
        "bytes of the line cache": (lines, cache.stat().st_size),
        "bytes of the directory": (shape._replace(runs=repository.count_runs()), run_root.stat().st_size),
    }
    index = repository.root / ".git" / "index"
    if index.is_file():
        samples["bytes of git's index"] = (shape._replace(runs=repository.count_runs()), index.stat().st_size)
    return {quantity: [(at, float(value))] for quantity, (at, value) in samples.items()}
