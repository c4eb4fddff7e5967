"""The commands of every day against baseline.py, from start to end: python benchmarks/commands.py [N...].

Repositories of 1,000, 3,000 and N sealed run folders (default 10,000; 100,000 takes some minutes more):

- `verify --all` with two processes, by wall time, against `baseline.py verify` in its one;
- `build run_registry --only` against `baseline.py index`, by CPU time: without a cache, in a repository that has no
  active run yet; then, with one, again, and after a hundredth of the folders was touched, so that they are read again;
- the whole `build` with one new run, and one that finds nothing to do, against `baseline.py build`, which reads
  everything and seals nothing;
- `status`, as a multiple of `python -c pass`.

Then, in process, 100,000 lines of run_registry (a fifth in each round) checked by their schema, against the library
jsonschema; both parse strictly by the same parser. An invalid line lacks a key and has a value of a wrong type.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import jsonschema
from baseline import RUN_ROOT, list_folders, make_index
from side_by_side import (
    SETTLING_SECONDS,
    Results,
    Way,
    make_run_folders,
    make_writable,
    measure_command,
    measure_in_turns,
    program,
)
from stack import make_repository

from registry_pipeline.canonical import json_line, parse_strict_json
from registry_pipeline.config import load_repository
from registry_pipeline.schema import check_bytes, make_validator, read_schema, schema_bytes

ROUNDS: Final = 5
SETTLED_AFTER: Final = 3
SMALL: Final = (1_000, 3_000)
RECORDS: Final = 20_000
SCHEMA: Final = "REGISTRY_run_registry_v0_1.schema.json"
SCRIPT: Final = "straightforward script"
BUILD: Final = "`build`"
FIRST: Final = "first build"
AGAIN: Final = "the same again"
CHANGED: Final = "after a hundredth of the folders was touched"
# By job and size: what a way is meant to reach, at least so many times the speed, or at most so many times the cost.
WANTED: Final[dict[tuple[str, int], dict[str, float]]] = {
    ("`verify --all`, two processes", 3_000): {"`verify --all --jobs 2`": 3},
    ("`verify --all`, two processes", 10_000): {"`verify --all --jobs 2`": 4},
    ("`build run_registry --only`, nothing cached or active", 10_000): {FIRST: 3},
    ("`build run_registry --only`, nothing cached or active", 100_000): {FIRST: 4},
    ("`build run_registry --only`, with an active run", 100_000): {AGAIN: 15, CHANGED: 12},
    ("`build` with one new run", 100_000): {BUILD: 5},
    ("`build` that finds nothing to do", 100_000): {BUILD: 40},
    ("`status`", 1_000): {"`status`": 15},
    ("schema validation, all valid", RECORDS): {"`check_bytes`": 15},
    ("schema validation, 5 % invalid", RECORDS): {"`check_bytes`": 15},
}


def baseline(job: str, *words: object) -> Way:
    """Return a job of the straightforward script, as a command."""
    return partial(measure_command, [sys.executable, Path(__file__).with_name("baseline.py"), job, *words])


def command(root: Path, *words: str) -> Way:
    """Return a command of the program."""
    return partial(measure_command, program(root, *words))


def add_verification(root: Path, size: int, results: Results) -> None:
    """Add `verify --all` with two processes, by wall time."""
    ours = command(root, "verify", "--all", "--jobs", "2")
    costs = measure_in_turns({SCRIPT: baseline("verify", root), "`verify --all --jobs 2`": ours}, ROUNDS)
    job = "`verify --all`, two processes"
    results.add(job, size, "run folders", costs, by="wall", wanted=WANTED.get((job, size)))


def add_index(root: Path, place: Path, size: int, results: Results) -> None:
    """Add the builds of run_registry alone."""
    cache, existing = load_repository(root).state_root / "cache", set(list_folders(root))
    touched = sorted(existing)[::100]

    def prepare_first(way: str) -> None:
        if way == FIRST:
            # Otherwise each build would find the folder that the one before it sealed.
            for folder in set(list_folders(root)) - existing:
                folder.chmod(0o755)
                shutil.rmtree(folder)
            shutil.rmtree(cache, ignore_errors=True)
            # A build keeps no line of a folder that changed in the last two seconds.
            time.sleep(SETTLING_SECONDS)

    def prepare_again(way: str) -> None:
        for folder in touched if way == CHANGED else ():
            for path in folder.iterdir():
                path.touch()

    build = command(root, "build", "run_registry", "--only", "--quiet")
    script = baseline("index", root, place / "index.jsonl")
    costs = measure_in_turns({SCRIPT: script, FIRST: build}, ROUNDS, prepare_first)
    job = "`build run_registry --only`, nothing cached or active"
    results.add(job, size, "run folders", costs, wanted=WANTED.get((job, size)))
    settle(root)
    costs = measure_in_turns({SCRIPT: script, AGAIN: build, CHANGED: build}, ROUNDS, prepare_again)
    job = "`build run_registry --only`, with an active run"
    results.add(job, size, "run folders", costs, wanted=WANTED.get((job, size)))


def settle(root: Path) -> None:
    """Build until nothing is to be done: the next builds still find what the last one activated."""
    for _ in range(SETTLED_AFTER):
        measure_command(program(root, "build", "--quiet"))


def add_build(root: Path, place: Path, size: int, results: Results) -> None:
    """Add the whole build when one run is new."""
    new = place / "new"
    make_run_folders(new, ROUNDS, "--clean", "--seed", "2")
    folders = iter(list_folders(new))

    def add_run(way: str) -> None:
        if way == BUILD:
            folder = next(folders)
            folder.rename(root / RUN_ROOT / folder.name)
            # A build trusts no time of the last two seconds, and few runs end right before it.
            time.sleep(SETTLING_SECONDS)

    ways = {SCRIPT: baseline("build", root, place / "registries"), BUILD: command(root, "build", "--quiet")}
    costs = measure_in_turns(ways, ROUNDS, add_run)
    job = "`build` with one new run"
    results.add(job, size, "run folders", costs, wanted=WANTED.get((job, size)))
    settle(root)
    before = set(list_folders(root))
    costs = measure_in_turns(ways, ROUNDS)
    if set(list_folders(root)) != before:
        raise RuntimeError("a build that should find nothing to do sealed a run folder")
    job = "`build` that finds nothing to do"
    results.add(job, size, "run folders", costs, wanted=WANTED.get((job, size)))


def add_status(root: Path, size: int, results: Results) -> None:
    """Add `status` of the repository that was built last."""
    ways = {"`python -c pass`": partial(measure_command, [sys.executable, "-c", "pass"])}
    costs = measure_in_turns(ways | {"`status`": command(root, "status", "--quiet")}, ROUNDS)
    job = "`status`"
    results.add(job, size, "run folders", costs, ratio="cost", wanted=WANTED.get((job, size)))


def measure_repository(size: int, results: Results) -> None:
    """Measure the commands in a repository of `size` sealed run folders."""
    with tempfile.TemporaryDirectory(prefix="bench-commands-") as name:
        place = Path(name)
        root = place / "repository"
        root.mkdir()
        make_repository(root, size, "--clean")
        add_verification(root, size, results)
        add_index(root, place, size, results)
        add_build(root, place, size, results)
        add_status(root, size, results)
        make_writable(place)


def spoil(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without one of its keys, and with a text for a number."""
    return {**{key: value for key, value in record.items() if key != "warnings"}, "has_run_json": "yes"}


