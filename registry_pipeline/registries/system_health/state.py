"""The one named state of the system, and the conditions that caused it (SPEC 4.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.staleness import OperationCounts
from registry_pipeline.registries.base.values import SystemDrift
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type

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


def find_health_state(facts: HealthFacts) -> HealthState:
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


HealthName = Literal["HEALTHY", "DEGRADED_NON_BLOCKING", "UNKNOWN", "DEGRADED_BLOCKING", "RECOVERY_REQUIRED"]


@value_type
class HealthCondition:
    """One reason for a health state, in a sentence."""

    state: HealthName
    reason: str


@value_type
class HealthState:
    """The named state of the system, and every condition that was found, the most severe first."""

    state: HealthName
    conditions: tuple[HealthCondition, ...]


@value_type
class HealthFacts:
    """For `judge_health`. `findings` are those of the active runs, their schemas, the pointer file and the chain.

    `unknown_pointers` are the registries with pointer semantics of which no run is known to be active; `system_drift`
    and `operations` are None where no drift_signals or status table is active.
    """

    findings: tuple[Finding, ...]
    unknown_pointers: tuple[str, ...]
    system_drift: SystemDrift | None
    operations: OperationCounts | None
    working_tree_state: str | None


@value_type
class HealthInputs:
    """For `render_health_report`: the parsed active registries, their refs, and the state that was judged.

    `status_rows` and `drift_signals` are as SPEC 4.2 and 4.3 write them; `input_sources` are sealed refs by registry.
    """

    status_rows: tuple[Mapping[str, Any], ...]
    drift_signals: Mapping[str, Any]
    runs_known: int
    input_sources: Mapping[str, SealedRef]
    stale_days: int
    health: HealthState
    max_list: int = 20
