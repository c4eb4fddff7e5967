"""Build drift_signals: the differences between the repository and what it expects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from registry_pipeline.canonical import are_same_objects, json_document, json_line, sha256_hex, try_parse_strict_json
from registry_pipeline.registries.base.values import ExpectedVersions
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

ARTIFACT: Final = "DRIFT_SIGNALS_v0_1.json"
VERSION: Final = "0.1"
_RULES: Final = (
    "mark op_drift true if last_run.git_commit != current git_commit (when both present)",
    "mark op_drift true if last_run.working_tree_state == 'dirty' (evidence captured dirty)",
    "do not mark op_drift based on system_drift alone",
)


@value_type
class Past:
    """What a description of a past day had to leave out."""

    # Number of run folders that state no time.
    runs_without_time: int
    # Number of configured operation documents that the day's commit lacks or that cannot be read.
    documents_missing: int


@value_type
class DriftInputs:
    """The inputs of `build_drift_signals`; the `observed_*` versions are None if they are unknown."""

    expected_path: str
    # None if the document is missing or cannot be read.
    expected: ExpectedVersions | None
    observed_run_registry: str | None
    observed_op_status_table: str | None
    observed_run_envelope: str | None
    observed_threshold: str | None
    # The lines `<sha256> <path>` of the tracked files, or blocks of them (see `canon_tree_hash`); None outside git.
    tracked: tuple[bytes, ...] | None
    tracked_missing: bool
    # None for the present.
    past: Past | None = None


def build_drift_signals(inputs: DriftInputs, context: BuildContext) -> Artifacts:
    """Return the drift signals, with the keys in the specified order; a drift is None unless all versions are known."""
    expected = inputs.expected or ExpectedVersions(None, None)
    observed = {
        "run_registry": inputs.observed_run_registry,
        "op_status_table": inputs.observed_op_status_table,
        "run_envelope": inputs.observed_run_envelope,
    }
    # A drift is unknown (null) unless all of its versions are known.
    flags = {
        "canon_dirty": context.git.working_tree_state == "dirty",
        "schema_drift": _differs(expected.schema_version, observed.values()),
        "threshold_drift": _differs(expected.threshold_pack_version, [inputs.observed_threshold]),
    }
    document: dict[str, Any] = {
        "drift_version": VERSION,
        "expected_versions_source": inputs.expected_path,
        "generated_utc": context.generated_utc,
        "git_commit": context.git.commit,
        "working_tree_state": context.git.working_tree_state,
        "canon_tree_hash": None if inputs.tracked is None else canon_tree_hash(inputs.tracked),
        "expected": {
            "schema_version": _make_comparison(inputs, expected.schema_version, observed, flags["schema_drift"]),
            "threshold_pack": _make_comparison(
                inputs, expected.threshold_pack_version, inputs.observed_threshold, flags["threshold_drift"]
            ),
        },
        "system_drift": {**flags, "threshold_drift_computed": flags["threshold_drift"] is not None},
        "op_drift_policy": {"op_drift_requires_evidence": True, "rules": list(_RULES)},
        "warnings": _find_warnings(inputs, expected, flags),
    }
    timeless = {key: value for key, value in document.items() if key != "generated_utc"}
    return Artifacts(
        {ARTIFACT: json_document(document)},
        1,
        sha256_hex(json_line(timeless)),
        # An unknown flag is left out, so that the plot has a gap.
        {name: int(value) for name, value in flags.items() if value is not None},
    )


def are_same_signals(active: bytes, built: bytes, _is_own_run: object) -> bool:
    """Return whether two drift signals differ only in their time and in tracked files that a build itself changes."""
    # In a clean tree of the same commit only files of this tool can differ, for example a tracked pointer file.
    is_clean = (try_parse_strict_json(built) or {}).get("working_tree_state") == "clean"
    return are_same_objects(active, built, ("generated_utc", *(["canon_tree_hash"] if is_clean else [])))


def canon_tree_hash(tracked: Iterable[bytes]) -> str:
    """Return the hash of the lines `<sha256> <path>` in any order: they are sorted bytewise as whole lines.

    Sorted lines between which no other line falls may be one item, joined by line feeds.
    """
    return sha256_hex(b"\n".join(sorted(tracked)) + b"\n")


def _differs(expected: str | None, observed: Iterable[str | None]) -> bool | None:
    """Return whether an observed version differs from the expected one; None unless all of them are known."""
    versions = list(observed)
    if expected is None or None in versions:
        return None
    return any(version != expected for version in versions)


def _make_comparison(inputs: DriftInputs, expected: str | None, observed: object, drift: bool | None) -> dict[str, Any]:
    return {
        "expected": expected,
        "computed": drift is not None,
        "observed": observed,
        "drift": drift,
        "source_path": inputs.expected_path,
    }


def _find_warnings(inputs: DriftInputs, expected: ExpectedVersions, flags: dict[str, bool | None]) -> list[str]:
    conditions = {
        "expected_versions_missing_or_unreadable": inputs.expected is None,
        "expected_threshold_null": expected.threshold_pack_version is None,
        "observed_threshold_version_not_found": inputs.observed_threshold is None,
        "schema_drift_unknown": flags["schema_drift"] is None,
        "threshold_drift_unknown": flags["threshold_drift"] is None,
        "not_a_git_repository": inputs.tracked is None,
        "tracked_files_missing": inputs.tracked_missing,
    }
    warnings = [warning for warning, applies in conditions.items() if applies]
    past = inputs.past
    if past is not None:
        counts = {"runs_without_time": past.runs_without_time, "operation_documents_missing": past.documents_missing}
        warnings += ["as_of_history", *(f"as_of_{name}: {count}" for name, count in counts.items() if count)]
    return warnings
