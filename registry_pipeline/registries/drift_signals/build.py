"""drift_signals: what the repository is, against what it expects to be (SPEC 4.3). It reports; nothing reacts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from registry_pipeline.canonical import json_document, json_line, sha256_hex
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


def build_drift_signals(inputs: DriftInputs, context: BuildContext) -> Artifacts:
    """Return the drift signals, keys in the order of SPEC 4.3; a drift is null unless all of its values are known."""
    expected = inputs.expected or ExpectedVersions(None, None)
    observed = {
        "run_registry": inputs.observed_run_registry,
        "op_status_table": inputs.observed_op_status_table,
        "run_envelope": inputs.observed_run_envelope,
    }
    schema_drift = _differs(expected.schema_version, observed.values())
    threshold_drift = _differs(expected.threshold_pack_version, [inputs.observed_threshold])
    canon_dirty = context.git.working_tree_state == "dirty"
    document: dict[str, Any] = {
        "drift_version": VERSION,
        "expected_versions_source": inputs.expected_path,
        "generated_utc": context.generated_utc,
        "git_commit": context.git.commit,
        "working_tree_state": context.git.working_tree_state,
        "canon_tree_hash": None if inputs.tracked is None else canon_tree_hash(inputs.tracked),
        "expected": {
            "schema_version": _comparison(expected.schema_version, observed, schema_drift, inputs.expected_path),
            "threshold_pack": _comparison(
                expected.threshold_pack_version, inputs.observed_threshold, threshold_drift, inputs.expected_path
            ),
        },
        "system_drift": {
            "canon_dirty": canon_dirty,
            "schema_drift": schema_drift,
            "threshold_drift": threshold_drift,
            "threshold_drift_computed": threshold_drift is not None,
        },
        "op_drift_policy": {"op_drift_requires_evidence": True, "rules": list(_RULES)},
        "warnings": _warnings(inputs, expected, schema_drift, threshold_drift),
    }
    flags = {"canon_dirty": canon_dirty, "schema_drift": schema_drift, "threshold_drift": threshold_drift}
    timeless = {key: value for key, value in document.items() if key != "generated_utc"}
    return Artifacts(
        {ARTIFACT: json_document(document)},
        1,
        sha256_hex(json_line(timeless)),
        # An unknown flag is no number: it is left out, and the plot has a gap.
        {name: int(value) for name, value in flags.items() if value is not None},
    )


def canon_tree_hash(tracked: Iterable[bytes]) -> str:
    """Return the hash of `<sha256> <path>` lines, sorted as whole lines bytewise; the order given does not matter."""
    return sha256_hex(b"\n".join(sorted(tracked)) + b"\n")


def _differs(expected: str | None, observed: Iterable[str | None]) -> bool | None:
    """Tell whether any observed version differs from the expected one; None unless all of them are known."""
    values = list(observed)
    if expected is None or None in values:
        return None
    return any(value != expected for value in values)


def _comparison(expected: str | None, observed: object, drift: bool | None, source_path: str) -> dict[str, Any]:
    return {
        "expected": expected,
        "computed": drift is not None,
        "observed": observed,
        "drift": drift,
        "source_path": source_path,
    }


def _warnings(
    inputs: DriftInputs, expected: ExpectedVersions, schema_drift: bool | None, threshold_drift: bool | None
) -> list[str]:
    told = (
        ("expected_versions_missing_or_unreadable", inputs.expected is None),
        ("expected_threshold_null", expected.threshold_pack_version is None),
        ("observed_threshold_version_not_found", inputs.observed_threshold is None),
        ("schema_drift_unknown", schema_drift is None),
        ("threshold_drift_unknown", threshold_drift is None),
        ("not_a_git_repository", inputs.tracked is None),
        ("tracked_files_missing", inputs.tracked_missing),
    )
    return [*(warning for warning, holds in told if holds), *_warnings_of_the_past(inputs.past)]


def _warnings_of_the_past(past: Past | None) -> list[str]:
    if past is None:
        return []
    left_out = {"runs_without_time": past.runs_without_time, "operation_documents_missing": past.documents_missing}
    return ["as_of_history", *(f"as_of_{what}: {count}" for what, count in left_out.items() if count)]


@value_type
class Past:
    """What a description of a past day could not take into account (SPEC 4.3).

    `runs_without_time` are run folders that state no time, `documents_missing` configured documents of the operations
    that the day's commit does not have or that cannot be read.
    """

    runs_without_time: int
    documents_missing: int


@value_type
class DriftInputs:
    """For `build_drift_signals`. Observations that were not made are None.

    `tracked` are the lines `<sha256> <path>` of the tracked files, None outside git; `expected` is None where the
    document is missing or unreadable. `observed_*` are versions. `past` is None for the present.
    """

    expected_path: str
    expected: ExpectedVersions | None
    observed_run_registry: str | None
    observed_op_status_table: str | None
    observed_run_envelope: str | None
    observed_threshold: str | None
    tracked: tuple[bytes, ...] | None
    tracked_missing: bool
    past: Past | None = None
