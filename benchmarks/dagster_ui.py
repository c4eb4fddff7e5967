"""What Dagster costs: python benchmarks/dagster_ui.py [N].

The example repository is built once by `registry-pipeline build`, and once under the webserver and daemon of `ui`: from
the launch of `rebuild_job` to the end of the run that moved the pointers. CPU time of all processes counts, also what
the servers spend on their own meanwhile. Then the activation sensor is evaluated with N materializations of one
registry in the event log (default 10,000), in process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dagster import AssetKey, AssetMaterialization, DagsterInstance, MetadataValue, build_sensor_context
from side_by_side import Cost, Results, folders_wanted, measure, measure_command, program

from registry_pipeline.config import load_repository
from registry_pipeline.defs import event_log
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.defs.sensors import activation_sensor
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, until

PROGRAM = [sys.executable, "-m", "registry_pipeline"]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def make_example(place: Path) -> Path:
    """Make the example repository and return its root."""
    subprocess.run([*PROGRAM, "example", str(place)], check=True, stdout=subprocess.DEVNULL)
    return place


def read_cpu_seconds(sessions: set[int]) -> float:
    """Return the CPU time of the processes of some sessions, and of their children that have ended."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) in sessions:
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_SECOND


def measure_dagster(root: Path) -> tuple[Cost, Cost]:
    """Return the cost from the launch to the moved pointers, and what the servers alone take in that time."""
    machine = Machine(load_repository(root))
    served = machine.served
    try:
        machine.start(machine.web)
        until("the webserver", machine.answers, START_SECONDS)
        machine.start(machine.daemon)
        sessions = {process.pid for process in machine.started}
        until("the daemon's first tick", lambda: read_cpu_seconds(sessions) > 8 or None, START_SECONDS)
        time.sleep(30)
        idle = read_cpu_seconds(sessions)
        time.sleep(30)
        idle = (read_cpu_seconds(sessions) - idle) / 30
        cpu, wall = read_cpu_seconds(sessions), time.monotonic()
        served.launch("rebuild_job")
        until("the activation", lambda: read_pointers(served.repository).active_refs() or None, WORK_SECONDS)
        (run_id,) = served.runs("activate_pointers_job")
        served.wait_for_end("activate_pointers_job", run_id)
        cost = Cost(read_cpu_seconds(sessions) - cpu, time.monotonic() - wall)
        return cost, Cost(idle * (cost.wall or 0))
    finally:
        machine.stop()


def measure_ticks(root: Path, count: int) -> tuple[list[Cost], list[Cost]]:
    """Return the costs of ticks of the activation sensor, and of those with `count` more materializations."""
    repository = load_repository(root)
    with DagsterInstance.from_config(str(repository.dagster_home)) as instance:

        def tick() -> Cost:
            with build_sensor_context(instance=instance) as context:
                return measure(lambda: activation_sensor(context, repository=RepositoryResource(root, instance)))

        few = [tick() for _ in range(5)]
        (made,) = event_log.read_materializations(instance, AssetKey("run_registry"), limit=1)
        assert made.sealed is not None
        page = {event_log.SEALED_KEY: MetadataValue.json(event_log.sealed_to_json(repository, made.sealed))}
        for _ in range(count):
            instance.report_runless_asset_event(AssetMaterialization("run_registry", metadata=page))
        return few, [tick() for _ in range(5)]


def main() -> None:
    """Measure and write the tables."""
    count, results = folders_wanted(__doc__, 10_000, "materializations"), Results(__file__)
    with tempfile.TemporaryDirectory() as place:
        command_line = measure_command(program(make_example(Path(place, "first")), "build"))
        root = make_example(Path(place, "second"))
        rebuild, servers = measure_dagster(root)
        costs = {
            "`registry-pipeline build`": [command_line],
            "`rebuild_job` under `ui`, from its launch to the moved pointers": [rebuild],
            "of which webserver and daemon by themselves": [servers],
        }
        results.add("Dagster's servers", 1, "example repository", costs, ratio="cost")
        few, many = measure_ticks(root, count)
        ticks = {"after one rebuild": few, "with N more materializations in the event log": many}
        results.add("a tick of `activation_sensor`", count, "materializations", ticks, ratio="cost")
    results.write()


if __name__ == "__main__":
    main()
