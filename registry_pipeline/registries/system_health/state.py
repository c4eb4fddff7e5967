"""Derive the health state of the system from findings, pointers, drift and operation counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.builder_inputs import SystemDrift
from registry_pipeline.registries.base.staleness import OperationCounts
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type

HealthName = Literal["HEALTHY", "DEGRADED_NON_BLOCKING", "UNKNOWN", "DEGRADED_BLOCKING", "RECOVERY_REQUIRED"]
# UNKNOWN is worse than a degradation that is known not to block, because something that blocks may hide behind it.
SEVERITY: Final[tuple[HealthName, ...]] = (
    "HEALTHY",
    "DEGRADED_NON_BLOCKING",
    "UNKNOWN",
    "DEGRADED_BLOCKING",
    "RECOVERY_REQUIRED",
)
"""The health states from best to worst."""
_UNREADABLE_POINTERS: Final = frozenset({"POINTER_SHAPE", "POINTER_DUPLICATE_KEY"})


@value_type
class HealthCondition:
    """One reason for a health state, in a sentence."""

    state: HealthName
    reason: str


@value_type
class HealthState:
    """The health state, and all conditions that were found, the most severe first."""

    state: HealthName
    conditions: tuple[HealthCondition, ...]


@value_type
class HealthFacts:
    """The inputs of `find_health_state`.

    Attributes:
        findings: about the active runs, their schemas, the pointer file and the chain.
        unknown_pointers: ids of the registries that can be active and of which no run is known to be.
        system_drift: None if no drift_signals are active.
        operations: None if no op_status_table is active.
    """

    findings: tuple[Finding, ...]
    unknown_pointers: tuple[str, ...]
    system_drift: SystemDrift | None
    operations: OperationCounts | None
    working_tree_state: str | None


@value_type
class HealthInputs:
    """The inputs of `render_health_report`.

    Attributes:
        status_rows: the rows of the active op_status_table.
        drift_signals: the active drift_signals document.
        input_sources: the active runs that the report is rendered from, by registry id.
    """

    status_rows: tuple[Mapping[str, Any], ...]
    drift_signals: Mapping[str, Any]
    runs_known: int
    input_sources: Mapping[str, SealedRef]
    stale_days: int
    health: HealthState
    max_list: int = 20


def find_health_state(facts: HealthFacts) -> HealthState:
    """Return the most severe state that a condition causes, and all conditions."""
    # Two findings may give the same condition; it is listed once.
    conditions = dict.fromkeys([*_check_findings(facts), *_check_drift(facts), *_check_operations(facts)])
    ordered = sorted(conditions, key=lambda condition: -SEVERITY.index(condition.state))
    return HealthState(ordered[0].state if ordered else "HEALTHY", tuple(ordered))


def _check_findings(facts: HealthFacts) -> Iterator[HealthCondition]:
    for finding in facts.findings:
        if finding.code == "POINTER_FILE_MISSING":
            yield HealthCondition("UNKNOWN", finding.message)
        elif finding.severity is Severity.ERROR:
            # While the pointer file or the chain has an error, nothing can be activated, so it must be repaired first.
            needs_recovery = finding.code in _UNREADABLE_POINTERS or family_of(finding) == "chain"
            reason = f"{finding.code} {finding.path}: {finding.message}"
            yield HealthCondition("RECOVERY_REQUIRED" if needs_recovery else "DEGRADED_BLOCKING", reason)
    if facts.unknown_pointers:
        names = ", ".join(facts.unknown_pointers)
        yield HealthCondition("DEGRADED_NON_BLOCKING", f"it is not known what is active of {names}")


def _check_drift(facts: HealthFacts) -> Iterator[HealthCondition]:
    drift = facts.system_drift
    # The tree may be dirty now, or may have been when the drift signals were built.
    if facts.working_tree_state == "dirty" or (drift is not None and drift.canon_dirty):
        yield HealthCondition("DEGRADED_NON_BLOCKING", "the working tree is dirty")
    if drift is None:
        yield HealthCondition("UNKNOWN", "no drift_signals are active")
        return
    for version, drifts in (("schema", drift.schema_drift), ("threshold", drift.threshold_drift)):
        if drifts is None:
            yield HealthCondition("DEGRADED_NON_BLOCKING", f"it is not known whether the {version} version drifts")
        elif drifts:
            yield HealthCondition("DEGRADED_NON_BLOCKING", f"the {version} version drifts")


def _check_operations(facts: HealthFacts) -> Iterator[HealthCondition]:
    # Stale and unobserved operations are listed in the report, but cause no condition.
    counts = facts.operations
    if counts is None:
        yield HealthCondition("UNKNOWN", "no op_status_table is active")
        return
    for number, description in ((counts.drifting, "drift"), (counts.coverage_below_c3, "are covered below C3")):
        if number:
            yield HealthCondition("DEGRADED_NON_BLOCKING", f"{number} of {counts.total} operations {description}")
