"""run_registry against a plain pathlib script that writes the same bytes: python benchmarks/build.py [N].

The script is in baseline.py; both run warm, in one process, and their bytes are compared.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from baseline import RUN_ROOT, make_index
from side_by_side import Results, folders_wanted, make_run_folders, measure_in_turns

from registry_pipeline.config import Config, Repository
from registry_pipeline.git.values import GitState
from registry_pipeline.registries.run_registry.build import (
    ARTIFACT,
    RunRegistryInputs,
    build_run_registry,
    make_run_line,
)
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.scan import read_run_folders


def ours(root: Path) -> bytes:
    """Scan and build as the pipeline does."""
    lines = tuple(map(make_run_line, read_run_folders(Repository(root, Config()), [RUN_ROOT]).runs))
    context = BuildContext(datetime(2026, 1, 1, tzinfo=UTC), "", GitState(None, None))
    return build_run_registry(RunRegistryInputs(lines), context).files[ARTIFACT]


def main() -> None:
    """Make the folders, time both, compare their bytes, print the ratio."""
    count, results = folders_wanted(__doc__, 10_000), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-build-") as place:
        root = Path(place)
        make_run_folders(root, count)
        assert ours(root) == make_index(root), "the two disagree"
        ways = {"straightforward script": lambda: make_index(root), "scan and build_run_registry": lambda: ours(root)}
        results.add("run_registry, in one process", count, "run folders", measure_in_turns(ways))
    results.write()


if __name__ == "__main__":
    main()
