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
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from roles import pack
from side_by_side import Results, folders_wanted, measure_command, measure_in_turns, program

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
    """Write the baseline and the packs."""
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


def main() -> None:
    """Measure and write the table."""
    count, results = folders_wanted(__doc__, 10_000, "roles"), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="roles-") as name:
        place = Path(name)
        write_packs(place, count)
        root = make_repository(place)
        check = program(root, "roles", "check", "--current")
        ways = {
            "plain script": [sys.executable, "-c", SCRIPT, str(place / "changed.json"), str(place / "baseline.json")],
            "no role changed": [*check, str(place / "same.json")],
            "a hundredth changed": [*check, str(place / "changed.json")],
            "another layout": [*check, str(place / "layout.json")],
        }
        # Exit 3: something drifted.
        costs = measure_in_turns({way: partial(measure_command, command, (0, 3)) for way, command in ways.items()})
        results.add("`roles check`", count, "roles", costs, wanted={"no role changed": 3})
    results.write()


if __name__ == "__main__":
    main()
