"""The one named state of the system, and the conditions that caused it (SPEC 4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_pipeline.model.codes import family_of
from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.inputs import HealthCondition, HealthFacts, HealthName, HealthState, SystemDrift

SEVERITY: Final[tuple[HealthName, ...]] = (
    "HEALTHY",
    "DEGRADED_NON_BLOCKING",
    "UNKNOWN",
    "DEGRADED_BLOCKING",
    "RECOVERY_REQUIRED",
)
"""From the best to the worst. What cannot be determined may hide something that blocks, and so weighs more than a
degradation that is known not to; a known blocking one weighs more still."""

_UNREADABLE_POINTERS: Final = frozenset({"POINTER_SHAPE", "POINTER_DUPLICATE_KEY"})


def judge_health(facts: HealthFacts) -> HealthState:
    """Return the most severe state that a condition causes, with all conditions, the most severe first."""
    conditions = [*_of_findings(facts.findings), *_of_pointers(facts), *_of_drift(facts), *_of_operations(facts)]
    unique = dict.fromkeys(conditions)
    ordered = sorted(unique, key=lambda condition: -SEVERITY.index(condition.state))
    return HealthState(ordered[0].state if ordered else "HEALTHY", tuple(ordered))


def _of_findings(findings: tuple[Finding, ...]) -> Iterator[HealthCondition]:
    """Any error in what is active blocks; one in the pointer file or the chain must be recovered first."""
    for found in findings:
        if found.code == "POINTER_FILE_MISSING":
            yield HealthCondition("UNKNOWN", found.message)
        elif found.severity is Severity.ERROR:
            lost = found.code in _UNREADABLE_POINTERS or family_of(found) == "chain"
            reason = f"{found.code} {found.path}: {found.message}"
            yield HealthCondition("RECOVERY_REQUIRED" if lost else "DEGRADED_BLOCKING", reason)


def _of_pointers(facts: HealthFacts) -> Iterator[HealthCondition]:
    if facts.unknown_pointers:
        names = ", ".join(facts.unknown_pointers)
        yield HealthCondition("DEGRADED_NON_BLOCKING", f"it is not known what is active of {names}")


def _of_drift(facts: HealthFacts) -> Iterator[HealthCondition]:
    drift = facts.system_drift
    if facts.working_tree_state == "dirty" or (drift is not None and drift.canon_dirty):
        yield HealthCondition("DEGRADED_NON_BLOCKING", "the working tree is dirty")
    if drift is None:
        yield HealthCondition("UNKNOWN", "no drift_signals are active")
    else:
        yield from _of_versions(drift)


def _of_versions(drift: SystemDrift) -> Iterator[HealthCondition]:
    for what, flag in (("schema", drift.schema_drift), ("threshold", drift.threshold_drift)):
        if flag is None:
            yield HealthCondition("DEGRADED_NON_BLOCKING", f"it is not known whether the {what} version drifts")
        elif flag:
            yield HealthCondition("DEGRADED_NON_BLOCKING", f"the {what} version drifts")


def _of_operations(facts: HealthFacts) -> Iterator[HealthCondition]:
    counts = facts.operations
    if counts is None:
        yield HealthCondition("UNKNOWN", "no op_status_table is active")
        return
    for number, what in ((counts.drifting, "drift"), (counts.coverage_below_c3, "are covered below C3")):
        if number:
            yield HealthCondition("DEGRADED_NON_BLOCKING", f"{number} of {counts.total} operations {what}")
