"""What an activation costs as the chain of records grows: python benchmarks/activate.py [N].

Activates snapshots one after another until the chain has N records (default 1,000). Then it activates 25 more,
alternately with activations in repositories whose chain has about 10 records, and prints the CPU time of both. One of
25 changes is followed by a checkpoint. Beside it: a plain script that replaces the pointer file and appends a line to a
log, `status`, and the verification of every record, which `verify --chain` does.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import mean

from side_by_side import Cost, Results, folders_wanted, make_writable, measure

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.steps import build, seal
from registry_pipeline.pointers.activation import activate
from registry_pipeline.pointers.checkpoint import CHECKPOINT_EVERY
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.sealed_run import Activation, Built

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = SHIPPED.registries["expected_versions"]
ROUNDS, EACH = 5, 5
SHORT = 10


def governed_folder(root: Path) -> Repository:
    """Make a plain folder a governed repository with one captured document."""
    document = root / "docs" / "governance" / "EXPECTED_VERSIONS_v0_1.json"
    document.parent.mkdir(parents=True)
    text = json.dumps({"version": "0.1", "expected": {"schema_version": "0.1"}}, indent=2)
    document.write_text(text + "\n", encoding="utf-8")
    initialize(root, track_runs=None, now=FIRST)
    return load_repository(root)


def activate_next(repository: Repository, number: int) -> Cost:
    """Build, seal, validate and activate one more snapshot; return the cost of the activation."""
    run = start_build_run(repository, FIRST + timedelta(minutes=number))
    built = build(repository, run, SPEC, {})
    assert isinstance(built, Built), built
    sealed = seal(repository, run, SPEC, built)
    verdict = validate(repository, sealed)

    def move() -> None:
        moved = activate(repository, run, [(sealed, verdict)], actor="bench", reason="bench")
        assert isinstance(moved, Activation), moved

    return measure(move)


def plain_activate(root: Path, number: int) -> None:
    """Replace a pointer file and append to a log, both synced, as a careful colleague would in ten minutes."""
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


def main() -> None:
    """Grow one chain to N records, and compare it with short ones."""
    count, results = folders_wanted(__doc__, 1000, "records"), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-activate-") as place:
        long = governed_folder(Path(place) / "long")
        # Every 25th activation is followed by a checkpoint.
        activations = count * CHECKPOINT_EVERY // (CHECKPOINT_EVERY + 1)
        for number in range(activations):
            activate_next(long, number)
        at_long, at_short, plain, status, full = [], [], [], [], []
        for round_ in range(ROUNDS):
            short = governed_folder(Path(place) / f"short-{round_}")
            for number in range(SHORT - EACH // 2):
                activate_next(short, number)
            for number in range(EACH):
                at_short.append(activate_next(short, SHORT + number))
                at_long.append(activate_next(long, activations + round_ * EACH + number))
                plain.append(measure(partial(plain_activate, Path(place), number)))
            status.append(measure(lambda: read_chain_state(long, from_checkpoint=True)))
            full.append(measure(lambda: read_chain_state(long)))
        make_writable(Path(place))
    each = Cost(mean(cost.cpu for cost in at_long), mean(cost.wall or 0 for cost in at_long))
    costs = {
        f"activation, chain of {SHORT} records": at_short,
        "activation, chain of N": at_long,
        "mean of the activations at N, with their checkpoint": [each],
        "plain script: replace, append, sync": plain,
        "the chain of N as `status` reads it": status,
        "every record of the chain of N verified": full,
    }
    results.add("activation", count, "records", costs, ratio="cost", wanted={"activation, chain of N": 2})
    results.write()


if __name__ == "__main__":
    main()
