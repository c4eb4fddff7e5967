"""Short constructors of the values that the health page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from registry_pipeline.registries.base.values import OperationCounts
from registry_pipeline.registries.system_health.build import HealthCondition, HealthState
from registry_pipeline.registries.system_health.charts import DAYS
from registry_pipeline.registries.system_health.page import (
    HealthPage,
    PageActivation,
    PageDay,
    PageFinding,
    PageInput,
    PageOperation,
    PageRegistry,
    PageRun,
)

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY: Final = date(2026, 3, 1)
ROOT: Final = "ab" * 32


def page_operation(operation_id: str = "OP-A01", *ages: int, **changes: Any) -> PageOperation:
    """Return an operation that ran so many days ago."""
    values: dict[str, Any] = {
        "operation_id": operation_id,
        "name": f"Name of {operation_id}",
        "option": "A",
        "coverage_level": "C3",
        "evidence": "OBSERVED",
        "age_days": min(ages, default=0),
        "limit_days": 2,
        "drift_reasons": (),
        "runs": tuple(PageRun(TODAY - timedelta(age), sealed=True) for age in ages),
    }
    values |= changes
    is_stale = values["evidence"] == "OBSERVED" and values["age_days"] >= values["limit_days"]
    return PageOperation(**({"is_stale": is_stale} | values))


def page_day(ago: int, **changes: Any) -> PageDay:
    values: dict[str, Any] = {"observed": 3, "stale": ago % 3, "drifting": 1, "schema_drift": False}
    return PageDay(**({"day": TODAY - timedelta(ago), "threshold_drift": None} | values | changes))


def count(operations: Sequence[PageOperation]) -> OperationCounts:
    evidence = Counter(operation.evidence for operation in operations)
    return OperationCounts(
        total=len(operations),
        observed=evidence["OBSERVED"],
        legacy_only=evidence["LEGACY_ONLY"],
        unobserved=evidence["UNOBSERVED"],
        stale=sum(operation.is_stale for operation in operations),
        drifting=sum(bool(operation.drift_reasons) for operation in operations),
        coverage_below_c3=sum(operation.coverage_level < "C3" for operation in operations),
    )


def health_page(*operations: PageOperation, **changes: Any) -> HealthPage:
    condition = HealthCondition("DEGRADED_NON_BLOCKING", "the schema version drifts", "registry-pipeline status --all")
    values: dict[str, Any] = {
        "title": "tides",
        "run_id": "2026-03-01__120000__system_health_render",
        "rendered": NOW,
        "commit": "0123456789abcdef" * 2,
        "working_tree_state": "clean",
        "health": HealthState("DEGRADED_NON_BLOCKING", (condition,)),
        "operations": operations,
        "counts": count(operations),
        "registries": (
            PageRegistry("run_registry", "run", ROOT, "valid", 0, "2026-03-01T11:00:00Z", "Ada <a@b.cd>", "nightly"),
            PageRegistry("drift_signals", None, None, "unknown", None, None, None, None),
        ),
        "unused_registries": ("role_registry",),
        "runs_by_seal": {"sealed": 5, "partial": 1, "unsealed": 2},
        "days": tuple(page_day(ago) for ago in range(DAYS - 1, 0, -1)),
        "activations": (PageActivation("r", "2026-03-01T11:00:00Z", "activate", "Ada", "nightly", ("run_registry",)),),
        "earlier_activations": 0,
        "findings": (PageFinding("HASH_MISMATCH", "error", "runs/a", "changed", "run `registry-pipeline verify a`"),),
        "inputs": (PageInput("run_registry", "run", ROOT),),
    }
    return HealthPage(**(values | changes))
