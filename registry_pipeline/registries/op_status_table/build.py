"""op_status_table: what is known of every allowed operation, from one pass over the runs (SPEC 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_document, json_line, sha256_hex
from registry_pipeline.git.values import BoundPaths, PathDrift
from registry_pipeline.registries.base.staleness import staleness_days
from registry_pipeline.registries.base.values import Operation, OperationCatalog, SystemDrift
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.records import RunRow
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

ARTIFACT: Final = "OPERATION_STATUS_TABLE_v0_1.json"
META_ARTIFACT: Final = "OPERATION_STATUS_TABLE_v0_1.meta.json"
VERSION: Final = "0.1"
_NO_LEVEL: Final = "C0"


class _Evidence:
    """The runs of one operation, folded together while they pass by."""

    __slots__ = ("latest", "run_roots")

    def __init__(self, latest: RunRow) -> None:
        self.latest = latest
        self.run_roots: set[str] = set()


@value_type
class _Drift:
    """What is said of the drift of one operation; None where it is not known."""

    is_drift: bool | None
    reasons: list[str]
    warnings: list[str]


_NO_RUN: Final = _Drift(None, [], [])


def build_op_status_table(inputs: OpStatusInputs, context: BuildContext) -> Artifacts:
    """Return the status of every operation with a configured option, and the meta document beside it.

    Runs and operations may come in any order; the table is ordered by option, then operation id.
    """
    evidence, some_untyped = _fold_runs(inputs.runs)
    rank = {option: position for position, option in enumerate(inputs.options)}
    operations = [operation for operation in inputs.catalog.operations if operation.option in rank]
    operations.sort(key=lambda operation: (rank[operation.option], operation.operation_id))
    rows = [
        _row(
            operation,
            inputs.catalog.coverage.get(operation.operation_id, _NO_LEVEL),
            evidence.get(operation.operation_id),
            inputs.path_drift,
            context,
            some_untyped=some_untyped,
        )
        for operation in operations
    ]
    meta = _meta(inputs, context)
    return Artifacts(
        {ARTIFACT: json_document(rows), META_ARTIFACT: json_document(meta)},
        len(rows),
        _content_hash(rows, meta),
        {
            "operations": len(rows),
            "observed": sum(row["run_evidence_state"] == "OBSERVED" for row in rows),
            "drifting": sum(row["op_drift"] is True for row in rows),
            "coverage_below_c3": sum(_is_below_c3(row["coverage_level"]) for row in rows),
        },
    )


def _fold_runs(runs: Iterable[RunRow]) -> tuple[dict[str, _Evidence], bool]:
    """Return the evidence by operation, and whether some run cannot be attributed to any."""
    evidence: dict[str, _Evidence] = {}
    some_untyped = False
    for run in runs:
        if run.operation_id is None or not (run.has_run_json or run.adapted):
            some_untyped = True
            continue
        seen = evidence.setdefault(run.operation_id, _Evidence(run))
        seen.run_roots.add(run.run_root)
        if _recency(run) > _recency(seen.latest):
            seen.latest = run
    return evidence, some_untyped


def _recency(run: RunRow) -> tuple[str, str]:
    return (run.created_utc or "", run.run_key)


def _row(
    operation: Operation,
    level: str,
    evidence: _Evidence | None,
    paths: PathDrift | None,
    context: BuildContext,
    *,
    some_untyped: bool,
) -> dict[str, Any]:
    """Return the status of one operation, keys in the order of SPEC 4.2."""
    latest = None if evidence is None else evidence.latest
    drift = _NO_RUN if latest is None else _drift(operation.operation_id, latest, context.git.commit, paths)
    return {
        "status_version": VERSION,
        "option": operation.option,
        "operation_id": operation.operation_id,
        "operation_name": operation.name,
        "coverage_level": level,
        "last_run_id": None if latest is None else latest.run_id,
        "last_run_created_utc": None if latest is None else latest.created_utc,
        "run_evidence_state": _evidence_state(latest, some_untyped=some_untyped),
        "manifest_state": "UNKNOWN" if latest is None else _presence(present=latest.has_manifest_sha256),
        "run_json_state": "UNKNOWN" if latest is None else _presence(present=latest.has_run_json),
        "staleness_days": None if latest is None else staleness_days(latest.created_utc, context.as_of),
        "op_drift": drift.is_drift,
        "op_drift_reasons": drift.reasons,
        "warnings": [*_warnings(evidence, level, some_untyped=some_untyped), *drift.warnings],
    }


def _evidence_state(latest: RunRow | None, *, some_untyped: bool) -> str:
    if latest is not None:
        return "OBSERVED"
    return "LEGACY_ONLY" if some_untyped else "UNOBSERVED"


def _presence(*, present: bool) -> str:
    return "PRESENT" if present else "MISSING"


def _drift(operation_id: str, latest: RunRow, head: str | None, paths: PathDrift | None) -> _Drift:
    """Return whether an operation drifts: by its commit or by the paths that commits touched, else by a dirty tree."""
    unknown = None
    if paths is not None:
        is_touched, unknown = _touched(operation_id, latest, head, paths)
        reasons = ["op_drift_paths_touched"] if is_touched else []
    else:
        # A commit that is not known proves nothing.
        differs = latest.git_commit is not None and head is not None and latest.git_commit != head
        reasons = ["op_drift_commit_mismatch"] if differs else []
    if not reasons and latest.working_tree_state == "dirty":
        reasons = ["op_drift_last_run_dirty"]
    if not reasons and unknown is not None:
        return _Drift(None, [], [f"op_drift unknown: {unknown}"])
    return _Drift(bool(reasons), reasons, reasons)


def _touched(operation_id: str, latest: RunRow, head: str | None, paths: PathDrift) -> tuple[bool, str | None]:
    """Tell whether a commit since the latest run touched an executable of the operation, and why that is not known.

    One that was touched is enough; that none was must be known of every executable.
    """
    bound = paths.bound.get(operation_id, BoundPaths())
    if latest.git_commit is None:
        return False, "the latest run names no commit"
    if head is None or paths.graph is None:
        return False, "there is no commit to compare with"
    touched = paths.graph.touched_since(latest.git_commit, head)
    if touched is None:
        return False, "the commit of the latest run is not in the history"
    if not touched.isdisjoint(bound.paths):
        return True, None
    if not bound.is_whole:
        return False, "git has no file of a bound executable"
    return False, None if bound.paths else "the operation binds no executable"


def _warnings(evidence: _Evidence | None, level: str, *, some_untyped: bool) -> list[str]:
    warnings = []
    if evidence is None:
        warnings.append("runs exist but are legacy/untyped" if some_untyped else "no attributable runs observed")
    else:
        if not evidence.latest.has_manifest_sha256:
            warnings.append("missing manifest on latest run")
        if len(evidence.run_roots) > 1:
            warnings.append("multiple run roots observed; using latest by created_utc")
    if _is_below_c3(level):
        warnings.append(f"coverage level < C3 (actual: {level})")
    return warnings


def _is_below_c3(level: str) -> bool:
    return level < "C3"


def _meta(inputs: OpStatusInputs, context: BuildContext) -> dict[str, Any]:
    """Return what the table was made under, and the drift that was in force before it (SPEC 4.2)."""
    drift = inputs.system_drift
    return {
        "generated_utc": context.generated_utc,
        "git_commit": context.git.commit,
        "working_tree_state": context.git.working_tree_state,
        "system_drift": None
        if drift is None
        else {
            "canon_dirty": drift.canon_dirty,
            "schema_drift": drift.schema_drift,
            "threshold_drift": drift.threshold_drift,
        },
        "drift_signals_run": inputs.drift_signals_run,
    }


def _content_hash(rows: Iterable[Mapping[str, Any]], meta: Mapping[str, Any]) -> str:
    timeless = [{key: value for key, value in row.items() if key != "staleness_days"} for row in rows]
    under = {key: value for key, value in meta.items() if key != "generated_utc"}
    return sha256_hex(json_line([timeless, under]))


@value_type
class OpStatusInputs:
    """For `build_op_status_table`. `options` are the canonical options in their order.

    `path_drift` is None under the drift rule `commit`.
    """

    runs: tuple[RunRow, ...]
    catalog: OperationCatalog
    options: tuple[str, ...]
    system_drift: SystemDrift | None
    drift_signals_run: str | None
    path_drift: PathDrift | None = None
