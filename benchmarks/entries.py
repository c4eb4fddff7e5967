"""Inserting one registry entry, against a script that round-trips the file: python benchmarks/entries.py [N].

A file of N module instances (2,000 and 10,000 without N) with comments, of which the entry goes to the middle:

- the script loads the file with ruamel.yaml's round trip, inserts into the sorted list, and dumps it;
- ours splices the text, reads the outcome again and compares it with what it shall say;
- the update changes one field of one entry, in both ways;
- the last row is the whole command's work: all registries read, validated before and after, staged, synced, replaced.

The values of all ways are compared; so is that ours changed no line, which the script does not keep.
"""

from __future__ import annotations

import argparse
import difflib
import io
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from side_by_side import Results, measure_in_turns

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.registries.entries.change_plan import ChangeRequest
from registry_pipeline.registries.entries.references import insert_or_update_entry
from registry_pipeline.registries.entries.service import GivenEntry, add_entries
from registry_pipeline.yaml.compose import is_same_value, parse_yaml
from registry_pipeline.yaml.document import edit_yaml

PATH = "modules/overview/instance_registry.yaml"
MANY = 5000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = "types:\n  - id: service\n    description: Serves.\n    inbound: [service]\n    outbound: [service]\n"


def registry_text(count: int) -> str:
    """Return a file of so many instances, every twentieth with a comment of its own."""
    lines = ["# The modules of this repository.", "instances:"]
    for number in range(count):
        lines += [f"  # module {number} has a history"] if number % 20 == 0 else []
        lines += [
            f"  - module_id: module_{number:06}",
            f"    description: What module {number} is for, in a sentence of some length.",
            "    module_type: service",
            "    status: active # for now",
            "    owners:",
            f"      - team: Team {number % 40}",
            "    dependencies:",
            f"      modules: [module_{max(number - 1, 0):06}]" if number else "      modules: []",
            "    tags: [one, two]",
        ]
    return "\n".join([*lines, ""])


def new_entry(count: int) -> dict[str, Any]:
    """Return an entry whose place is the middle."""
    key = f"module_{count // 2:06}a"
    return {"module_id": key, "description": "New.", "module_type": "service", "status": "active"}


def changed_entry(data: bytes, count: int) -> dict[str, Any]:
    """Return an entry of the middle, with one other field."""
    (document,) = parse_yaml(data)
    return {**document.value["instances"][count // 2], "status": "deprecated"}


def script(data: bytes, entry: dict[str, Any]) -> bytes:
    """Return what the straightforward script writes."""
    yaml = YAML()
    document = yaml.load(data)
    entries = document["instances"]
    keys = [each["module_id"] for each in entries]
    if entry["module_id"] in keys:
        entries[keys.index(entry["module_id"])] = entry
    else:
        entries.insert(sum(key < entry["module_id"] for key in keys), entry)
    stream = io.BytesIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def ours(data: bytes, entry: dict[str, Any]) -> bytes:
    """Return what our writer proves: read, splice, read again, compare."""
    documents = parse_yaml(data)
    value = documents[0].value
    entries = list(value["instances"])
    insert_or_update_entry(entries, "module_id", entry)
    return edit_yaml(data, [{**value, "instances": entries}], PATH, documents)


def removed_lines(before: bytes, after: bytes) -> int:
    """Return how many lines of a text another lacks."""
    old, new = before.decode().split("\n"), after.decode().split("\n")
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return sum(b - a for kind, a, b, _, _ in matcher.get_opcodes() if kind in ("delete", "replace"))


def compare(data: bytes, entry: dict[str, Any], kept: int) -> None:
    """Make sure that both ways say the same, and that ours took no more than `kept` lines."""
    both = [[node.value for node in parse_yaml(way(data, entry))] for way in (script, ours)]
    assert is_same_value(*both), "the two ways disagree"
    assert removed_lines(data, ours(data, entry)) <= kept, "a line that should have stayed is gone"


def whole_command(root: Path, data: bytes, entry: dict[str, Any]) -> Callable[[], object]:
    """Return the work of `entries add` in a repository that holds the file."""
    (root / ".codex/RUNS").mkdir(parents=True)
    (root / PATH).parent.mkdir(parents=True)
    (root / "modules/overview/type_registry.yaml").write_text(TYPES)
    repository: Repository = load_repository(root)
    given = [GivenEntry("module_instance", entry, "benchmark")]

    def add() -> None:
        (root / PATH).write_bytes(data)
        assert add_entries(repository, given, ChangeRequest("benchmark", NOON), dry_run=False).written

    return add


def measure(count: int, results: Results) -> None:
    """Add the table of one size."""
    data = registry_text(count).encode()
    fresh, other = new_entry(count), changed_entry(data, count)
    compare(data, fresh, 0)
    compare(data, other, 1)
    with tempfile.TemporaryDirectory() as scratch:
        add = whole_command(Path(scratch) / "repository", data, fresh)
        ways = {
            "ruamel.yaml round trip, insert": lambda: script(data, fresh),
            "ours, insert, proven": lambda: ours(data, fresh),
            "ruamel.yaml round trip, update of a field": lambda: script(data, other),
            "ours, update of a field, proven": lambda: ours(data, other),
            "the whole command: rules before and after, synced": add,
        }
        costs = measure_in_turns(ways, rounds=3 if count <= MANY else 1)
        results.add("one entry into a file of many", count, "entries", costs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, metavar="N", help="entries (default 2000, then 10000)")
    size_option = parser.parse_args().count
    tables = Results(__file__)
    for size in (2000, 10000) if size_option is None else (size_option,):
        measure(size, tables)
    tables.write()
