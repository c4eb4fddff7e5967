"""What does not depend on the run folders: sealing one, an activation by its chain, a Dagster run by its steps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Final
from unittest.mock import patch

import run_index
from activate import activate_next, governed_folder
from scale_jobs import measure_in
from scale_model import Samples, Shape
from side_by_side import ROOT, measure
from system_calls import REPEATABLE, SYNCS, at_day, count_calls_of, count_system_calls

from registry_pipeline.config import Config, Repository
from registry_pipeline.pointers.checkpoint import CHECKPOINT_EVERY
from registry_pipeline.pointers.state import read_chain
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.query import find_run
from registry_pipeline.registries.run_index.side_index import index_path

SEAL: Final = "seal a run folder"
CHAIN: Final = "activate, by the records of the chain"
RUN_INDEX: Final = "the run index, by its records"
STEPS: Final = "a Dagster run, by its steps: "
# A process for each step takes a minute, of which little is noise.
ROUNDS: Final = {"in_process": 3, "multiprocess": 1}
# Each asset is a step, and its checks are another.
STEPS_OF_AN_ASSET: Final = 2
_SEAL: Final = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from registry_pipeline.canonical import json_document
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import seal_folder

root, runs, files, size = Path(sys.argv[1]), *map(int, sys.argv[2:])
(root / "RUNS").mkdir(parents=True)

def files_of(run_id):
    envelope = {"run_id": str(run_id), "created_utc": "2026-01-01T00:00:00Z"}
    return {"run.json": json_document(envelope)} | {f"data_{number}.txt": b"x" * size for number in range(1, files)}

for number in range(runs):
    run_id = RunId(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number), "bench")
    seal_folder(root / "RUNS", root / ".staging", run_id, files_of)
"""


def count_sealing(place: Path, shape: Shape) -> Samples:
    """Return what sealing the run folders of a shape one by one takes, each with its own syncs."""
    counts: Samples = {}
    for quantity, calls in (("system calls", REPEATABLE), ("syncs", SYNCS)):
        root = place / f"sealed-{quantity}-{shape.runs:g}-{shape.files:g}-{shape.bytes:g}"
        command = [sys.executable, "-c", _SEAL, str(root), *(f"{number:g}" for number in shape)]
        counts[quantity] = [(shape, float(count_calls_of(place, calls, command)))]
    return counts


def measure_chain(place: Path, sizes: Sequence[int]) -> list[Samples]:
    """Return what an activation and a `status` take when the chain has so many records, for each size."""
    repository, number = governed_folder(place / "chain"), 0
    measured: list[Samples] = []
    for size in sizes:
        # Every 25th activation is followed by a checkpoint.
        while number < size * CHECKPOINT_EVERY // (CHECKPOINT_EVERY + 1):
            activate_next(repository, number)
            number += 1
        # An activation verifies the records after the last checkpoint, up to 25: the mean of one turn.
        turn = [activate_next(repository, number + step).cpu for step in range(CHECKPOINT_EVERY)]
        number += CHECKPOINT_EVERY
        records = Shape(len(read_chain(repository).records))
        words = ["-C", str(repository.root), "status", "--quiet", *at_day(1)]
        calls = count_system_calls(place, REPEATABLE, words)
        measured.append({"CPU seconds": [(records, mean(turn))], "system calls of `status`": [(records, float(calls))]})
    return measured


def measure_run_index(place: Path, records: int) -> Samples:
    """Return what a log of so many records and its side index take, and building the index."""
    root, shape = place / f"run-index-{records}", Shape(records)
    log = run_index_log(Repository(root, Config()))
    log.path.parent.mkdir(parents=True)
    run_index.write_records(log, 0, records)
    built = measure(lambda: find_run(log, "RUN-20250101-0000-ZZZZ"))
    sizes = {"bytes of the log": log.path.stat().st_size, "bytes of the side index": index_path(log).stat().st_size}
    return {"CPU seconds": [(shape, built.cpu)], **{name: [(shape, float(size))] for name, size in sizes.items()}}


def measure_steps(place: Path, executor: str, counts: Sequence[int]) -> list[Samples]:
    """Return what a Dagster run of so many assets takes on one machine, for each count."""
    root = place / executor
    subprocess.run([sys.executable, "-m", "registry_pipeline", "example", root, "--quiet"], check=True)
    with (root / "registry-pipeline.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[dagster]\nexecutor = "{executor}"\n')
    assets = [spec.registry_id for spec in SHIPPED.registries.values() if spec.kind == "captured"]
    return [_run_assets(root, assets[:count], ROUNDS[executor]) for count in counts]


def _run_assets(root: Path, assets: Sequence[str], rounds: int) -> Samples:
    shape, samples = Shape(len(assets) * STEPS_OF_AN_ASSET), Samples()
    home, dagster = root.with_name(f"{root.name}-home"), str(Path(sys.executable).with_name("dagster"))
    words = [dagster, "asset", "materialize", "-m", "registry_pipeline.definitions", "--select", ",".join(assets)]
    for _ in range(rounds):
        home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", home)
        with patch.dict(os.environ, {"DAGSTER_HOME": str(home), "REGISTRY_PIPELINE_REPO": str(root)}):
            samples.setdefault("CPU seconds", []).append((shape, measure_in(root, words).cpu))
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
        samples.setdefault("bytes in the Dagster home", []).append((shape, float(size)))
        shutil.rmtree(home)
    return samples
