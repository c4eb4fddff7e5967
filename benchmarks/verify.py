"""Compare verification with the plain ways to do it, in one run on one machine: python benchmarks/verify.py [N].

Generates N run folders (default 2000), some of them broken on purpose, and prints how many times as fast as a
straightforward script each way is. Ratios, not seconds: only they mean something on another machine. Every way is
timed on the same warm page cache; each figure is the best of three. Exits 1 if a verdict differs from the oracle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from registry_pipeline.seal.verify import verify_folders

GENERATOR = Path(__file__).with_name("gen_runs.py")
ROUNDS = 3


def plain_verify(folder: Path) -> bool:
    """Verify a folder as a careful colleague would write it in ten minutes: pathlib, json, hashlib."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        *lines, root_line = (folder / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    if not isinstance(run, dict) or run.get("run_id") != folder.name or not run.get("created_utc"):
        return False
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if found != {entry["relpath"] for entry in entries} | {"manifest.json", "MANIFEST.sha256"}:
        return False
    for entry in entries:
        path = folder / entry["relpath"]
        if path.stat().st_size != entry["bytes"]:
            return False
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            return False
    manifest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    expected = [f"{entry['sha256']}  {entry['relpath']}" for entry in entries] + [f"{manifest}  manifest.json"]
    root = hashlib.sha256(("\n".join(sorted(lines)) + "\n").encode()).hexdigest()
    return sorted(lines) == sorted(expected) and root_line == f"ROOT_SHA256  {root}"


def coreutils_each(folders: Iterable[Path]) -> None:
    """Start `sha256sum -c` in each folder; it looks at hashes and at nothing else."""
    for folder in folders:
        command = ["sha256sum", "-c", "--status", "MANIFEST.sha256"]
        subprocess.run(command, cwd=folder, check=False, stderr=subprocess.DEVNULL)


def coreutils_once(root: Path, lists: Path) -> None:
    """Start one `sha256sum -c` over the lines of all folders, prepared beforehand: the floor of hashing in C."""
    subprocess.run(["sha256sum", "-c", "--status", str(lists)], cwd=root, check=False, stderr=subprocess.DEVNULL)


def all_lines(root: Path, folders: Iterable[Path], target: Path) -> None:
    """Write the file lines of all hash files into one, each path below `root`."""
    with target.open("w", encoding="utf-8") as out:
        for folder in folders:
            hash_file = folder / "MANIFEST.sha256"
            if hash_file.is_file():
                for line in hash_file.read_text(encoding="utf-8").splitlines():
                    if not line.startswith("ROOT_SHA256"):
                        out.write(f"{line[:66]}{folder.relative_to(root).as_posix()}/{line[66:]}\n")


def best_seconds(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the shortest of several runs of each way, taken in turns so that a busy moment does not hit one alone."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, work in ways.items():
            begun = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def compare(place: Path, count: int) -> bool:
    """Print the table for `count` folders generated under `place`; tell whether all verdicts agree with the oracle."""
    subprocess.run(
        [sys.executable, str(GENERATOR), "--out", str(place), "--n", str(count)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    truth = json.loads((place / "gen_truth.json").read_text(encoding="utf-8"))
    root = place / ".codex" / "RUNS"
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    named = [(path, path.name) for path in folders]
    broken = {report.run_id for report in verify_folders(named) if report.verdict != "pass"}
    plain = {path.name for path in folders if not plain_verify(path)}
    oracle = set(truth["seal_fail_folders"])
    lists = place / "all.sha256"
    all_lines(root, folders, lists)
    ways = best_seconds(
        {
            "straightforward script, 1 process": lambda: [plain_verify(path) for path in folders],
            "verify_folders, 1 process": lambda: list(verify_folders(named)),
            "verify_folders, 2 processes": lambda: list(verify_folders(named, jobs=2)),
            "sha256sum -c in each folder (hashes only)": lambda: coreutils_each(folders),
            "sha256sum -c once over all (hashes only)": lambda: coreutils_once(root, lists),
        }
    )
    reference = next(iter(ways.values()))
    print(f"{count} run folders, {len(oracle)} of them broken")
    for name, seconds in ways.items():
        print(f"  {name:<44} {reference / seconds:6.2f} x   {seconds / count * 1e6:7.0f} us a folder")
    print(f"  verdicts as the oracle says: verify_folders {broken == oracle}, script {plain == oracle}")
    return broken == oracle


def main() -> int:
    """Run the comparison for the number of folders on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=2000, help="folders to generate (default 2000)")
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as place:
        return 0 if compare(Path(place), parser.parse_args().count) else 1


if __name__ == "__main__":
    sys.exit(main())
