"""Verification against the plain ways to do it, in one run on one machine: python benchmarks/verify.py [N].

N run folders (default 10,000), some of them broken on purpose. The peers do less: sha256sum and rhash look at hashes
alone, bagit (where it is installed) also at what is missing or unlisted. Exits 1 if a verdict differs from the oracle.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import baseline
from baseline import list_folders
from side_by_side import (
    Results,
    Way,
    folders_wanted,
    make_run_folders,
    measure_command,
    measure_in_turns,
    program,
)

from registry_pipeline.runs.verify import verify_folder


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


def as_bags(folders: Iterable[Path], place: Path) -> list[Path]:
    """Copy folders into the form of BagIt: the same files as payload, a manifest of sha256 hashes, a tag manifest."""
    bags = []
    for folder in folders:
        bag = place / folder.name
        shutil.copytree(folder, bag / "data")
        files = sorted(path for path in (bag / "data").rglob("*") if path.is_file())
        lines = [f"{_sha256(path)}  {path.relative_to(bag).as_posix()}\n" for path in files]
        (bag / "manifest-sha256.txt").write_text("".join(lines), encoding="utf-8")
        (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n", encoding="utf-8")
        tags = [f"{_sha256(bag / name)}  {name}\n" for name in ("bagit.txt", "manifest-sha256.txt")]
        (bag / "tagmanifest-sha256.txt").write_text("".join(tags), encoding="utf-8")
        bags.append(bag)
    return bags


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def peers(root: Path, folders: Sequence[Path], lists: Path, place: Path) -> dict[str, Way]:
    """Return the tools of others that are on this machine and check hashes of files in folders."""
    ways: dict[str, Way] = {
        "sha256sum -c in each folder (hashes only)": lambda: coreutils_each(folders),
        "sha256sum -c once over all (hashes only)": lambda: coreutils_once(root, lists),
    }
    if shutil.which("rhash"):
        ways["rhash -c once over all (hashes only)"] = lambda: subprocess.run(
            ["rhash", "--sha256", "-c", "--brief", str(lists)], cwd=root, check=False, stdout=subprocess.DEVNULL
        )
    if importlib.util.find_spec("bagit"):
        bagit = importlib.import_module("bagit")
        logging.getLogger("bagit").setLevel(logging.CRITICAL)
        bags = as_bags(folders, place)
        ways["bagit (the folders as bags: unlisted, missing, hashes)"] = lambda: [
            bagit.Bag(str(bag)).is_valid() for bag in bags
        ]
    return ways


def compare(place: Path, count: int, results: Results) -> bool:
    """Add the tables for `count` folders generated under `place`; return whether all verdicts agree with the oracle."""
    root = make_run_folders(place, count)
    (place / "registry-pipeline.toml").touch()
    folders = list_folders(place)
    broken = {path.name for path in folders if verify_folder(path).verdict != "pass"}
    plain = {path.name for path in folders if not baseline.verify_folder(path)}
    oracle = set(json.loads((place / "gen_truth.json").read_text(encoding="utf-8"))["seal_fail_folders"])
    lists = place / "all.sha256"
    all_lines(root, folders, lists)
    ways: dict[str, Way] = {
        "straightforward script": lambda: deque(map(baseline.verify_folder, folders), maxlen=0),
        "`verify_folder`": lambda: deque(map(verify_folder, folders), maxlen=0),
        **peers(root, folders, lists, place / "bags"),
    }
    size = f"run folders, {len(oracle):,} of them broken"
    results.add("verification, in one process", count, size, measure_in_turns(ways, rounds=3))
    commands: dict[str, list[object]] = {
        "straightforward script, one process": [sys.executable, baseline.__file__, "verify", place],
        "`verify --all`, one process": [*program(place, "verify", "--all", "--jobs", "1")],
        "`verify --all`, two processes": [*program(place, "verify", "--all", "--jobs", "2")],
    }
    # Both find the broken folders.
    measured = {name: partial(measure_command, command, (3,)) for name, command in commands.items()}
    results.add("verification, as a command", count, size, measure_in_turns(measured), by="wall")
    print(f"  verdicts as the oracle says: verify_folder {broken == oracle}, script {plain == oracle}")
    return broken == oracle


def main() -> int:
    """Run the comparison for the number of folders on the command line."""
    count, results = folders_wanted(__doc__, 10_000), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as place:
        agreed = compare(Path(place), count, results)
    results.write()
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
