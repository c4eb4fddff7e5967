"""A year of history against hashing its distinct blobs once: python benchmarks/history.py [FILES].

A repository of FILES files (default 5,000) with 450 commits over the 365 days of 2025, and 1,000 run folders. The
reference gives every distinct blob that a day's newest commit has to sha256 once, all through one process of git: less
could not be read. Against it, in turns:

- `drift_signals_daily` of all 365 days with nothing known before: every object read, every day built, sealed, synced;
- the same with the digests of an earlier backfill in the cache;
- the same with every day sealed already: each is built, compared with its verified folder, and kept;
- what the first does without sealing, which tells how much of it is the disk.

Then the growth: seconds over days, and over files.
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
from side_by_side import best_seconds, make_run_folders, print_table

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.git.first_parent import read_history
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import daily as days_of_history
from registry_pipeline.pipeline.daily import build_days
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.drift_signals_daily.build import build_drift_signals_daily
from registry_pipeline.registries.drift_signals_daily.read import collect_day_inputs, last_second
from registry_pipeline.registries.run_registry.build import VERSION
from registry_pipeline.runs.envelope import BuildContext

COMMITS = 450
CHANGES = 12
RUNS = 1000
ROUNDS = 2
FIRST = date(2025, 1, 1)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
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
    for _ in build_days(repository, BuildRun(NOW, GitState(None, None)), days, force=force):
        pass


def build_without_sealing(repository: Repository, days: list[date]) -> None:
    """Do all but what the disk must keep."""
    run, history = BuildRun(NOW, GitState(None, None)), read_history(repository.root)
    assert history is not None
    with days_of_history._read_shared_inputs(repository, run, history, None, force=True) as shared:  # noqa: SLF001
        for day in days:
            instant = last_second(day)
            commit = history.find_commit_at(instant)
            assert commit is not None
            day_inputs = collect_day_inputs(repository.config, shared.read_facts(commit), shared.runs, instant, VERSION)
            context = BuildContext(instant, utc_text(instant), GitState(commit, None))
            build_drift_signals_daily(day_inputs.inputs, context)


def forget(repository: Repository) -> None:
    """Remove the days that were sealed."""
    for folder in repository.publish_root.glob("*__asof_*"):
        folder.chmod(0o755)
        shutil.rmtree(folder)


def every_day(count: int) -> list[date]:
    """Return so many days of 2025."""
    return [FIRST + timedelta(days=number) for number in range(count)]


def year(root: Path, files: int) -> None:
    """Print the table of the year."""
    repository, days = load_repository(root), every_day(365)
    names = distinct_blobs(root, days)
    count = names.count(b"\n")
    title = f"history: 365 days of {files} files, {COMMITS} commits, {count} distinct blobs, {RUNS} run folders"
    reference = {"every distinct blob hashed once": lambda: hash_once(root, names)}
    cold = {**reference, "drift_signals_daily, nothing known before": lambda: build(repository, days, force=True)}
    cold |= {"the same, nothing sealed": lambda: build_without_sealing(repository, days)}
    print_table(title, best_seconds(cold, ROUNDS, before=lambda: forget(repository)), 365, "day")
    build(repository, days)  # which keeps the digests
    warm = {**reference, "drift_signals_daily, digests in the cache": lambda: build(repository, days)}
    print_table("  with the cache", best_seconds(warm, ROUNDS, before=lambda: forget(repository)), 365, "day")
    standing = {**reference, "drift_signals_daily, every day sealed already": lambda: build(repository, days)}
    print_table("  once more", best_seconds(standing, ROUNDS), 365, "day")
    for part in (90, 180, 365):
        forget(repository)
        print(f"  {part:>6} days   {seconds(repository, every_day(part)):7.2f} s")


def seconds(repository: Repository, days: list[date]) -> float:
    """Return how long the days take with nothing known before."""
    begun = time.perf_counter()
    build(repository, days, force=True)
    return time.perf_counter() - begun


def main() -> None:
    """Make the repository, time the year, then the growth over files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="?", type=int, default=5000, metavar="FILES", help="files (default 5000)")
    files = int(parser.parse_args().files)
    with tempfile.TemporaryDirectory(prefix="bench-history-", ignore_cleanup_errors=True) as place:
        root = Path(place) / "year"
        root.mkdir()
        make_repository(root, files)
        year(root, files)
        forget(load_repository(root))
        for more in (files // 5, files, files * 4):
            grown = Path(place) / f"files{more}"
            grown.mkdir()
            make_repository(grown, more)
            print(f"  {more:>6} files  {seconds(load_repository(grown), every_day(365)):7.2f} s for 365 days")
            forget(load_repository(grown))
        with suppress(OSError):
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
