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
from pathlib import Path

from side_by_side import Way, best_seconds, folders_wanted, make_run_folders, print_table

from registry_pipeline.parallel import map_in_processes
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder


def verify_folders(folders: Sequence[Path], jobs: int = 1) -> Iterable[SealReport]:
    """Yield the report of each folder, in their order, as `verify --all` makes them."""
    return map_in_processes(verify_folder, folders, jobs)


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


def compare(place: Path, count: int) -> bool:
    """Print the table for `count` folders generated under `place`; tell whether all verdicts agree with the oracle."""
    root = make_run_folders(place, count)
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    broken = {report.run_id for report in verify_folders(folders) if report.verdict != "pass"}
    plain = {path.name for path in folders if not plain_verify(path)}
    oracle = set(json.loads((place / "gen_truth.json").read_text(encoding="utf-8"))["seal_fail_folders"])
    lists = place / "all.sha256"
    all_lines(root, folders, lists)
    seconds = best_seconds(
        {
            "straightforward script, 1 process": lambda: [plain_verify(path) for path in folders],
            "verify_folders, 1 process": lambda: deque(verify_folders(folders), maxlen=0),
            "verify_folders, 2 processes": lambda: deque(verify_folders(folders, jobs=2), maxlen=0),
            **peers(root, folders, lists, place / "bags"),
        }
    )
    print_table(f"verify: {count} run folders, {len(oracle)} of them broken", seconds, count, "folder")
    print(f"  verdicts as the oracle says: verify_folders {broken == oracle}, script {plain == oracle}")
    return broken == oracle


def main() -> int:
    """Run the comparison for the number of folders on the command line."""
    count = folders_wanted(__doc__, 10_000)
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as place:
        return 0 if compare(Path(place), count) else 1


if __name__ == "__main__":
    sys.exit(main())
