"""What every benchmark shares: run folders, costs measured in turns, a table of ratios, and the results as JSON.

Ratios, not seconds: only they mean something on another machine. All ways of a table run on the same warm page cache,
in turns, so that a busy moment does not hit one alone. A ratio is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
SETTLING_SECONDS: Final = 3
"""After so long the change times of files are old enough for a cache."""
# The peak of a process begins with that of the process that started it, so a small one starts what is measured.
_LAUNCHER: Final = """
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
begun = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
wall = time.perf_counter() - begun
# Of the process, which has ended, and of the children that it waited for.
with open(f"/proc/{process}/io") as file:
    bytes_of = dict(line.split(":") for line in file)
_, status, usage = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / 1e6)
print(bytes_of["rchar"], bytes_of["wchar"])
"""


class Cost(NamedTuple):
    """What one execution took: CPU and wall seconds, peak memory of its largest process in MB, bytes read and written.

    CPU time and bytes include the children that were waited for. What was not measured is None.
    """

    cpu: float
    wall: float | None = None
    peak_mb: float | None = None
    read: float | None = None
    written: float | None = None


# A way that returns a Cost has measured itself, in another process.
Way = Callable[[], object]
Costs = dict[str, list[Cost]]


def folders_wanted(doc: str | None, default: int, what: str = "run folders") -> int:
    """Return N of the command line `python benchmarks/X.py [N]`."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=default, metavar="N", help=f"{what} (default {default})")
    return int(parser.parse_args().count)


def make_run_folders(place: Path, count: int, *options: str) -> Path:
    """Make `count` run folders under `place`, the same every time, and return their run root."""
    generator = Path(__file__).with_name("gen_runs.py")
    command = [sys.executable, str(generator), "--out", str(place), "--n", str(count), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return place / ".codex" / "RUNS"


def make_writable(place: Path) -> None:
    """Let the run folders below be removed; sealed ones are read-only."""
    for folder, _, _ in os.walk(place):
        Path(folder).chmod(0o755)


def program(root: Path, *words: str) -> list[str]:
    """Return the command `registry-pipeline -C ROOT WORDS`."""
    return [sys.executable, "-m", "registry_pipeline", "-C", str(root), *words]


def child_environment() -> dict[str, str]:
    """Return the environment without the variables that make Python compile its modules again in each process."""
    slower = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if name not in slower}


def measure_command(command: Sequence[object], exit_codes: Sequence[int] = (0,)) -> Cost:
    """Return the cost of a command, from its start to its end."""
    words = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *map(str, command)]
    done = subprocess.run(words, env=child_environment(), check=True, capture_output=True, text=True)
    code, *numbers = done.stdout.split()
    assert int(code) in exit_codes, f"exit {code}: {words[5:]}"
    return Cost(*map(float, numbers))


def measure(way: Way) -> Cost:
    """Return the cost of a call in this process, or of what it measured itself."""
    cpu, begun = _cpu_seconds(), time.perf_counter()
    result = way()
    wall = time.perf_counter() - begun
    return result if isinstance(result, Cost) else Cost(_cpu_seconds() - cpu, wall)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure_in_turns(ways: Mapping[str, Way], rounds: int = 5, before: Callable[[str], object] | None = None) -> Costs:
    """Return the cost of each way in each round; `before` is called with the name of a way and not measured."""
    costs: Costs = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if before is not None:
                before(name)
            costs[name].append(measure(way))
    return costs


