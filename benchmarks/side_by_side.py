"""What every benchmark shares: run folders, ways timed in turns, a table of ratios.

Ratios, not seconds: only they mean something on another machine. All ways of a table run in one process tree on the
same warm page cache, in turns, so that a busy moment does not hit one alone; of each the best round counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Way = Callable[[], object]


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


def best_seconds(ways: Mapping[str, Way], rounds: int = 3, before: Way = lambda: None) -> dict[str, float]:
    """Return the shortest of some rounds of each way; `before` is called before each and not timed."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            before()
            begun = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def print_table(title: str, seconds: Mapping[str, float], count: int, of: str) -> None:
    """Print how many times as fast as the first way each is, and what one of `count` items costs."""
    reference = next(iter(seconds.values()))
    print(title)
    for name, spent in seconds.items():
        print(f"  {name:<52} {reference / spent:6.2f} x {spent / count * 1e6:9.0f} us a {of} {spent:8.2f} s")
