"""A year of history against hashing its distinct blobs once: python benchmarks/history.py [FILES].

A repository of FILES files (default 5,000) with 450 commits over the 365 days of 2025, and 1,000 run folders. The
reference gives every distinct blob that a day's newest commit has to sha256 once, all through one process of git: less
could not be read. Against it, in turns, CPU time (of git, too) and wall time, the median of 5 rounds:

- `drift_signals_daily` of all 365 days with nothing known before: every object read, every day built, sealed, synced;
- the same with the digests of an earlier backfill in the cache;
- every day sealed already, without the record of its inputs: each is built, compared with its verified folder, kept;
- every day sealed already, and its inputs recorded: each folder is verified and kept;
- the last as a command, which starts, validates each day by its schemas, and prints.

Then the growth: over days, and over files.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from gen_runs import OPERATIONS
from side_by_side import (
    SETTLING_SECONDS,
    Cost,
    Results,
    Way,
    make_run_folders,
    measure_command,
    measure_in_turns,
    program,
)

from registry_pipeline.cli.settings import read_system_clock
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.git.first_parent import read_history
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.daily import build_days
from registry_pipeline.pipeline.day_records import NAME
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.values import last_second
from registry_pipeline.registries.run_registry.line_cache import NAME as LINES

COMMITS = 450
CHANGES = 12
RUNS = 1000
ROUNDS = 5
FIRST = date(2025, 1, 1)
TOML = """\
operations_catalog = ["docs/catalog.md"]
coverage_matrix = ["docs/matrix.md"]
expected_versions = "docs/expected.json"
threshold_sources = ["docs/threshold.json"]
history_start = 2025-01-01
"""


def documents() -> dict[str, str]:
    """Return the documents that every day reads."""
    catalog, matrix = ["# Allowed Operations", ""], []
    for operation in OPERATIONS:
        option = "QA" if operation.startswith("OP-QA") else operation[3]
        catalog += [f"### {operation}: Made up", f"Option: {option}", ""]
        matrix += [f"| {operation} | {option} | E1 | C3 | because |"]
    expected = '{"version": "1", "expected": {"schema_version": "0.1", "threshold_pack_version": "v1"}}'
    files = {"docs/catalog.md": "\n".join(catalog), "docs/matrix.md": "\n".join(matrix), "docs/expected.json": expected}
    return files | {
        "docs/threshold.json": '{"version": "v1"}',
        "registry-pipeline.toml": TOML,
        ".gitignore": "/.codex/\n",
    }


def make_repository(root: Path, files: int) -> None:
    """Write a repository with `git fast-import`, the same every time, and check its last commit out."""
    chance = random.Random(1)  # noqa: S311 - no secret
    paths = [f"src/part{number % 97:02d}/deep{number % 7}/file{number:05d}.py" for number in range(files)]

    def change(path: str, text: bytes) -> bytes:
        return b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(text), text)

    def content() -> bytes:
        return chance.randbytes(chance.randrange(300, 3000)).hex().encode()

    def stream() -> Iterator[bytes]:
        for number in range(COMMITS):
            at = int(datetime(2025, 1, 1, 6, tzinfo=UTC).timestamp()) + number * 365 * 86400 // COMMITS
            who = f"a <a@example.invalid> {at} +0000"
            yield f"commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata 1\nx\n".encode()
            if number == 0:
                yield from (change(path, text.encode()) for path, text in documents().items())
                yield from (change(path, content()) for path in paths)
            else:
                yield from (change(path, content()) for path in chance.sample(paths, CHANGES))

    git(root, "init", "-q", "-b", "main")
    git(root, "fast-import", "--quiet", given=b"".join(stream()))
    git(root, "checkout", "-q", "main")
    make_run_folders(root, RUNS)


def git(root: Path, *words: str, given: bytes | None = None) -> bytes:
    """Return what git answers."""
    return subprocess.run(["git", *words], cwd=root, input=given, check=True, capture_output=True).stdout


def distinct_blobs(root: Path, days: list[date]) -> bytes:
    """Return the names of the blobs that the newest commits of the days have, one a line."""
    history = read_history(root)
    assert history is not None
    found: dict[bytes, None] = {}
    for commit in dict.fromkeys(history.find_commit_at(last_second(day)) for day in days):
        for entry in git(root, "ls-tree", "-r", str(commit)).splitlines():
            found[entry.split()[2]] = None
    return b"".join(blob + b"\n" for blob in found)


def hash_once(root: Path, names: bytes) -> int:
    """Hash every named blob: what must be read, and nothing else."""
    answer = git(root, "cat-file", "--batch", given=names)
    place = count = 0
    while place < len(answer):
        end = answer.index(b"\n", place)
        size = int(answer[place:end].split()[2])
        hashlib.sha256(memoryview(answer)[end + 1 : end + 1 + size]).hexdigest()
        place, count = end + 2 + size, count + 1
    return count


def build(repository: Repository, days: list[date], *, force: bool = False) -> None:
    """Build and seal the days as both interfaces do."""
    for _ in build_days(repository, BuildRun(read_system_clock(), GitState(None, None)), days, force=force):
        pass


def forget(repository: Repository) -> None:
    """Remove the days that were sealed, and the lines of all run folders."""
    (repository.state_root / "cache" / LINES).unlink(missing_ok=True)
    for folder in repository.publish_root.glob("*__asof_*"):
        folder.chmod(0o755)
        shutil.rmtree(folder)


def every_day(count: int) -> list[date]:
    """Return so many days of 2025."""
    return [FIRST + timedelta(days=number) for number in range(count)]


def forget_inputs(repository: Repository) -> None:
    """Remove the record of the inputs from which the days were built."""
    (repository.state_root / "cache" / NAME).unlink(missing_ok=True)


def run_command(root: Path) -> Cost:
    """Build the year by the command line."""
    return measure_command(program(root, "build", "drift_signals_daily", "--as-of", "2025-01-01..2025-12-31"))


def add_growth(repository: Repository, results: Results, job: str, count: int, size: int, of: str) -> None:
    """Add the cost of so many days with nothing known before, as a multiple of hashing their distinct blobs."""
    days = every_day(count)
    names = distinct_blobs(repository.root, days)
    ways: dict[str, Way] = {
        "every distinct blob hashed once": lambda: hash_once(repository.root, names),
        "nothing known before": lambda: build(repository, days, force=True),
    }
    costs = measure_in_turns(ways, rounds=2, before=lambda _: forget(repository))
    results.add(job, size, of, costs, ratio="cost")
    forget(repository)


def year(root: Path, files: int, results: Results) -> None:
    """Add the table of the year, then what parts of it cost."""
    repository, days = load_repository(root), every_day(365)
    names = distinct_blobs(root, days)
    build(repository, days)  # which keeps the digests

    def forget_only_inputs() -> None:
        forget_inputs(repository)
        # The lines of folders of the last two seconds are not kept, and few days are built again right after.
        time.sleep(SETTLING_SECONDS)

    def remove_days() -> None:
        forget(repository)
        forget_inputs(repository)

    preparations: dict[str, Way] = {
        "nothing known before": remove_days,
        "digests in the cache": remove_days,
        "every day sealed, its inputs not recorded": forget_only_inputs,
        "the same as a command": lambda: run_command(root),
    }
    ways: dict[str, Way] = {
        "every distinct blob hashed once": lambda: hash_once(root, names),
        "nothing known before": lambda: build(repository, days, force=True),
        "digests in the cache": lambda: build(repository, days),
        "every day sealed, its inputs not recorded": lambda: build(repository, days),
        "every day sealed, its inputs recorded": lambda: build(repository, days),
        "the same as a command": lambda: run_command(root),
    }
    costs = measure_in_turns(ways, ROUNDS, lambda way: preparations.get(way, lambda: None)())
    of = f"files, {COMMITS} commits, {len(names.splitlines()):,} distinct blobs, {RUNS:,} run folders"
    wanted = {"nothing known before": 6.0, "every day sealed, its inputs recorded": 1, "the same as a command": 1}
    results.add("a year of history", files, of, costs, ratio="cost", wanted=wanted)
    forget(repository)
    for part in (90, 180, 365):
        add_growth(repository, results, "history over days", part, part, "days")


def main() -> None:
    """Make the repository, measure the year, then the growth over files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="?", type=int, default=5000, metavar="FILES", help="files (default 5000)")
    files, results = int(parser.parse_args().files), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-history-", ignore_cleanup_errors=True) as place:
        root = Path(place) / "year"
        root.mkdir()
        make_repository(root, files)
        year(root, files, results)
        forget(load_repository(root))
        for more in (files // 5, files, files * 4):
            grown = Path(place) / f"files{more}"
            grown.mkdir()
            make_repository(grown, more)
            add_growth(load_repository(grown), results, "history over files", 365, more, "files")
        with suppress(OSError):
            shutil.rmtree(place)
    results.write()


if __name__ == "__main__":
    main()
