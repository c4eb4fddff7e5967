"""Read the inputs of drift_signals."""

from __future__ import annotations

from typing import Any

from registry_pipeline.config import Repository
from registry_pipeline.git.repository import read_tracked_digests
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.upstream import (
    RUN_REGISTRY_ARTIFACT,
    STATUS_TABLE_ARTIFACT,
    first_line,
    parse_expected_versions,
    parse_upstream,
    read_envelope_version,
    read_threshold_version,
    read_upstream_artifact,
)
from registry_pipeline.registries.drift_signals.build import DriftInputs


def read_drift_signals_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read observed and expected versions and the hashes of the tracked files.

    Raises:
        RefusedError: a registry to build on is missing.
        EvidenceError: the artifact of one cannot be parsed.
        NotFoundError: git cannot be read.
    """
    tree, config = WorkingTree(repository.root), repository.config
    # (1) The versions of the registries that this one is built on: each record states one, so the first is enough.
    run_registry = read_upstream_artifact(context, "run_registry", RUN_REGISTRY_ARTIFACT)
    run_record = parse_upstream(first_line(run_registry), "run_registry", RUN_REGISTRY_ARTIFACT)
    table = parse_upstream(
        read_upstream_artifact(context, "op_status_table", STATUS_TABLE_ARTIFACT),
        "op_status_table",
        STATUS_TABLE_ARTIFACT,
    )
    # (2) The expected versions come from the sealed snapshot, never from the file: only a snapshot is verified. It has
    # one file, which the repository may have renamed.
    snapshot = next(iter(context.upstream.get("expected_versions", {}).values()), None)
    # (3) What the repository shows.
    threshold, threshold_files = read_threshold_version(tree, config.threshold_sources)
    tracked = read_tracked_digests(repository.root)
    inputs = DriftInputs(
        expected_path=config.expected_versions,
        expected=None if snapshot is None else parse_expected_versions(snapshot),
        observed_run_registry=_text_or_none(run_record, "registry_version"),
        observed_op_status_table=_text_or_none(
            table[0] if isinstance(table, list) and table else None, "status_version"
        ),
        observed_run_envelope=read_envelope_version(tree, config.envelope_standard),
        observed_threshold=threshold,
        tracked=None if tracked is None else tracked.lines(),
        tracked_missing=tracked is not None and tracked.some_missing,
    )
    return BuildInputs(inputs, threshold_files)


def _text_or_none(record: Any, key: str) -> str | None:
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, str) else None
