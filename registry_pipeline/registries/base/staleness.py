"""Which operations are observed, stale, drifting: one definition for report, summary and `status` (SPEC 4.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from registry_pipeline.canonical import parse_instant
from registry_pipeline.values import value_type

Row = Mapping[str, Any]


@value_type
class OperationGroups:
    """The rows of a status table by what is true of them, each group in the table's order; `stale` the oldest first."""

    observed: tuple[Row, ...]
    stale: tuple[Row, ...]
    drifting: tuple[Row, ...]
    legacy_only: tuple[Row, ...]
    unobserved: tuple[Row, ...]
    coverage_below_c3: tuple[Row, ...]


def group_operations(rows: Sequence[Row], stale_days: int) -> OperationGroups:
    """Return the groups; stale is observed and at least `stale_days` old, so an unknown age is not stale."""
    observed = tuple(row for row in rows if row["run_evidence_state"] == "OBSERVED")
    aged = [row for row in observed if row["staleness_days"] is not None and row["staleness_days"] >= stale_days]
    aged.sort(key=lambda row: -int(row["staleness_days"]))
    return OperationGroups(
        observed=observed,
        stale=tuple(aged),
        drifting=tuple(row for row in rows if row["op_drift"] is True),
        legacy_only=tuple(row for row in rows if row["run_evidence_state"] == "LEGACY_ONLY"),
        unobserved=tuple(row for row in rows if row["run_evidence_state"] == "UNOBSERVED"),
        coverage_below_c3=tuple(row for row in rows if row["coverage_level"] < "C3"),
    )


def count_operations(rows: Sequence[Row], stale_days: int) -> OperationCounts:
    """Return how many operations are in each group; one operation may be in several."""
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
    """Return the whole days from a stamp to `as_of`, rounded down, so negative for a future stamp.

    None where the stamp is not known, not a time, or has no zone (`Z` or `+hh:mm`).
    """
    created = parse_instant(created_utc)
    return None if created is None else (as_of - created) // _DAY


@value_type
class OperationCounts:
    """The figures of SPEC 4.4 over the rows of a status table."""

    total: int
    observed: int
    stale: int
    drifting: int
    legacy_only: int
    unobserved: int
    coverage_below_c3: int
