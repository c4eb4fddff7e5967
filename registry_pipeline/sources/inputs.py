"""What each builder is given: one reader a registry, all of one signature, named by the catalog (SPEC 3, 4).

A reader opens the governed repository's own files; the bytes of sealed runs are handed to it, verified, since rooms are
blind to each other. It judges nothing but whether it can read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.model.finding import has_errors
from registry_pipeline.model.inputs import (
    ADAPTED,
    DriftInputs,
    OpStatusInputs,
    RunRegistryInputs,
    RunRow,
    SystemDrift,
)
from registry_pipeline.sources.context import Gathered, SourceContext
from registry_pipeline.sources.git import read_tracked_digests
from registry_pipeline.sources.operations import read_operation_catalog
from registry_pipeline.sources.path_drift import read_path_drift
from registry_pipeline.sources.run_folders import read_run_folders
from registry_pipeline.sources.tree import WorkingTree
from registry_pipeline.sources.versions import parse_expected_versions, read_envelope_version, read_threshold_version

_RUN_REGISTRY: Final = "RUN_REGISTRY_v0_1.jsonl"
_STATUS_TABLE: Final = "OPERATION_STATUS_TABLE_v0_1.json"
_DRIFT_SIGNALS: Final = "DRIFT_SIGNALS_v0_1.json"


def read_run_registry_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Gather the run folders under the run roots, without those of this build run (SPEC 4.1)."""
    scan = read_run_folders(
        governed.root,
        governed.config.run_roots,
        leave_out=context.leave_out,
        leave_out_dagster_run=context.leave_out_dagster_run,
        adapters=governed.config.adapters,
        on_progress=context.on_progress,
    )
    return Gathered(RunRegistryInputs(scan.runs), (), scan.findings)


def read_op_status_table_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Gather the runs of the upstream run registry, the documents, and the drift that was active before (SPEC 4.2).

    Raises:
        RefusedError: there is no upstream run_registry. EvidenceError: it, or the previous drift, cannot be parsed.
    """
    rows = parse_run_rows(_upstream(context, "run_registry", _RUN_REGISTRY))
    catalog, files = read_operation_catalog(WorkingTree(governed.root), governed.config)
    if has_errors(catalog.findings):
        return Gathered(None, files, catalog.findings)
    before = context.previous.get("drift_signals")
    drift = None if before is None else _parse_system_drift(before.files.get(_DRIFT_SIGNALS))
    inputs = OpStatusInputs(
        runs=rows,
        catalog=catalog,
        options=governed.config.options,
        system_drift=drift,
        drift_signals_run=None if before is None else before.run_id,
        path_drift=None
        if governed.config.op_drift == "commit"
        else read_path_drift(governed.root, catalog.operations, context.commit),
    )
    return Gathered(inputs, files, catalog.findings)


def read_drift_signals_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Gather observed and expected versions and the hashes of the tracked files (SPEC 4.3).

    The expected versions come from the sealed snapshot and never from the file; without a snapshot they are unknown.

    Raises:
        RefusedError: an upstream is missing. EvidenceError: one cannot be parsed.
        NotFoundError: git cannot be read.
    """
    tree, config = WorkingTree(governed.root), governed.config
    registry = _parse(_first_line(_upstream(context, "run_registry", _RUN_REGISTRY)), "run_registry", _RUN_REGISTRY)
    table = _parse(_upstream(context, "op_status_table", _STATUS_TABLE), "op_status_table", _STATUS_TABLE)
    # One file, whatever name the repository gives it.
    snapshot = next(iter(context.upstream.get("expected_versions", {}).values()), None)
    threshold, threshold_files = read_threshold_version(tree, config.threshold_sources)
    tracked = read_tracked_digests(governed.root)
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
    return Gathered(inputs, threshold_files)


def _upstream(context: SourceContext, registry_id: str, artifact: str) -> bytes:
    files = context.upstream.get(registry_id)
    if files is None:
        raise RefusedError(f"there is no {registry_id} to build on", f"run `registry-pipeline build {registry_id}`")
    if artifact not in files:
        raise _malformed(registry_id, artifact, "the artifact is not in the run")
    return files[artifact]


def _malformed(registry_id: str, artifact: str, detail: str) -> EvidenceError:
    message = f"{registry_id}: {artifact} cannot be parsed ({detail}); nothing is built on it"
    return EvidenceError(message, f"run `registry-pipeline build {registry_id}`")


def _first_line(data: bytes) -> bytes:
    return data.split(b"\n", 1)[0] or b"null"


def _parse(data: bytes, registry_id: str, artifact: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed(registry_id, artifact, str(error)) from None


def _version(record: Any, key: str) -> str | None:
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, str) else None


def parse_run_rows(data: bytes) -> tuple[RunRow, ...]:
    """Return what the status table needs of every line of a run registry."""
    rows: list[RunRow] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        record = _parse(line, "run_registry", f"{_RUN_REGISTRY} line {number}")
        if not isinstance(record, dict) or not _has_row(record):
            raise _malformed("run_registry", f"{_RUN_REGISTRY} line {number}", "it is not a record of SPEC 4.1")
        fields = {name: record[name] for name in (*_TEXTS, *_OPTIONAL_TEXTS, *_FLAGS)}
        rows.append(RunRow(**fields, adapted=_is_adapted(record)))
    return tuple(rows)


_TEXTS: Final = ("run_key", "run_root", "run_id")
_OPTIONAL_TEXTS: Final = ("created_utc", "operation_id", "git_commit", "working_tree_state")
_FLAGS: Final = ("has_run_json", "has_manifest_sha256")


def _is_adapted(record: Mapping[str, Any]) -> bool:
    warnings = record.get("warnings")
    return isinstance(warnings, list) and any(str(warning).startswith(ADAPTED) for warning in warnings)


def _has_row(record: Mapping[str, Any]) -> bool:
    return (
        all(isinstance(record.get(name), str) for name in _TEXTS)
        and all(name in record and isinstance(record[name], str | None) for name in _OPTIONAL_TEXTS)
        and all(isinstance(record.get(name), bool) for name in _FLAGS)
    )


def _parse_system_drift(data: bytes | None) -> SystemDrift:
    """Return the three flags of a drift_signals artifact; each is None where it is not stated."""
    document = _parse(data or b"null", "drift_signals", _DRIFT_SIGNALS)
    flags = document.get("system_drift") if isinstance(document, dict) else None
    if not isinstance(flags, dict):
        raise _malformed("drift_signals", _DRIFT_SIGNALS, "it has no system_drift")
    return SystemDrift(*(flags.get(name) for name in ("canon_dirty", "schema_drift", "threshold_drift")))
