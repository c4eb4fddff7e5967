"""A model of what jobs cost, fitted at some numbers of run folders, checked at others: python benchmarks/scale.py.

    python benchmarks/scale.py [PART...] [--sizes N...] [--result FILE]

Synthetic repositories have sealed run folders of exactly so many files and bytes. Each job is a process, measured from
its start to its end: system calls (strace), bytes read and written, CPU time, peak memory. Four small repositories,
which differ in run folders, files and bytes, give the terms of `scale_model`. Then repositories of other sizes are made
(`--sizes`; 1,000,000 needs 25 GB, 5 million inodes and half an hour). Each prediction
is printed beside the measurement. So are sealing, the chain of records, the run index, and the steps of a Dagster run.
The parts are `counts` (system calls and syncs, in two minutes), `jobs`, `others` (chain, run index, steps), `sizes`.
With some of them named, the rest of the model is that of the last results.

Writes benchmarks/results/scale.json, or FILE, from which the tables of docs/explanation/scale.md are made. Exits 1 if a
prediction misses by more than its factor.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scale_jobs import JOBS, ON_DISK, READING, count_calls, measure_costs, remove
from scale_limits import find_limits
from scale_model import Check, Formula, Formulas, Samples, Shape, check_jobs, find_least, fit_jobs
from scale_parts import CHAIN, RUN_INDEX, SEAL, STEPS, count_sealing, measure_chain, measure_run_index, measure_steps
from side_by_side import RESULTS, compile_modules, describe_load, describe_machine

RESULT: Final = RESULTS / "scale.json"
# No size that is checked: a formula agrees with the points that it is drawn through.
FITTED: Final = (Shape(2_000), Shape(20_000), Shape(2_000, files=10), Shape(500, bytes=2**18))
CHECKED: Final = (1_000, 10_000, 100_000)
OTHER: Final = Shape(5_000, files=6, bytes=4_096)
COUNTED: Final = (Shape(200), Shape(400), Shape(400, files=6), Shape(200, bytes=2**18))
COUNTED_OTHER: Final = (Shape(1_000, files=4), Shape(10_000))
SEALED: Final = (Shape(5), Shape(10), Shape(10, files=6), Shape(5, bytes=2**18))
SEALED_OTHER: Final = Shape(20, files=4, bytes=4_096)
# An activation and `status` verify the records after the last checkpoint. Here each number follows one.
RECORDS: Final = (104, 832, 1_664)
INDEXED: Final = (10_000, 50_000, 200_000)
ASSETS: Final = (2, 4, 8)
EXECUTORS: Final = ("in_process", "multiprocess")
PREDICTED: Final = tuple(10**power for power in range(3, 9))
# A small cost needs more rounds to differ from noise.
ROUNDS: Final = ((20_000, 5), (200_000, 2))


class Model:
    """The formulas and the checks of all jobs."""

    def __init__(self) -> None:
        self.formulas: Formulas = {}
        self.checks: list[Check] = []
        self.fitted: list[dict[str, Any]] = []

    def read(self, results: Mapping[str, Any]) -> None:
        """Take the formulas and checks of earlier results."""
        for job, formulas in results["formulas"].items():
            self.formulas[job] = {name: Formula(**terms) for name, terms in formulas.items()}
        self.fitted = results["fitted"]
        self.checks = [
            Check(
                check["job"],
                check["quantity"],
                Shape(**check["shape"]),
                check["predicted"],
                check["measured"],
                check["factor"],
            )
            for check in results["checks"]
        ]

    def fit(self, measured: Sequence[Mapping[str, Samples]]) -> None:
        """Add the formulas of the jobs that were measured in several repositories."""
        for job, formulas in fit_jobs(measured).items():
            self.formulas.setdefault(job, {}).update(formulas)
            self.fitted = [
                row for row in self.fitted if (row["job"], row["quantity"]) not in {(job, name) for name in formulas}
            ]
            for quantity in formulas:
                for samples in measured:
                    shape, value = find_least(samples[job][quantity])
                    self.fitted.append({"job": job, "quantity": quantity, "shape": shape._asdict(), "measured": value})

    def check(self, measured: Mapping[str, Samples]) -> None:
        """Print and add the predictions for a repository that was measured, too."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        for check in check_jobs(self.formulas, measured, memory, READING):
            self.checks = [other for other in self.checks if other[:3] != check[:3]]
            self.checks.append(check)
            verdict = "ok" if check.passed else f"MISSED: more than {check.factor:g} times"
            print(
                f"{check.job:<46} {check.quantity:<26} {check.shape.runs:>9,.0f} runs of {check.shape.files:g}"
                f"  predicted {check.predicted:<12.6g} measured {check.measured:<12.6g} {check.error:+7.1%}  {verdict}",
                flush=True,
            )

    def predict(self) -> Iterator[dict[str, Any]]:
        """Yield what each job costs in repositories of two files a run folder."""
        for job, formulas in self.formulas.items():
            if job in {job.title for job in JOBS}:
                for runs in PREDICTED:
                    costs = {name: formula.predict(Shape(runs)) for name, formula in formulas.items()}
                    yield {"job": job, "runs": runs, **costs}


