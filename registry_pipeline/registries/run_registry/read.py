"""What each builder is given: one reader a registry, all of one signature, named by the catalog (SPEC 3, 4).

A reader opens the governed repository's own files; the bytes of sealed runs are handed to it, verified, since rooms are
blind to each other. It judges nothing but whether it can read.
"""

from __future__ import annotations

from registry_pipeline.config import Repository
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.run_registry.build import RunRegistryInputs
from registry_pipeline.runs.scan import read_run_folders


def read_run_registry_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Gather the run folders under the run roots, without those of this build run (SPEC 4.1)."""
    scan = read_run_folders(
        repository.root,
        repository.config.run_roots,
        exclude_runs=context.exclude_runs,
        exclude_dagster_run=context.exclude_dagster_run,
        adapters=repository.config.adapters,
        on_progress=context.on_progress,
    )
    return BuildInputs(RunRegistryInputs(scan.runs), (), scan.findings)
