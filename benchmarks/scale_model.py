"""The model of scale: the cost of a job as a sum of four terms, fitted from small measurements and checked at larger.

    cost = fixed + runs * (run + files * file + (files - 1) * bytes * byte)

`files` are run.json and the other sealed files of a run folder; `bytes` is the size of each of these others. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

# Counts are the same on every machine. Times and memory vary with the load, and with what fits into caches.
FACTORS: Final[Mapping[str, float]] = {
    "system calls": 1.02,
    "system calls of `status`": 1.02,
    "syncs": 1.02,
    "bytes read": 1.02,
    "bytes written": 1.05,
    "inodes of run folders": 1.0,
    "bytes of run folders": 1.02,
    "bytes of a run registry": 1.02,
    "bytes of the line cache": 1.02,
    "bytes of git's index": 1.02,
    "bytes of the log": 1.02,
    "bytes of the side index": 1.1,
    "bytes of the directory": 1.3,
    "bytes in the Dagster home": 1.3,
    "peak memory": 1.6,
    "CPU seconds": 1.6,
}
"""How far a prediction may be from the measurement, by quantity."""
FROM_DISK: Final = 8.0
"""How far the CPU time may be where the files have no room in memory: the kernel reads each of them from the disk."""
# Sizes of ext4_inode_cache and dentry in /proc/slabinfo of Linux 6, 64 bits.
KERNEL_BYTES_OF_A_NAME: Final = 1_128 + 192
_PAGE: Final = 4_096
_SEAL_FILES: Final = 2


class Shape(NamedTuple):
    """A repository: its run folders, the sealed files of each, and the bytes of each file but run.json."""

    runs: float
    files: float = 2
    bytes: float = 600


def count_cached_bytes(shape: Shape, *, names_only: bool = False) -> float:
    """Return the memory that the kernel needs to keep all folders with their files, or only their names."""
    # Of the folder, its files, and its seal files.
    names = 1 + shape.files + _SEAL_FILES
    pages = 0 if names_only else names * _PAGE + (shape.files - 1) * (shape.bytes // _PAGE * _PAGE)
    return shape.runs * (names * KERNEL_BYTES_OF_A_NAME + pages)


class Formula(NamedTuple):
    """The terms of a cost; `run` is per run folder, `file` per file of one, `byte` per byte of one."""

    fixed: float
    run: float
    file: float = 0.0
    byte: float = 0.0

    def predict(self, shape: Shape) -> float:
        """Return the cost for a repository."""
        return sum(term * factor for term, factor in zip(self, _factors(shape), strict=True))

    def find_runs(self, cost: float, shape: Shape) -> float:
        """Return how many run folders of the files and bytes of a shape have this cost."""
        fixed = self.predict(shape._replace(runs=0))
        return (cost - fixed) / (self.predict(shape._replace(runs=1)) - fixed)


def _factors(shape: Shape) -> tuple[float, float, float, float]:
    return 1.0, shape.runs, shape.runs * shape.files, shape.runs * (shape.files - 1) * shape.bytes


def fit(points: Sequence[tuple[Shape, float]]) -> Formula:
    """Return the formula through the points: two for the first two terms, four for all.

    Raises:
        ValueError: the points do not determine the terms.
    """
    factors = np.array([_factors(shape)[: len(points)] for shape, _ in points])
    if len(points) not in (2, 4) or np.linalg.matrix_rank(factors / factors.max(axis=0)) < len(points):
        raise ValueError(f"{len(points)} points do not determine a formula")
    return Formula(*np.linalg.solve(factors, [value for _, value in points]).tolist())


class Check(NamedTuple):
    """A prediction beside the measurement; `factor` is how many times the other one of them may be."""

    job: str
    quantity: str
    shape: Shape
    predicted: float
    measured: float
    factor: float

    @property
    def error(self) -> float:
        """Return how far the prediction is from the measurement: -0.1 is a tenth too low."""
        return self.predicted / self.measured - 1

    @property
    def passed(self) -> bool:
        """Return whether neither is more than `factor` times the other."""
        return self.measured <= self.predicted * self.factor and self.predicted <= self.measured * self.factor

    def describe(self) -> dict[str, Any]:
        """Return the check as JSON, with its error and its verdict."""
        return {**self._asdict(), "shape": self.shape._asdict(), "error": round(self.error, 4), "passed": self.passed}


# Of one job: by quantity, what each round cost, and the repository at that moment.
Samples = dict[str, list[tuple[Shape, float]]]
# By job and quantity.
Formulas = dict[str, dict[str, Formula]]
# A disk gives whole blocks, and memory depends on files so little that noise would hide it: by the runs alone.
BY_RUNS_ALONE: Final = ("peak memory", "bytes of run folders", "bytes of the directory")


def find_least(samples: Sequence[tuple[Shape, float]]) -> tuple[Shape, float]:
    """Return the least cost of some rounds: the load of a machine only ever adds to it.

    Each round may add run folders, so their number is the median.
    """
    runs = median(shape.runs for shape, _ in samples)
    return samples[0][0]._replace(runs=runs), min(value for _, value in samples)


def fit_jobs(measured: Sequence[Mapping[str, Samples]]) -> Formulas:
    """Return the formulas through what was measured in four repositories, of which two differ in their runs alone."""
    formulas: Formulas = {}
    for job, quantities in measured[0].items():
        for quantity in quantities:
            points = [find_least(samples[job][quantity]) for samples in measured]
            formulas.setdefault(job, {})[quantity] = fit(points[:2] if quantity in BY_RUNS_ALONE else points)
    return formulas


def check_jobs(
    formulas: Formulas, measured: Mapping[str, Samples], memory: float, reading: Collection[str]
) -> list[Check]:
    """Return each prediction for a repository beside what was measured in it, with so many bytes of memory.

    `reading` are the jobs that read every file.
    """
    checks = []
    for job, quantities in measured.items():
        for quantity, samples in quantities.items():
            shape, value = find_least(samples)
            formula = formulas[job][quantity]
            # A formula by the runs alone says nothing about other files.
            if quantity not in BY_RUNS_ALONE or shape[1:] == Shape(0)[1:]:
                is_from_disk = job in reading and count_cached_bytes(shape) > memory
                factor = FROM_DISK if is_from_disk and quantity == "CPU seconds" else FACTORS[quantity]
                checks.append(Check(job, quantity, shape, formula.predict(shape), value, factor))
    return checks
