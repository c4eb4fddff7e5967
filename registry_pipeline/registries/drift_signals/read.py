"""What each builder is given: one reader a registry, all of one signature, named by the catalog (SPEC 3, 4).

A reader opens the governed repository's own files; the bytes of sealed runs are handed to it, verified, since rooms are
blind to each other. It judges nothing but whether it can read.
"""

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
    parse_upstream,
    read_upstream_artifact,
)
from registry_pipeline.registries.base.versions import (
    parse_expected_versions,
    read_envelope_version,
    read_threshold_version,
)
from registry_pipeline.registries.drift_signals.build import DriftInputs


def read_drift_signals_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Gather observed and expected versions and the hashes of the tracked files (SPEC 4.3).

    The expected versions come from the sealed snapshot and never from the file; without a snapshot they are unknown.

    Raises:
        RefusedError: an upstream is missing. EvidenceError: one cannot be parsed.
        NotFoundError: git cannot be read.
    """
    tree, config = WorkingTree(repository.root), repository.config
    registry = parse_upstream(
        first_line(read_upstream_artifact(context, "run_registry", RUN_REGISTRY_ARTIFACT)),
        "run_registry",
        RUN_REGISTRY_ARTIFACT,
    )
    table = parse_upstream(
        read_upstream_artifact(context, "op_status_table", STATUS_TABLE_ARTIFACT),
        "op_status_table",
        STATUS_TABLE_ARTIFACT,
    )
    # One file, whatever name the repository gives it.
    snapshot = next(iter(context.upstream.get("expected_versions", {}).values()), None)
    threshold, threshold_files = read_threshold_version(tree, config.threshold_sources)
    tracked = read_tracked_digests(repository.root)
    inputs = DriftInputs(
        expected_path=config.expected_versions,
        expected=None if snapshot is None else parse_expected_versions(snapshot),
        observed_run_registry=_version(registry, "registry_version"),
        observed_op_status_table=_version(table[0] if isinstance(table, list) and table else None, "status_version"),
        observed_run_envelope=read_envelope_version(tree, config.envelope_standard),
        observed_threshold=threshold,
        tracked=None if tracked is None else tracked.lines(),
        tracked_missing=tracked is not None and tracked.some_missing,
    )
    return BuildInputs(inputs, threshold_files)


def _version(record: Any, key: str) -> str | None:
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, str) else None