def cost(place: Path, shape: Shape) -> dict[str, Samples]:
    """Return what the jobs cost in a repository, which is removed."""
    root = place / f"measured-{shape.runs:g}-{shape.files:g}-{shape.bytes:g}"
    rounds = next((rounds for most, rounds in ROUNDS if shape.runs <= most), 1)
    try:
        return measure_costs(root, shape, rounds)
    finally:
        remove(root)


def measure_counts(model: Model, place: Path) -> None:
    """Fit and check what does not depend on the load."""
    model.fit([count_calls(place, shape) for shape in COUNTED])
    for shape in COUNTED_OTHER:
        model.check(count_calls(place, shape))
    model.fit([{SEAL: count_sealing(place, shape)} for shape in SEALED])
    model.check({SEAL: count_sealing(place, SEALED_OTHER)})


def measure_jobs(model: Model, place: Path) -> None:
    """Fit and check what the jobs cost."""
    model.fit([cost(place, shape) for shape in FITTED])
    model.check(cost(place, OTHER))


def measure_others(model: Model, place: Path) -> None:
    """Fit and check what does not depend on the run folders."""
    chain = measure_chain(place, RECORDS)
    model.fit([{CHAIN: samples} for samples in chain[:2]])
    model.check({CHAIN: chain[2]})
    index = [measure_run_index(place, records) for records in INDEXED]
    model.fit([{RUN_INDEX: samples} for samples in index[:2]])
    model.check({RUN_INDEX: index[2]})
    for executor in EXECUTORS:
        steps = measure_steps(place, executor, ASSETS)
        model.fit([{STEPS + executor: samples} for samples in steps[:2]])
        model.check({STEPS + executor: steps[2]})


def measure(model: Model, parts: Sequence[str], sizes: Sequence[int]) -> None:
    """Measure some parts, each in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-", ignore_cleanup_errors=True) as name:
        for part, measure_part in PARTS.items():
            if part in parts:
                measure_part(model, Path(name))
        for size in sizes if SIZES in parts else ():
            model.check(cost(Path(name), Shape(size)))


PARTS: Final = {"counts": measure_counts, "jobs": measure_jobs, "others": measure_others}
SIZES: Final = "sizes"


def describe(model: Model, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results as JSON."""
    return {
        "machine": machine,
        "formulas": {
            job: {name: formula._asdict() for name, formula in formulas.items()}
            for job, formulas in model.formulas.items()
        },
        "fitted": model.fitted,
        "checks": [check.describe() for check in model.checks],
        "predictions": list(model.predict()),
        "limits": list(find_limits(model.formulas)) if ON_DISK in model.formulas else [],
    }


def main() -> int:
    """Measure, print and write; return 1 if a prediction misses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=(*PARTS, SIZES, []), metavar="PART", help="all, if none is named")
    parser.add_argument("--sizes", type=int, nargs="*", default=CHECKED, metavar="N", help="run folders to check at")
    parser.add_argument("--result", type=Path, default=RESULT, metavar="FILE", help="the results to change")
    arguments = parser.parse_args()
    compile_modules()
    machine, model, begun = describe_machine(), Model(), time.monotonic()
    if arguments.parts and arguments.result.is_file():
        model.read(json.loads(arguments.result.read_bytes()))
    measure(model, arguments.parts or [*PARTS, SIZES], arguments.sizes)
    text = json.dumps(describe(model, machine | describe_load()), indent=1)
    arguments.result.write_text(text + "\n", encoding="utf-8")
    missed = sum(not check.passed for check in model.checks)
    print(f"{len(model.checks)} predictions, {missed} missed, {time.monotonic() - begun:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
