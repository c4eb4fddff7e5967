"""governance_scorecard: how much of what runs is allowed, enforced, sealed and in force, in figures (SPEC 4.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_document, json_line, sha256_hex
from registry_pipeline.registries.base.values import Operation, OperationCatalog, RegistryState
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

ARTIFACT: Final = "GOVERNANCE_SCORECARD_v0_2.json"
VERSION: Final = "0.2"
_LEVELS: Final = tuple(f"C{number}" for number in range(6))
_NO_LEVEL: Final = "C0"
_ENFORCED: Final = "C3"
_SECTIONS: Final = ("operations", "executables", "registries")


def build_scorecard(inputs: ScorecardInputs, context: BuildContext) -> Artifacts:
    """Return the figures, and each figure's change against the active scorecard.

    An operation counts if its option is configured; one without a level in the matrix is at C0, as in the status table.
    """
    operations = [o for o in inputs.catalog.operations if o.option in inputs.options]
    figures = {
        "operations": _operations(inputs, operations),
        "executables": _executables(inputs, operations),
        "registries": _registries(inputs),
    }
    before = inputs.before
    change = None if before is None else {name: _change(before.get(name), figures[name]) for name in _SECTIONS}
    head = {"scorecard_version": VERSION, "generated_utc": context.generated_utc}
    metrics = {
        "operations": len(operations),
        "c3_plus": figures["operations"]["c3_plus"]["count"],
        "executables_missing": len(figures["executables"]["missing"]),
        "registries_sealed": figures["registries"]["sealed"],
        "pointers_known": figures["registries"]["pointer_known"],
    }
    content = sha256_hex(json_line({**figures, "change": change}))
    return Artifacts({ARTIFACT: json_document({**head, **figures, "change": change})}, 1, content, metrics)


def _operations(inputs: ScorecardInputs, operations: list[Operation]) -> dict[str, Any]:
    levels = Counter(inputs.catalog.coverage.get(o.operation_id, _NO_LEVEL) for o in operations)
    enforced = sum(count for level, count in levels.items() if level >= _ENFORCED)
    observed = inputs.observed
    return {
        "canonical": len(operations),
        "observed": None if observed is None else sum(o.operation_id in observed for o in operations),
        "by_level": {level: levels[level] for level in sorted({*_LEVELS, *levels})},
        "c3_plus": {
            "count": enforced,
            "of": len(operations),
            "percent": round(100 * enforced / len(operations), 1) if operations else None,
        },
    }


def _executables(inputs: ScorecardInputs, operations: list[Operation]) -> dict[str, Any]:
    bound = {name for operation in operations for name in operation.executables}
    return {"bound": len(bound), "missing": sorted(bound & inputs.missing_executables)}


def _registries(inputs: ScorecardInputs) -> dict[str, Any]:
    rows = sorted(inputs.registries, key=lambda row: row.registry_id)
    return {
        "total": len(rows),
        "with_schema": sum(row.with_schema for row in rows),
        "sealed": sum(row.sealed for row in rows),
        "pointer_known": sum(row.known for row in rows),
        "unknown": [
            {"registry_id": row.registry_id, "reason": row.reason}
            for row in rows
            if row.can_be_active and not row.known
        ],
    }


def _change(before: Any, now: Any) -> Any:
    """Return the difference of two figures, figure by figure; a list counts as its length, what is unknown is None."""
    if isinstance(now, dict):
        earlier = before if isinstance(before, dict) else {}
        return {name: _change(earlier.get(name), value) for name, value in now.items()}
    old, new = _figure(before), _figure(now)
    return None if old is None or new is None else round(new - old, 1)


def _figure(value: Any) -> int | float | None:
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@value_type
class ScorecardInputs:
    """For `build_scorecard`. `observed` are the operations that the active status table shows as OBSERVED.

    It is None where no status table is active. `missing_executables` are bound paths that are not there; `before` is
    the active scorecard, None at first.
    """

    catalog: OperationCatalog
    options: tuple[str, ...]
    observed: frozenset[str] | None
    missing_executables: frozenset[str]
    registries: tuple[RegistryState, ...]
    before: Mapping[str, Any] | None