class Results:
    """The tables of one script. Each is printed when it is added; `write` keeps all as JSON."""

    def __init__(self, script: str) -> None:
        """Compile the modules, and note the state of the machine; `script` is the `__file__` of the benchmark."""
        compile_modules()
        self._path = RESULTS / f"{Path(script).stem}.json"
        self._machine = describe_machine()
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        job: str,
        size: int,
        of: str,
        costs: Mapping[str, Sequence[Cost]],
        *,
        by: Literal["cpu", "wall"] = "cpu",
        ratio: Literal["speed", "cost"] = "speed",
        wanted: Mapping[str, float] | None = None,
    ) -> None:
        """Add a table whose first way is the reference.

        A ratio says how many times as fast as the reference a way is (`speed`), or how many times its cost a way takes
        (`cost`). `wanted` maps a way to the least speed, or to the largest cost. `of` names what `size` counts.
        """
        reference = next(iter(costs.values()))
        print(f"{job}: {size:,} {of}; {ratio} by {by}")
        for way, measured in costs.items():
            row = _make_row(reference, measured, by, ratio)
            row = {"job": job, "way": way, "size": size, "of": of, **row, "wanted": (wanted or {}).get(way)}
            self._rows.append(row)
            print(_format_row(row), flush=True)

    def write(self) -> None:
        """Write the tables to benchmarks/results, by the name of the script."""
        machine = self._machine | describe_load()
        RESULTS.mkdir(exist_ok=True)
        self._path.write_text(json.dumps({"machine": machine, "rows": self._rows}, indent=1) + "\n", encoding="utf-8")


def compile_modules() -> None:
    """Compile the modules, so that no command does it while it is measured."""
    for folder in ("registry_pipeline", "benchmarks"):
        compileall.compile_dir(ROOT / folder, quiet=2)


def describe_load() -> dict[str, float]:
    """Return the load at the end, which completes `describe_machine`."""
    return {"load_at_end": round(os.getloadavg()[0], 2)}


def describe_machine() -> dict[str, Any]:
    """Return what the results depend on: the machine and its load, Python, the date and the commit."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": find_commit(),
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.machine(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def find_commit() -> str | None:
    """Return the commit that is measured, with `-dirty` if the code differs from it; None outside of a repository."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=False, capture_output=True)
    code = ["git", "diff", "--quiet", "HEAD", "--", "registry_pipeline", "schemas", "benchmarks/*.py"]
    if commit.returncode:
        return None
    return commit.stdout.decode().strip() + ("-dirty" if subprocess.run(code, cwd=ROOT, check=False).returncode else "")


def _make_row(reference: Sequence[Cost], measured: Sequence[Cost], by: str, ratio: str) -> dict[str, Any]:
    base, times = ([getattr(cost, by) for cost in costs] for costs in (reference, measured))
    if len(base) != len(times):
        base, times = [median(base)], [median(times)]
    pairs = zip(base, times, strict=True)
    ratios = [one / other if ratio == "speed" else other / one for one, other in pairs]
    walls = [cost.wall for cost in measured if cost.wall is not None]
    peaks = [cost.peak_mb for cost in measured if cost.peak_mb is not None]
    return {
        "by": by,
        "kind": ratio,
        "ratio": _round(median(ratios)),
        # The reference is the same in each round by definition.
        "spread": [_round(min(ratios)), _round(max(ratios))] if len(ratios) > 1 and measured is not reference else None,
        "cpu_s": _round(median(cost.cpu for cost in measured)),
        "wall_s": _round(median(walls)) if walls else None,
        "peak_mb": _round(max(peaks)) if peaks else None,
        "rounds": len(measured),
    }


def _round(number: float) -> float:
    return float(f"{number:.4g}")


def _format_row(row: Mapping[str, Any]) -> str:
    text = f"  {row['way']:<56} {row['ratio']:8.3g} x  CPU {row['cpu_s'] * 1e3:9.1f} ms"
    text += f"  wall {row['wall_s'] * 1e3:9.1f} ms" if row["wall_s"] is not None else ""
    text += f"  {row['peak_mb']:5.0f} MB" if row["peak_mb"] is not None else ""
    text += f"  {row['spread'][0]:.3g} .. {row['spread'][1]:.3g}" if row["spread"] else ""
    return text + (f"  (wanted: {row['wanted']:g})" if row["wanted"] is not None else "")
