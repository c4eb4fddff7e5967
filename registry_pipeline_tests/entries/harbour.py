"""A repository whose entries have the shapes that the architecture documents of a project print."""

from __future__ import annotations

import shutil
from pathlib import Path

from registry_pipeline.config import Repository, load_repository
from registry_pipeline_tests.cases.layout import BASES, ROOT

HARBOUR = ROOT / "entries" / BASES / "harbour/before"
ROUTE = "modules/routes/traffic.night_watch.berth_changes.yaml"
MATURITY = "modules/overview/instance_maturity.yaml"
LEDGER = ".system/hooks/call_ledger.yaml"
DRILL = ".system/registry/high-level/storm_drill.yaml"


def make_harbour(root: Path) -> Repository:
    """Return a new repository with one file of each kind: a split route, abilities and hooks one a file."""
    shutil.copytree(HARBOUR, root)
    return load_repository(root)
