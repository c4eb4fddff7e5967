"""What an activation costs as the chain of records grows: python benchmarks/activate.py [N].

Activates N snapshots (default 300) one after another, and prints what the activations cost at several lengths of the
chain, beside a plain script that replaces the pointer file and appends a line to a log. Each activation reads the
whole chain from its bytes, so its cost grows with the chain. The script trusts its log, so its cost stays the same.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from side_by_side import folders_wanted

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.steps import build, seal
from registry_pipeline.pointers.activation import activate
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.sealed_run import Activation, Built

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = REGISTRIES["expected_versions"]
WINDOW = 10


def governed_folder(root: Path) -> Repository:
    """Make a plain folder a governed repository with one captured document."""
    document = root / "docs" / "governance" / "EXPECTED_VERSIONS_v0_1.json"
    document.parent.mkdir(parents=True)
    text = json.dumps({"version": "0.1", "expected": {"schema_version": "0.1"}}, indent=2)
    document.write_text(text + "\n", encoding="utf-8")
    initialize(root, track_runs=False, now=FIRST)
    return load_repository(root)


def activate_next(repository: Repository, number: int) -> tuple[float, float]:
    """Build, seal, validate and activate one more snapshot; return the seconds of all that, and of activation alone."""
    begun = time.perf_counter()
    run = start_build_run(repository, FIRST + timedelta(minutes=number))
    built = build(repository, run, SPEC, {})
    assert isinstance(built, Built), built
    sealed = seal(repository, run, SPEC, built)
    verdict = validate(repository, sealed)
    ready = time.perf_counter()
    moved = activate(repository, run, [(sealed, verdict)], actor="bench", reason="bench")
    assert isinstance(moved, Activation), moved
    return time.perf_counter() - begun, time.perf_counter() - ready


def plain_activate(root: Path, number: int) -> float:
    """Replace a pointer file and append to a log, both synced, as a careful colleague would in ten minutes."""
    begun = time.perf_counter()
    pointers, log = root / "pointers.json", root / "log.jsonl"
    staged = pointers.with_suffix(".tmp")
    with staged.open("w", encoding="utf-8") as file:
        json.dump({"expected_versions": f"run-{number}"}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(pointers)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"to": f"run-{number}", "reason": "bench"}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begun


def main() -> None:
    """Grow the chain to N records and print the cost at a few lengths."""
    count = folders_wanted(__doc__, 300, "activations")
    with tempfile.TemporaryDirectory(prefix="bench-activate-") as place:
        repository = governed_folder(Path(place) / "repo")
        costs = [activate_next(repository, number) for number in range(count)]
        plain = statistics.median(plain_activate(Path(place), number) for number in range(50))
        begun = time.perf_counter()
        read_chain_state(repository)
        chain = time.perf_counter() - begun
        for folder, _, _ in os.walk(place):
            Path(folder).chmod(0o755)
    print(f"activate: {count} snapshots of one registry, one after another (median of {WINDOW})")
    print(f"  {'plain script: replace, append, sync':<40}{plain * 1e3:9.1f} ms")
    for length in sorted({WINDOW, count // 10, count // 3, count}):
        window = costs[max(0, length - WINDOW) : length]
        whole, alone = (1e3 * statistics.median(values) for values in zip(*window, strict=True))
        title = f"chain of {length} records"
        print(f"  {title:<40}{alone:9.1f} ms   with build, seal, validate {whole:7.1f} ms")
    title = f"reading and judging a chain of {count}"
    print(f"  {title:<40}{chain * 1e3:9.1f} ms   {chain / count * 1e6:.0f} us a record")


if __name__ == "__main__":
    main()
