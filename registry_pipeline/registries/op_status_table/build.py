"""Build op_status_table: the status of every allowed operation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from registry_pipeline.canonical import are_same_objects, json_document, json_line, sha256_hex
from registry_pipeline.git.values import BoundPaths, PathDrift
from registry_pipeline.registries.base.values import (
    Operation,
    OperationCatalog,
    SystemDrift,
    count_days_since,
    count_operations,
)
from registry_pipeline.runs.envelope import BuildContext, RunRow
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import asdict, value_type

ARTIFACT: Final = "OPERATION_STATUS_TABLE_v0_1.json"
META_ARTIFACT: Final = "OPERATION_STATUS_TABLE_v0_1.meta.json"
VERSION: Final = "0.1"
_NO_LEVEL: Final = "C0"


@value_type
class RunEvidence:
    """What runs prove: the latest run of each operation with the run roots that contain runs of it.

    `runs` is their number, and `has_legacy_runs` says whether one of them proves nothing about an operation.
    """

    by_operation: Mapping[str, tuple[RunRow, Collection[str]]]
    has_legacy_runs: bool
    runs: int


@value_type
class OpStatusInputs:
    """The inputs of `build_op_status_table`."""

    evidence: RunEvidence
    catalog: OperationCatalog
    # The canonical options, in their order.
    options: tuple[str, ...]
    system_drift: SystemDrift | None
    drift_signals_run: str | None
    # None under the drift rule `commit`.
    path_drift: PathDrift | None = None


def build_op_status_table(inputs: OpStatusInputs, context: BuildContext) -> Artifacts:
    """Return one row for each operation with a configured option, sorted by option and id, and the meta document."""
    # (1) One row for each operation, sorted by option and id.
    rank = {option: position for position, option in enumerate(inputs.options)}
    operations = [operation for operation in inputs.catalog.operations if operation.option in rank]
    operations.sort(key=lambda operation: (rank[operation.option], operation.operation_id))
    rows = [_make_row(operation, inputs, context) for operation in operations]
    # (2) What the table was made under, and the drift that was active before it.
    meta = {
        "generated_utc": context.generated_utc,
        "git_commit": context.git.commit,
        "working_tree_state": context.git.working_tree_state,
        "system_drift": None if inputs.system_drift is None else asdict(inputs.system_drift),
        "drift_signals_run": inputs.drift_signals_run,
    }
    # (3) The content hash leaves out the values that change by the passing of time alone.
    timeless_rows = [{key: value for key, value in row.items() if key != "staleness_days"} for row in rows]
    timeless_meta = {key: value for key, value in meta.items() if key != "generated_utc"}
    # Staleness is no metric of the table, so any limits will do.
    counts = count_operations(rows, StaleLimits())
    return Artifacts(
        {ARTIFACT: json_document(rows), META_ARTIFACT: json_document(meta)},
        len(rows),
        sha256_hex(json_line([timeless_rows, timeless_meta])),
        {
            "operations": len(rows),
            "observed": counts.observed,
            "drifting": counts.drifting,
            "coverage_below_c3": counts.coverage_below_c3,
        },
    )


def is_same_meta(active: bytes, built: bytes, _is_own_run: object) -> bool:
    """Return whether two meta documents differ only in their time and in the run that stated the same system drift."""
    # The table itself is a list, so any difference in it counts, also one day more of staleness.
    return are_same_objects(active, built, ("generated_utc", "drift_signals_run"))


def collect_evidence(runs: Iterable[RunRow]) -> RunEvidence:
    """Return what runs prove, in one pass over them: they need not be in memory together."""
    evidence: dict[str, tuple[RunRow, set[str]]] = {}
    has_legacy_runs = False
    count = 0
    for run in runs:
        count += 1
        # A run without an envelope proves nothing about an operation, whatever its line states.
        if run.operation_id is None or not (run.has_run_json or run.adapted):
            has_legacy_runs = True
            continue
        latest, run_roots = evidence.get(run.operation_id, (None, set()))
        run_roots.add(run.run_root)
        # The loop is written out because each day of a history reads all runs before it.
        if latest is None or _is_later(run, latest):
            evidence[run.operation_id] = run, run_roots
    return RunEvidence(evidence, has_legacy_runs, count)


def _is_later(run: RunRow, other: RunRow) -> bool:
    """Return whether a run states a later time, or the same one and has the greater key."""
    created, other_created = run.created_utc or "", other.created_utc or ""
    return created > other_created or (created == other_created and run.run_key > other.run_key)


def _make_row(operation: Operation, inputs: OpStatusInputs, context: BuildContext) -> dict[str, Any]:
    """Return the row of one operation, with the keys in the specified order."""
    evidence = inputs.evidence.by_operation.get(operation.operation_id)
    has_legacy_runs = inputs.evidence.has_legacy_runs
    level = inputs.catalog.coverage.get(operation.operation_id, _NO_LEVEL)
    coverage_warnings = [f"coverage level < C3 (actual: {level})"] if level < "C3" else []
    reason = "runs exist but are legacy/untyped" if has_legacy_runs else "no attributable runs observed"
    row: dict[str, Any] = {
        "status_version": VERSION,
        "option": operation.option,
        "operation_id": operation.operation_id,
        "operation_name": operation.name,
        "coverage_level": level,
        "last_run_id": None,
        "last_run_created_utc": None,
        "run_evidence_state": "LEGACY_ONLY" if has_legacy_runs else "UNOBSERVED",
        "manifest_state": "UNKNOWN",
        "run_json_state": "UNKNOWN",
        "staleness_days": None,
        "op_drift": None,
        "op_drift_reasons": [],
        "warnings": [reason, *coverage_warnings],
    }
    if evidence is None:
        return row
    # Updating keeps the order of the keys.
    return row | _make_observed_fields(operation.operation_id, *evidence, inputs, context, coverage_warnings)


def _make_observed_fields(
    operation_id: str,
    latest: RunRow,
    run_roots: Collection[str],
    inputs: OpStatusInputs,
    context: BuildContext,
    coverage_warnings: list[str],
) -> dict[str, Any]:
    """Return the fields of a row that the latest run of the operation decides, all warnings included."""
    drift, reasons, drift_warnings = _find_drift(operation_id, latest, context.git.commit, inputs.path_drift)
    warnings = [] if latest.has_manifest_sha256 else ["missing manifest on latest run"]
    if len(run_roots) > 1:
        warnings.append("multiple run roots observed; using latest by created_utc")
    return {
        "last_run_id": latest.run_id,
        "last_run_created_utc": latest.created_utc,
        "run_evidence_state": "OBSERVED",
        "manifest_state": "PRESENT" if latest.has_manifest_sha256 else "MISSING",
        "run_json_state": "PRESENT" if latest.has_run_json else "MISSING",
        "staleness_days": count_days_since(latest.created_utc, context.as_of),
        "op_drift": drift,
        "op_drift_reasons": reasons,
        "warnings": [*warnings, *coverage_warnings, *drift_warnings],
    }


def _find_drift(
    operation_id: str, latest: RunRow, head: str | None, paths: PathDrift | None
) -> tuple[bool | None, list[str], list[str]]:
    """Return whether an operation drifts (None: unknown), the reasons, and warnings.

    `paths` is None under the drift rule `commit`. A latest run from a dirty tree drifts under both rules.
    """
    # (1) By the configured rule: by commit, or by the paths that commits changed.
    unknown = None
    if paths is not None:
        is_touched, unknown = _are_paths_touched(operation_id, latest, head, paths)
        reasons = ["op_drift_paths_touched"] if is_touched else []
    else:
        # An unknown commit on either side proves no drift.
        differs = latest.git_commit is not None and head is not None and latest.git_commit != head
        reasons = ["op_drift_commit_mismatch"] if differs else []
    # (2) A run from a dirty tree cannot be reproduced from its commit.
    if not reasons and latest.working_tree_state == "dirty":
        reasons = ["op_drift_last_run_dirty"]
    if not reasons and unknown is not None:
        return None, [], [f"op_drift unknown: {unknown}"]
    return bool(reasons), reasons, reasons


def _are_paths_touched(
    operation_id: str, latest: RunRow, head: str | None, paths: PathDrift
) -> tuple[bool, str | None]:
    """Return whether a commit since the latest run changed a bound executable, and why False may be wrong or None."""
    bound = paths.bound.get(operation_id, BoundPaths())
    if latest.git_commit is None:
        return False, "the latest run names no commit"
    if head is None or paths.graph is None:
        return False, "there is no commit to compare with"
    touched = paths.graph.touched_since(latest.git_commit, head)
    if touched is None:
        return False, "the commit of the latest run is not in the history"
    # One changed executable proves drift. "No drift" is proved only if git tracks all of them.
    if not touched.isdisjoint(bound.paths):
        return True, None
    if not bound.is_whole:
        return False, "git has no file of a bound executable"
    return False, None if bound.paths else "the operation binds no executable"
