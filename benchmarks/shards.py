"""One worker against two on the shards of the same run folders: python benchmarks/shards.py [N].

N run folders (default 20,000) are in twelve months. Each shard is a Dagster run: a Celery worker executes all of it
(with PostgreSQL and Redis of this machine), or a process of its own, without Celery. Such a process takes seconds to
start, so these build four of the shards only. Every folder is read each time. The first table is the command line,
which reads and verifies all folders in one process or two.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dagster import DagsterInstance
from dagster_celery.app import app
from side_by_side import Cost, Results, child_environment, folders_wanted, make_run_folders, measure_in_turns, program

from registry_pipeline.cli.commands.ui import make_environment, prepare_home
from registry_pipeline.config import CONFIG_NAME, load_repository
from registry_pipeline.defs.shard_sensors import PARTITION_TAG
from registry_pipeline.defs.shards import INDEX_ASSET, VERIFICATION_ASSET, make_job_name
from registry_pipeline.registries.base.shard_runs import list_shards
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.scale.deployment import QUEUE, Deployment, deploy
from registry_pipeline_tests.scale.servers import run_postgres, run_redis

ROUNDS = 3
# A process for each run takes many times as long as its shard.
LOCAL_SHARDS, LOCAL_ROUNDS = 4, 2
ASSETS = (INDEX_ASSET, VERIFICATION_ASSET)
NAMES = ("first", "second")
# The runs that the benchmark itself seals are in a month of their own.
YEAR = "2025"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def make_repository(place: Path, count: int) -> Path:
    """Make a repository with run folders and with shards switched on, and return its root."""
    root = place / "source"
    make_run_folders(root, count, "--clean")
    (root / CONFIG_NAME).write_text('run_roots = [".codex/RUNS"]\n[dagster]\nshards = true\n', encoding="utf-8")
    return root


def list_keys(root: Path) -> list[str]:
    """Return the shards of the run folders that were made."""
    repository = load_repository(root)
    return [
        str(shard) for shard in list_shards(repository, repository.config.run_roots) if shard.month.startswith(YEAR)
    ]


def read_cpu_seconds(pids: set[int]) -> float:
    """Return the CPU time of the sessions that these processes lead, with their children that have ended."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) in pids:
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_SECOND


def make_run_config(asset: str) -> dict[str, object]:
    """Return the configuration of a run that reads every folder."""
    # Verification always does, and has no such setting.
    return {"ops": {asset: {"config": {"force": True}}}} if asset == INDEX_ASSET else {}


def measure_workers(deployment: Deployment, asset: str, keys: list[str], count: int) -> Cost:
    """Return the cost of all shards, executed by one worker or by two, from the first request to the last end."""
    for number, name in enumerate(NAMES):
        hosts = [host for host in app.control.inspect().ping() if host.startswith(f"{name}@")]
        change = app.control.add_consumer if number < count else app.control.cancel_consumer
        change(QUEUE, destination=hosts, reply=True)
    pids = {process.pid for process in deployment.started}
    cpu, begun = read_cpu_seconds(pids), time.perf_counter()
    config = make_run_config(asset)
    runs = deployment.await_runs(
        [deployment.queue_run(make_job_name(asset), config, **{PARTITION_TAG: key}) for key in keys]
    )
    wall = time.perf_counter() - begun
    assert all(run.is_success for run in runs)
    assert len({worker for run in runs for worker in deployment.workers_of_runs(run.run_id)}) == count
    return Cost(read_cpu_seconds(pids) - cpu, wall)


def execute_in_process(root: Path, home: Path, asset: str, key: str) -> None:
    """Execute the run of a shard in a process, as the daemon of one machine does."""
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "registry_pipeline.definitions"]
    command += ["-j", make_job_name(asset), "--tags", json.dumps({PARTITION_TAG: key})]
    config = home / f"{asset}.json"
    config.write_text(json.dumps(make_run_config(asset)), encoding="utf-8")
    environment = child_environment() | make_environment(root, home)
    done = subprocess.run([*command, "-c", str(config)], env=environment, cwd=root, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]


def use_processes(root: Path, home: Path, asset: str, keys: list[str], count: int) -> None:
    """Build all shards with so many processes at a time, and no Celery."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(partial(execute_in_process, root, home, asset), keys))


@contextmanager
def local_home(root: Path) -> Iterator[Path]:
    """Make the Dagster home of one machine, with the partitions of all shards."""
    home = load_repository(root).dagster_home
    home.mkdir(parents=True)
    prepare_home(home)
    with DagsterInstance.from_config(str(home)) as instance:
        for asset in ASSETS:
            instance.add_dynamic_partitions(asset, list_keys(root))
    yield home


def run_command(root: Path, *words: str) -> None:
    """Run a command without the caches of those before it."""
    shutil.rmtree(root / ".codex/cache", ignore_errors=True)
    subprocess.run(program(root, *words), env=child_environment(), check=True, capture_output=True)


def measure_all_workers(results: Results, source: Path, root: Path, keys: list[str], size: int) -> None:
    """Add the tables of Celery workers on a copy of the repository."""
    with (
        run_postgres() as postgres,
        run_redis() as queue,
        deploy(source, root, postgres, queue, whole_runs=True) as deployment,
    ):
        deployment.start_workers(*NAMES)
        for asset in ASSETS:
            deployment.instance.add_dynamic_partitions(asset, keys)
            use = partial(measure_workers, deployment, asset, keys)
            ways = {"1 Celery worker": partial(use, 1), "2 Celery workers": partial(use, 2)}
            results.add(f"{asset} with Celery", size, "run folders", measure_in_turns(ways, ROUNDS), by="wall")
            results.write()


def measure_all_processes(results: Results, root: Path, keys: list[str], size: int) -> None:
    """Add the tables of local processes."""
    with local_home(root) as home:
        for asset in ASSETS:
            use = partial(use_processes, root, home, asset, keys[:LOCAL_SHARDS])
            ways = {"1 process at a time": partial(use, 1), "2 processes at a time": partial(use, 2)}
            part = size * LOCAL_SHARDS // len(keys)
            costs = measure_in_turns(ways, LOCAL_ROUNDS)
            results.add(f"{asset} without Celery", part, "run folders", costs, by="wall")
            results.write()


def main() -> None:
    """Measure both assets with Celery workers and with local processes, and the commands of one machine."""
    size, results = folders_wanted(__doc__, 20_000), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-shards-") as place:
        source = make_repository(Path(place), size)
        keys = list_keys(source)
        commands = {
            "`build --dry-run`, every folder read": partial(run_command, source, "build", "run_registry", "--dry-run"),
            "`verify --all --jobs 1`": partial(run_command, source, "verify", "--all", "--jobs", "1"),
            "`verify --all --jobs 2`": partial(run_command, source, "verify", "--all", "--jobs", "2"),
        }
        results.add("on the command line", size, "run folders", measure_in_turns(commands, ROUNDS), by="wall")
        measure_all_workers(results, source, Path(place) / "celery", keys, size)
        measure_all_processes(results, source, keys, size)
        make_removable(Path(place))
    results.write()


if __name__ == "__main__":
    main()
