"""Read the inputs of op_status_table."""

from __future__ import annotations

from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.drift import read_executable_history
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.upstream import parse_run_rows, parse_system_drift, read_upstream_artifact
from registry_pipeline.registries.op_status_table.build import OpStatusInputs, collect_evidence


def read_op_status_table_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read the runs, the operations catalog and the previous drift signals; no inputs if the catalog has errors.

    Raises as `read_upstream_artifact` and `parse_upstream_json`.
    """
    evidence = collect_evidence(parse_run_rows(read_upstream_artifact(context, "run_registry")))
    catalog, files = read_operation_catalog(WorkingTree(repository.root), repository.config)
    if has_errors(catalog.findings):
        return BuildInputs(None, files, catalog.findings)
    # The drift signals are built from this table, so it can only use those that were active before.
    previous = context.previous.get("drift_signals")
    uses_paths = repository.config.op_drift != "commit"
    inputs = OpStatusInputs(
        evidence=evidence,
        catalog=catalog,
        options=repository.config.options,
        system_drift=None if previous is None else parse_system_drift(previous.files),
        drift_signals_run=None if previous is None else previous.run_id,
        path_drift=read_executable_history(repository.root, catalog.operations, context.commit) if uses_paths else None,
    )
    return BuildInputs(inputs, files, catalog.findings)
