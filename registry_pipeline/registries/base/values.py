"""Values that readers hand to builders, and which operations are stale. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from registry_pipeline.canonical import parse_instant
from registry_pipeline.findings.finding import Finding
from registry_pipeline.values import value_type


@value_type
class Operation:
    """One operation of the catalog; `source_path` is the document that defines it first."""

    operation_id: str
    option: str
    name: str
    executables: tuple[str, ...]
    source_path: str


@value_type
class OperationCatalog:
    """Operations in the order of the documents, coverage levels by operation id, and findings."""

    operations: tuple[Operation, ...]
    coverage: Mapping[str, str]
    findings: tuple[Finding, ...]


@value_type
class SystemDrift:
    """The flags of the previously active drift_signals; None if unknown."""

    canon_dirty: bool | None
    schema_drift: bool | None
    threshold_drift: bool | None


@value_type
class ExpectedVersions:
    """The versions that the expected-versions document states; None if missing."""

    schema_version: str | None
    threshold_pack_version: str | None


@value_type
class CapturedInputs:
    """Captured bytes by artifact name; `records` is the number of records, None if each file is one record."""

    files: Mapping[str, bytes]
    records: int | None = None


@value_type
class RegistryState:
    """The state of one registry, for the scorecard.

    Attributes:
        with_schema: the registry table names a schema for it.
        sealed: the active snapshot, or else the newest one, verifies.
        can_be_active: the registry has a pointer.
        known: its pointer is `true`.
        reason: why it is not.
    """

    registry_id: str
    with_schema: bool
    sealed: bool
    can_be_active: bool
    known: bool
    reason: str


Row = Mapping[str, Any]


@value_type
class OperationGroups:
    """The rows of a status table by group, in the order of the table; `stale` is sorted oldest first."""

    observed: tuple[Row, ...]
    stale: tuple[Row, ...]
    drifting: tuple[Row, ...]
    legacy_only: tuple[Row, ...]
    unobserved: tuple[Row, ...]
    coverage_below_c3: tuple[Row, ...]


def is_stale(row: Row, stale_days: int) -> bool:
    """Return whether an operation is observed and its last run is at least `stale_days` old."""
    # An unknown age is not stale: nothing shows that the run is old.
    age = row["staleness_days"]
    return row["run_evidence_state"] == "OBSERVED" and age is not None and age >= stale_days


def group_operations(rows: Sequence[Row], stale_days: int) -> OperationGroups:
    """Return the groups; one operation may be in several."""
    return OperationGroups(
        observed=tuple(row for row in rows if row["run_evidence_state"] == "OBSERVED"),
        stale=tuple(
            sorted((row for row in rows if is_stale(row, stale_days)), key=lambda row: -int(row["staleness_days"]))
        ),
        drifting=tuple(row for row in rows if row["op_drift"] is True),
        legacy_only=tuple(row for row in rows if row["run_evidence_state"] == "LEGACY_ONLY"),
        unobserved=tuple(row for row in rows if row["run_evidence_state"] == "UNOBSERVED"),
        coverage_below_c3=tuple(row for row in rows if row["coverage_level"] < "C3"),
    )


def count_operations(rows: Sequence[Row], stale_days: int) -> OperationCounts:
    """Return the number of operations in each group."""
    groups = group_operations(rows, stale_days)
    return OperationCounts(
        total=len(rows),
        observed=len(groups.observed),
        stale=len(groups.stale),
        drifting=len(groups.drifting),
        legacy_only=len(groups.legacy_only),
        unobserved=len(groups.unobserved),
        coverage_below_c3=len(groups.coverage_below_c3),
    )


_DAY: Final = timedelta(days=1)


def staleness_days(created_utc: str | None, as_of: datetime) -> int | None:
    """Return the whole days from a timestamp to `as_of`, rounded down; negative if it is in the future.

    None if the timestamp is unknown, invalid, or has no zone (`Z` or `+hh:mm`).
    """
    created = parse_instant(created_utc)
    return None if created is None else (as_of - created) // _DAY


@value_type
class OperationCounts:
    """The number of operations in each group of a status table."""

    total: int
    observed: int
    stale: int
    drifting: int
    legacy_only: int
    unobserved: int
    coverage_below_c3: int
