"""`roles check` from start to end on a pack of N roles, and a plain script: python benchmarks/roles_command.py [N].

Each is a process of its own. CPU seconds include git; the table shows the median of five rounds, in turns, and the
largest peak of resident memory. The script reads both files and hashes every surface by `rfc8785`, as in roles.py; it
is the same for all rows. The pack is

- the baseline with one more blank at the end;
- the baseline with another surface in a hundredth of the roles, each reported with its differences and recorded;
- the baseline in another layout, so that no role has the same characters.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from side_by_side import folders_wanted

PACK = "assets/atelier_rolepack_digital_production_studio_v1.json"
SCRIPT = """
import hashlib, json, sys, rfc8785
def hashes(path):
    roles = json.loads(open(path, "rb").read())["roles"]
    contracts = (c for role in roles for field in ("extract_contracts", "produce_contracts") for c in role[field])
    return {c["contract_id"]: hashlib.sha256(rfc8785.dumps(c["schema_json"])).hexdigest() for c in contracts}
new, old = map(hashes, sys.argv[1:])
print(sorted(name for name, digest in old.items() if new.get(name) != digest))
"""


def write_packs(place: Path, count: int) -> None:
    """Write the baseline and the packs. Called in a process of its own: its memory would count for its children."""
    from roles import pack  # noqa: PLC0415

    baseline = pack(count)
    contents = {
        "baseline": baseline,
        "same": baseline + b"\n",
        "changed": pack(count, count // 100),
        "layout": json.dumps(json.loads(baseline), indent=3).encode(),
    }
    for name, data in contents.items():
        (place / f"{name}.json").write_bytes(data)


def make_repository(place: Path) -> Path:
    """Return a repository whose branch main has the baseline."""
    root = place / "repository"
    (root / PACK).parent.mkdir(parents=True)
    (root / PACK).write_bytes((place / "baseline.json").read_bytes())
    (root / "registry-pipeline.toml").touch()
    author = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def measure(command: list[str]) -> tuple[float, float]:
    """Return the CPU seconds of a process and its children, and its peak memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 3), command
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Print the table."""
    if len(sys.argv) == 3:
        write_packs(Path(sys.argv[1]), int(sys.argv[2]))
        return
    count = folders_wanted(__doc__, 10_000, "roles")
    with tempfile.TemporaryDirectory(prefix="roles-") as name:
        place = Path(name)
        subprocess.run([sys.executable, __file__, name, str(count)], check=True)
        root = make_repository(place)
        check = [sys.executable, "-m", "registry_pipeline", "-C", str(root), "roles", "check", "--current"]
        ways = {
            "plain script": [sys.executable, "-c", SCRIPT, str(place / "changed.json"), str(place / "baseline.json")],
            "no role changed": [*check, str(place / "same.json")],
            "a hundredth changed": [*check, str(place / "changed.json")],
            "another layout": [*check, str(place / "layout.json")],
        }
        rounds = [{way: measure(command) for way, command in ways.items()} for _ in range(5)]
        seconds = {way: statistics.median(row[way][0] for row in rounds) for way in ways}
        print(f"roles check: {count} roles")
        for way in ways:
            peak = max(row[way][1] for row in rounds)
            ratio = seconds["plain script"] / seconds[way]
            print(f"  {way:<24} {ratio:6.2f} x {seconds[way]:8.2f} s CPU {peak:8.0f} MB")


if __name__ == "__main__":
    main()
