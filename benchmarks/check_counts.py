"""Counts that do not depend on the load of the machine, each with a ceiling: python benchmarks/check_counts.py.

System calls of one run folder (the difference between repositories of 400 and 200 folders, divided by 200), fsyncs of a
build, and what a build reads and verifies. The commands are the real ones; system calls are counted by strace. Exits 1
if a count exceeds its ceiling, and also if it is more than a tenth below it: then lower the ceiling. Counts that the
model of docs/explanation/scale.md predicts may differ from it by a twentieth. The modules that a command imports have
their ceilings in registry_pipeline_tests/cli/test_imports.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from activate import activate_next
from scale_jobs import AGAIN, FIRST, VERIFY, count_calls
from scale_model import Formula, Shape
from side_by_side import RESULTS, make_run_folders
from system_calls import REPEATABLE, SYNCS, at_day, count_system_calls, run

from registry_pipeline.config import load_repository
from registry_pipeline.pointers.state import read_chain

# Clean and mixed: without defects, and with those of gen_runs.py.
# fmt: off
CEILINGS: Final[Mapping[str, float]] = {
    "system calls of a clean folder: verify --all --jobs 1":        39.5,
    "system calls of a clean folder: build run_registry --only":    18,
    "system calls of a clean folder: build run_registry --only, again": 6.6,
    "system calls of a clean folder: status":                       2,
    "system calls of a mixed folder: verify --all --jobs 1":        43,
    "system calls of a mixed folder: build run_registry --only":    18,
    "system calls of a mixed folder: build run_registry --only, again": 6.6,
    "system calls of a mixed folder: status":                       2,
    "syncs: first build of the example":                            182,
    "syncs: second build of the example":                           60,
    "verifications: third build of the example": 92,
    "verifications of one folder: third build of the example": 5,
    "readings of the chain: third build of the example": 4,
    "readings of the pointer file: third build of the example": 87,
    "syncs: build of the example that finds nothing": 0,
    "verifications: build of the example that finds nothing": 29,
    "verifications: nine past days of the example, again": 14,
    "run folders read: nine past days of the example, again": 14,
    "records verified at a chain of 60: status":                    9,
    "roots of records read at a chain of 60: status":               51,
    "records verified at a chain of 60: build": 40,
    "roots of records read at a chain of 60: build": 204,
}
# fmt: on
_FOLDER_COMMANDS: Final[Mapping[str, int]] = {
    "verify --all --jobs 1": 0,
    "build run_registry --only": 0,
    "build run_registry --only, again": 0,
    "status": 0,
}
"""Commands and their exit codes. A comma ends the words of a command."""
_SMALL: Final = 200
_CHAIN: Final = 60
_TAG: Final = "__pointer_activation"
_TENTH: Final = 0.1
_NEAR: Final = 0.05
_MODEL_SHAPE: Final = Shape(1_000, files=4)
_PROGRAM: Final = """
import importlib, json, sys

calls = []

def record(module_name, name, describe):
    module = importlib.import_module(module_name)
    function = getattr(module, name)

    def recorded(*arguments, **options):
        calls.append((name, describe(*arguments)))
        return function(*arguments, **options)

    setattr(module, name, recorded)

# In this order: a module that imports the function afterwards gets the recording one.
record("registry_pipeline.files.read", "read_short_files", lambda folder, paths, most: len(paths))
record("registry_pipeline.runs.verify", "verify_folder", lambda path: str(path).rpartition("/")[2])
record("registry_pipeline.runs.pointer_file", "read_pointer_bytes", lambda repository: "")
record("registry_pipeline.pointers.state", "read_locked_state", lambda repository: "")
record("registry_pipeline.registries.run_registry.build", "make_run_line", lambda run: run.run_id)
from registry_pipeline.cli.main import main

status = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(calls, file)
sys.exit(status)
"""


def count_functions(place: Path, words: Sequence[str]) -> Counter[tuple[str, str | int]]:
    """Return how often a command calls the functions that `_PROGRAM` records, by name and argument."""
    file = place / "calls.json"
    run([sys.executable, "-c", _PROGRAM, str(file), *words], 0)
    return Counter((name, argument) for name, argument in json.loads(file.read_text()))


def count_calls_of_function(calls: Counter[tuple[str, str | int]], function: str) -> int:
    """Return how often a function was called, with any argument."""
    return sum(number for (name, _), number in calls.items() if name == function)


def count_of_folders(place: Path) -> Iterator[tuple[str, float]]:
    """Yield the system calls that one more run folder costs."""
    for kind, options, verify_exit in (("clean", ("--clean",), 0), ("mixed", (), 3)):
        small, large = place / f"{kind}-{_SMALL}", place / f"{kind}-{2 * _SMALL}"
        make_run_folders(small, _SMALL, *options)
        make_run_folders(large, 2 * _SMALL, *options)
        for day, (name, code) in enumerate({**_FOLDER_COMMANDS, "verify --all --jobs 1": verify_exit}.items(), 1):
            words = [*name.partition(",")[0].split(), *at_day(day)]
            before, after = (
                count_system_calls(place, REPEATABLE, ["-C", str(root), *words], code) for root in (small, large)
            )
            yield f"system calls of a {kind} folder: {name}", (after - before) / _SMALL


def count_of_example(place: Path) -> Iterator[tuple[str, float]]:
    """Yield what builds of the example repository sync, read and verify."""
    root = place / "example"
    run([sys.executable, "-m", "registry_pipeline", "example", str(root), *at_day(1)], 0)
    build = ["-C", str(root), "build", "--actor", "check"]
    yield "syncs: first build of the example", count_system_calls(place, SYNCS, [*build, *at_day(2)])
    yield "syncs: second build of the example", count_system_calls(place, SYNCS, [*build, *at_day(3)])
    calls = count_functions(place, [*build, *at_day(4)])
    folders = [number for (name, _), number in calls.items() if name == "verify_folder"]
    yield "verifications: third build of the example", sum(folders)
    yield "verifications of one folder: third build of the example", max(folders)
    yield "readings of the chain: third build of the example", calls["read_locked_state", ""]
    yield "readings of the pointer file: third build of the example", calls["read_pointer_bytes", ""]
    # On the same day the next build finds what this one activated, and the one after it finds nothing.
    for _ in range(2):
        run([sys.executable, "-m", "registry_pipeline", *build, *at_day(4)], 0)
    nothing = "build of the example that finds nothing"
    yield f"syncs: {nothing}", count_system_calls(place, SYNCS, [*build, *at_day(4)])
    calls = count_functions(place, [*build, *at_day(4)])
    yield f"verifications: {nothing}", count_calls_of_function(calls, "verify_folder")
    # The third history verifies each day once, and reads no folder but those whose envelope an adapter reads.
    days = ["-C", str(root), "build", "drift_signals_daily", "--as-of", "2036-11-01..2036-11-09"]
    for day in (5, 6):
        run([sys.executable, "-m", "registry_pipeline", *days, *at_day(day)], 0)
    calls = count_functions(place, [*days, *at_day(7)])
    yield "verifications: nine past days of the example, again", count_calls_of_function(calls, "verify_folder")
    yield "run folders read: nine past days of the example, again", count_calls_of_function(calls, "make_run_line")


def count_of_chain(place: Path) -> Iterator[tuple[str, float]]:
    """Yield how many activation records are verified, or only read, at a chain of 60."""
    root = place / "chain"
    run([sys.executable, "-m", "registry_pipeline", "example", str(root), *at_day(1)], 0)
    repository, number = load_repository(root), 0
    while len(read_chain(repository).records) < _CHAIN:
        activate_next(repository, number)
        number += 1
    for words in ("status", "build"):
        calls = count_functions(place, ["-C", str(root), words, *at_day(2)])
        verified = [
            key for key in calls.elements() if key[0] == "verify_folder" and "__pointer_activation" in str(key[1])
        ]
        stated = [int(number) for name, number in calls.elements() if name == "read_short_files"]
        yield f"records verified at a chain of {_CHAIN}: {words}", len(verified)
        yield f"roots of records read at a chain of {_CHAIN}: {words}", sum(stated)


def count_of_model(place: Path) -> Iterator[tuple[str, float, float]]:
    """Yield the system calls of a repository that the model of scale was not fitted to, and what the model says."""
    formulas = json.loads((RESULTS / "scale.json").read_bytes())["formulas"]
    for job, quantities in count_calls(place, _MODEL_SHAPE, (VERIFY, FIRST, AGAIN)).items():
        ((shape, count),) = quantities["system calls"]
        predicted = Formula(**formulas[job]["system calls"]).predict(shape)
        yield f"model of scale, {shape.runs:,.0f} folders of {shape.files:g} files: {job}", count, predicted


def explain(count: float, ceiling: float) -> str:
    """Return "ok", or what is wrong with a count or its ceiling."""
    if count > ceiling:
        return "too many"
    return "lower the ceiling" if count < ceiling * (1 - _TENTH) else "ok"


def main() -> int:
    """Print the table; return 1 if a count and its ceiling do not fit, or one of them is missing."""
    counts: dict[str, float] = {}
    verdicts: list[str] = []
    print(f"{'what':<76} {'count':>8} {'ceiling':>8}")
    with tempfile.TemporaryDirectory(prefix="bench-counts-") as folder:
        for measure in (count_of_folders, count_of_example, count_of_chain):
            for what, count in measure(Path(folder)):
                ceiling = CEILINGS[what]
                counts[what] = count
                verdicts.append(explain(count, ceiling))
                print(f"{what:<76} {count:8g} {ceiling:8g}  {verdicts[-1]}", flush=True)
        for what, count, predicted in count_of_model(Path(folder)):
            is_near = abs(count - predicted) <= predicted * _NEAR
            verdicts.append("ok" if is_near else "not what the model says: `python benchmarks/scale.py counts`")
            print(f"{what:<76} {count:8g} {predicted:8.0f}  {verdicts[-1]}", flush=True)
    return 0 if counts.keys() == CEILINGS.keys() and set(verdicts) == {"ok"} else 1


if __name__ == "__main__":
    sys.exit(main())
