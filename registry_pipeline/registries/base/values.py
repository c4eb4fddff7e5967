"""Values that readers hand to builders, and which operations are stale. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import parse_instant
from registry_pipeline.findings.finding import Finding
from registry_pipeline.values import field, value_type

if TYPE_CHECKING:
    from registry_pipeline.stale_limits import StaleLimits


COVERAGE_LEVELS: Final = ("C0", "C1", "C2", "C3", "C4", "C5")
"""How far operations can be enforced, from the least."""
ENFORCED_LEVEL: Final = "C3"
"""From this level on an operation counts as enforced."""
_LAST_SECOND: Final = time(23, 59, 59, tzinfo=UTC)


@value_type
class Operation:
    """One operation of the catalog."""

    operation_id: str
    # Empty if the document states none.
    option: str
    name: str
    executables: tuple[str, ...]
    # The document that defines it first, and the line there.
    source_path: str
    line: int = field(default=0, compare=False)


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
    """The state of one registry, for the scorecard."""

    registry_id: str
    # The registry table names a schema for it.
    with_schema: bool
    # It has a source, so that it could be sealed.
    with_source: bool
    # The active snapshot, or else the newest one, verifies.
    sealed: bool
    # The registry has a pointer.
    can_be_active: bool
    # Its pointer is `true`; if not, `reason` says why.
    known: bool
    reason: str


@value_type
class OperationCounts:
    """The number of operations in a status table, and in each of its groups."""

    total: int
    observed: int
    stale: int
    drifting: int
    legacy_only: int
    unobserved: int
    coverage_below_c3: int


Row = Mapping[str, Any]


def is_stale(row: Row, limits: StaleLimits) -> bool:
    """Return whether the operation of a row of a status table is stale."""
    if row["run_evidence_state"] != "OBSERVED":
        return False
    return is_stale_age(row["staleness_days"], limits.limit_of(row["operation_id"], row["option"]))


def is_stale_age(age_days: int | None, limit_days: int) -> bool:
    """Return whether an operation whose last run has this age is stale."""
    # An unknown age is not stale: nothing shows that the run is old.
    return age_days is not None and age_days >= limit_days


def group_operations(rows: Sequence[Row], limits: StaleLimits) -> dict[str, list[Row]]:
    """Return the rows of a status table by group, stale ones oldest first; one operation may be in several groups.

    The other groups, and stale ones of the same age, keep the order of the rows.
    """
    observed, legacy_only, unobserved = (
        [row for row in rows if row["run_evidence_state"] == state]
        for state in ("OBSERVED", "LEGACY_ONLY", "UNOBSERVED")
    )
    stale = [row for row in observed if is_stale(row, limits)]
    return {
        "observed": observed,
        "stale": sorted(stale, key=lambda row: -int(row["staleness_days"])),
        "drifting": [row for row in rows if row["op_drift"] is True],
        "legacy_only": legacy_only,
        "unobserved": unobserved,
        "coverage_below_c3": [row for row in rows if row["coverage_level"] < ENFORCED_LEVEL],
    }


def count_operations(rows: Sequence[Row], limits: StaleLimits) -> OperationCounts:
    """Return the number of operations in each group."""
    groups = group_operations(rows, limits)
    return OperationCounts(total=len(rows), **{name: len(group) for name, group in groups.items()})


def last_second(day: date) -> datetime:
    """Return the instant that the history of a day describes: 23:59:59 UTC."""
    return datetime.combine(day, _LAST_SECOND)


def count_days_since(created_utc: str | None, as_of: datetime) -> int | None:
    """Return the whole days from a timestamp to `as_of`, rounded down; negative if it is in the future.

    None if the timestamp is unknown, invalid, or has no zone (`Z` or `+hh:mm`).
    """
    created = parse_instant(created_utc)
    return None if created is None else (as_of - created).days
