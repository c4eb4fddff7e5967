"""`--fail-on`: findings that are no errors, and that the user wants to fail on all the same (exit 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.inputs import OperationCounts, SystemDrift

REASONS: Final = ("drift", "stale", "coverage", "warning")

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class _Reasons(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """A list of reasons with commas between them."""

    name = "reasons"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        if isinstance(value, frozenset):
            return value
        words = [word.strip() for word in str(value).split(",")]
        unknown = [word for word in words if word not in REASONS]
        if unknown:
            self.fail(f"{unknown[0]!r} is none of {', '.join(REASONS)}", param, ctx)
        return frozenset(words)


def fail_on_option(command: _Decorated) -> _Decorated:
    """Add `--fail-on` to a verb, as the argument `fail_on`: a frozen set of reasons."""
    return click.option(
        "--fail-on",
        type=_Reasons(),
        default=frozenset(),
        show_default=False,
        metavar="LIST",
        help=f"Exit 4 on any of {','.join(REASONS)}.",
    )(command)


def holds(
    reasons: frozenset[str],
    findings: Iterable[Finding],
    operations: OperationCounts | None = None,
    drift: SystemDrift | None = None,
) -> bool:
    """Tell whether one of the reasons holds; what is not known (None) is no reason."""
    counts = {
        "drift": 0 if operations is None else operations.drifting,
        "stale": 0 if operations is None else operations.stale,
        "coverage": 0 if operations is None else operations.coverage_below_c3,
        "warning": sum(f.severity is Severity.WARNING for f in findings),
    }
    system = drift is not None and True in (drift.canon_dirty, drift.schema_drift, drift.threshold_drift)
    return any(counts[reason] for reason in reasons) or ("drift" in reasons and system)
