"""Read the inputs of drift_signals."""

from __future__ import annotations

from io import BytesIO

from registry_pipeline.config import Repository
from registry_pipeline.git.repository import read_tracked_digests
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.upstream import (
    find_text_member,
    parse_expected_versions,
    parse_upstream_json,
    read_envelope_version,
    read_threshold_version,
    read_upstream_artifact,
)
from registry_pipeline.registries.drift_signals.build import DriftInputs


def read_drift_signals_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read observed and expected versions and the hashes of the tracked files; what is missing is None.

    Raises as `read_upstream_artifact` and `parse_upstream_json`, and NotFoundError if git cannot be read.
    """
    tree, config = WorkingTree(repository.root), repository.config
    # (1) The versions of the registries that this one is built on: each record states one, so the first is enough.
    run_registry = read_upstream_artifact(context, "run_registry")
    # BytesIO shares the bytes, of which `split` would copy all.
    first_line = BytesIO(run_registry).readline().strip() or b"null"
    run_record = parse_upstream_json(first_line, "run_registry")
    rows = parse_upstream_json(read_upstream_artifact(context, "op_status_table"), "op_status_table")
    first_row = rows[0] if isinstance(rows, list) and rows else None
    # (2) The expected versions come from the sealed snapshot, never from the file: only a snapshot is verified. It has
    # one file, which the repository may have renamed.
    snapshot = next(iter(context.upstream.get("expected_versions", {}).values()), None)
    # (3) What the repository shows.
    threshold, threshold_files = read_threshold_version(tree, config.threshold_sources)
    tracked = read_tracked_digests(repository.root)
    inputs = DriftInputs(
        expected_path=config.expected_versions,
        expected=None if snapshot is None else parse_expected_versions(snapshot),
        observed_run_registry=find_text_member(run_record, "registry_version"),
        observed_op_status_table=find_text_member(first_row, "status_version"),
        observed_run_envelope=read_envelope_version(tree, config.envelope_standard),
        observed_threshold=threshold,
        tracked=None if tracked is None else tracked.lines(),
        tracked_missing=tracked is not None and tracked.some_missing,
    )
    return BuildInputs(inputs, threshold_files)
