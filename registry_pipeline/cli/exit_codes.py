"""The exit codes, the rule for several at once, and the option `--fail-on`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click

from registry_pipeline.findings.codes import COULD_NOT_CHECK
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift


class ExitCode(IntEnum):
    """How a command ended. The numbers are a promise to scripts (docs/reference/specification.md, "Exit codes")."""

    FINE = 0
    UNEXPECTED = 1
    USAGE = 2
    INVALID_EVIDENCE = 3
    FAIL_ON = 4
    REFUSED = 5
    BUSY = 6
    NOT_FOUND = 7
    INCOMPLETE = 8
    # `record` only, because it passes on the exit code of another program; its 126 and 127 are those of a shell.
    NOT_RECORDED = 125
    INTERRUPTED = 130
    BROKEN_PIPE = 141


# Every exit code of a command that ends by itself.
MEANINGS: Final = MappingProxyType(
    {
        ExitCode.FINE: "success",
        ExitCode.UNEXPECTED: "unexpected failure",
        ExitCode.USAGE: "usage or configuration error",
        ExitCode.INVALID_EVIDENCE: "invalid evidence",
        ExitCode.FAIL_ON: "findings named by --fail-on",
        ExitCode.REFUSED: "refused, or sealed and not activated: no pointer moved, no content file changed",
        ExitCode.BUSY: "a lock is held, or another change was faster: nothing changed",
        ExitCode.NOT_FOUND: "not found, or cannot be checked",
        ExitCode.INCOMPLETE: "done, but the health report or the delta log is missing: do not repeat the command",
    }
)
_PRECEDENCE: Final = (1, 2, 6, 3, 7, 5, 8, 4)


def combine_exit_codes(codes: Iterable[int]) -> int:
    """Return the exit code if several apply: the first of 1, 2, 6, 3, 7, 5, 8, 4, else 0. Other codes are ignored."""
    applicable = set(codes)
    return next((code for code in _PRECEDENCE if code in applicable), int(ExitCode.FINE))


def exit_code_of(findings: Iterable[Finding]) -> int:
    """Return the exit code of findings: 3 with an error, 7 if each error says that a check was impossible, else 0."""
    errors = {finding.code for finding in findings if finding.severity is Severity.ERROR}
    if errors - COULD_NOT_CHECK:
        return ExitCode.INVALID_EVIDENCE
    return ExitCode.NOT_FOUND if errors else ExitCode.FINE


FAIL_ON_REASONS: Final = ("drift", "stale", "coverage", "warning")
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def fail_on_option(command: _Decorated) -> _Decorated:
    """Add `--fail-on` to a command, as the argument `fail_on`: a frozen set of reasons."""
    about = f"Exit 4 on any of {','.join(FAIL_ON_REASONS)}."
    return click.option("--fail-on", metavar="LIST", callback=_parse_reasons, help=about)(command)


def _parse_reasons(ctx: click.Context, param: click.Parameter, value: str | None) -> frozenset[str]:
    """Return the comma-separated reasons, none for None; raise BadParameter for an unknown or empty one."""
    names = [] if value is None else [name.strip() for name in value.split(",")]
    unknown = [name for name in names if name not in FAIL_ON_REASONS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(FAIL_ON_REASONS)}", ctx, param)
    return frozenset(names)


def matches_fail_on(
    reasons: frozenset[str],
    findings: Iterable[Finding],
    operations: OperationCounts | None = None,
    drift: SystemDrift | None = None,
) -> bool:
    """Return whether a reason applies; unknown counts (None) never do. `drift` is of operations or of the system."""
    counts = {
        "drift": 0 if operations is None else operations.drifting,
        "stale": 0 if operations is None else operations.stale,
        "coverage": 0 if operations is None else operations.coverage_below_c3,
        "warning": sum(f.severity is Severity.WARNING for f in findings),
    }
    system = drift is not None and True in (drift.canon_dirty, drift.schema_drift, drift.threshold_drift)
    return any(counts[reason] for reason in reasons) or ("drift" in reasons and system)