def check_by_library(lines: bytes) -> int:
    """Return the number of problems that the library jsonschema finds in lines."""
    validator = jsonschema.Draft202012Validator(dict(read_schema(SCHEMA)))
    return sum(1 for line in lines.splitlines() for _ in validator.iter_errors(parse_strict_json(line)))


def check(lines: bytes) -> int:
    """Return the number of problems that validation describes."""
    return sum(1 for _ in check_bytes("lines.jsonl", lines, make_validator(schema_bytes(SCHEMA))))


def add_schema(results: Results) -> None:
    """Add the validation of lines, all valid and a twentieth of them invalid."""
    with tempfile.TemporaryDirectory(prefix="bench-commands-") as place:
        make_run_folders(Path(place), SMALL[0])
        valid = [json.loads(line) for line in make_index(Path(place)).splitlines()]

    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        return enumerate(islice(cycle(valid), RECORDS))

    texts = {
        "all valid": b"".join(json_line(record) for _, record in records()),
        "5 % invalid": b"".join(json_line(record if number % 20 else spoil(record)) for number, record in records()),
    }
    for title, lines in texts.items():
        assert check(lines) == check_by_library(lines) == (0 if title == "all valid" else RECORDS // 10)
        ways = {"the library jsonschema": partial(check_by_library, lines), "`check_bytes`": partial(check, lines)}
        costs = measure_in_turns(ways, ROUNDS)
        job = f"schema validation, {title}"
        results.add(job, RECORDS, "records in each round", costs, wanted=WANTED.get((job, RECORDS)))


def main() -> None:
    """Measure every size, then validation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000], metavar="N", help="run folders (default 10000)")
    sizes = parser.parse_args().sizes
    results = Results(__file__)
    for size in sorted({*SMALL, *sizes}):
        measure_repository(size, results)
    add_schema(results)
    results.write()


if __name__ == "__main__":
    main()
