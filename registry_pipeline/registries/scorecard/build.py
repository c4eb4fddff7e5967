"""Build governance_scorecard: figures about operations, executables and registries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import are_same_objects, json_document, json_line, sha256_hex
from registry_pipeline.registries.base.values import (
    COVERAGE_LEVELS,
    ENFORCED_LEVEL,
    Operation,
    OperationCatalog,
    RegistryState,
)
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

ARTIFACT: Final = "GOVERNANCE_SCORECARD_v0_2.json"
VERSION: Final = "0.2"


@value_type
class ScorecardInputs:
    """The inputs of `build_scorecard`."""

    catalog: OperationCatalog
    options: tuple[str, ...]
    # The operations that the status table shows as OBSERVED; None without a table.
    observed: frozenset[str] | None
    # The bound executables that name a path, but no existing file.
    missing_executables: frozenset[str]
    # The paths that each bound executable names.
    named_paths: Mapping[str, frozenset[str]]
    # The executables in the repository, by path.
    found_executables: frozenset[str]
    registries: tuple[RegistryState, ...]
    # The active scorecard; None if there is none.
    before: Mapping[str, Any] | None


def build_scorecard(inputs: ScorecardInputs, context: BuildContext) -> Artifacts:
    """Return the figures, and the change of each figure since the active scorecard (None without one).

    Only operations with a configured option count. The content hash leaves out the time of the build.
    """
    operations = [operation for operation in inputs.catalog.operations if operation.option in inputs.options]
    figures = {
        "operations": _count_operations(inputs, operations),
        "executables": _count_executables(inputs, operations),
        "registries": _count_registries(inputs),
    }
    # A section that the previous scorecard lacks gives null for each of its changes.
    before = inputs.before
    change = None if before is None else {name: _subtract(before.get(name), now) for name, now in figures.items()}
    content = {**figures, "change": change}
    document = {"scorecard_version": VERSION, "generated_utc": context.generated_utc, **content}
    metrics = {
        "operations": len(operations),
        "c3_plus": figures["operations"]["c3_plus"]["count"],
        "executables": figures["executables"]["total"],
        "executables_missing": len(figures["executables"]["missing"]),
        "executables_orphaned": len(figures["executables"]["orphaned"]),
        "registries_sealed": figures["registries"]["sealed"],
        "registries_with_source": figures["registries"]["sealed_with_source"]["of"],
        "registries_sealed_with_source": figures["registries"]["sealed_with_source"]["count"],
        "pointers_known": figures["registries"]["pointer_known"],
    }
    return Artifacts({ARTIFACT: json_document(document)}, 1, sha256_hex(json_line(content)), metrics)


def are_same_figures(active: bytes, built: bytes, _is_own_run: object) -> bool:
    """Return whether two scorecards have the same figures; the time and the change since an earlier one may differ."""
    return are_same_objects(active, built, ("generated_utc", "change"))


def _count_operations(inputs: ScorecardInputs, operations: list[Operation]) -> dict[str, Any]:
    # An operation without a level in the coverage matrix is at C0, as in the status table.
    levels = Counter(
        inputs.catalog.coverage.get(operation.operation_id, COVERAGE_LEVELS[0]) for operation in operations
    )
    enforced = sum(count for level, count in levels.items() if level >= ENFORCED_LEVEL)
    observed = inputs.observed
    return {
        "canonical": len(operations),
        "observed": None if observed is None else sum(o.operation_id in observed for o in operations),
        "by_level": {level: levels[level] for level in sorted({*COVERAGE_LEVELS, *levels})},
        "c3_plus": _make_share(enforced, len(operations)),
    }


def _make_share(count: int, of: int) -> dict[str, Any]:
    return {"count": count, "of": of, "percent": round(100 * count / of, 1) if of else None}


def _count_executables(inputs: ScorecardInputs, operations: list[Operation]) -> dict[str, Any]:
    bound = {name for operation in operations for name in operation.executables}
    named = {path for name in bound for path in inputs.named_paths.get(name, ())}
    found = inputs.found_executables
    return {
        "bound": len(bound),
        "missing": sorted(bound & inputs.missing_executables),
        "total": len(found),
        "orphaned": sorted(found - named),
        # The share of the executables in the repository that an operation names.
        "rate": _make_share(len(found & named), len(found)),
    }


def _count_registries(inputs: ScorecardInputs) -> dict[str, Any]:
    rows = sorted(inputs.registries, key=lambda row: row.registry_id)
    unknown = [row for row in rows if row.can_be_active and not row.known]
    with_source = [row for row in rows if row.with_source]
    return {
        "total": len(rows),
        "with_schema": sum(row.with_schema for row in rows),
        "sealed": sum(row.sealed for row in rows),
        "sealed_with_source": _make_share(sum(row.sealed for row in with_source), len(with_source)),
        "pointer_known": sum(row.known for row in rows),
        "unknown": [{"registry_id": row.registry_id, "reason": row.reason} for row in unknown],
    }


def _subtract(before: Any, now: Any) -> Any:
    """Return `now` minus `before`, for objects key by key; a list counts as its length, and None is unknown."""
    if isinstance(now, dict):
        earlier = before if isinstance(before, dict) else {}
        return {name: _subtract(earlier.get(name), value) for name, value in now.items()}
    old, new = _to_number(before), _to_number(now)
    return None if old is None or new is None else round(new - old, 1)


def _to_number(figure: Any) -> int | float | None:
    # A list counts as its length.
    if isinstance(figure, list):
        return len(figure)
    return figure if isinstance(figure, int | float) and not isinstance(figure, bool) else None
