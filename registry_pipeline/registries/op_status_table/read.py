"""What each builder is given: one reader a registry, all of one signature, named by the catalog (SPEC 3, 4).

A reader opens the governed repository's own files; the bytes of sealed runs are handed to it, verified, since rooms are
blind to each other. It judges nothing but whether it can read.
"""

from __future__ import annotations

from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.path_drift import read_path_drift
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.upstream import (
    DRIFT_SIGNALS_ARTIFACT,
    RUN_REGISTRY_ARTIFACT,
    parse_run_rows,
    parse_system_drift,
    read_upstream_artifact,
)
from registry_pipeline.registries.op_status_table.build import OpStatusInputs


def read_op_status_table_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Gather the runs of the upstream run registry, the documents, and the drift that was active before (SPEC 4.2).

    Raises:
        RefusedError: there is no upstream run_registry. EvidenceError: it, or the previous drift, cannot be parsed.
    """
    rows = parse_run_rows(read_upstream_artifact(context, "run_registry", RUN_REGISTRY_ARTIFACT))
    catalog, files = read_operation_catalog(WorkingTree(repository.root), repository.config)
    if has_errors(catalog.findings):
        return BuildInputs(None, files, catalog.findings)
    before = context.previous.get("drift_signals")
    drift = None if before is None else parse_system_drift(before.files.get(DRIFT_SIGNALS_ARTIFACT))
    inputs = OpStatusInputs(
        runs=rows,
        catalog=catalog,
        options=repository.config.options,
        system_drift=drift,
        drift_signals_run=None if before is None else before.run_id,
        path_drift=None
        if repository.config.op_drift == "commit"
        else read_path_drift(repository.root, catalog.operations, context.commit),
    )
    return BuildInputs(inputs, files, catalog.findings)
