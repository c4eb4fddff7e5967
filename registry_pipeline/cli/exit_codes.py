"""The exit codes, the rule for several at once, and the option `--fail-on`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

import click

from registry_pipeline.findings.codes import COULD_NOT_CHECK
from registry_pipeline.findings.finding import Finding, Severity, plural
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift
from registry_pipeline.values import asdict, value_type


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


FAIL_ON_CONDITIONS: Final = ("drift", "stale", "coverage", "warning")
_DRIFTS: Final = {
    "canon_dirty": "the working tree was dirty",
    "schema_drift": "the schema version drifts",
    "threshold_drift": "the threshold version drifts",
}
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@value_type
class ConditionResult:
    """The result of one condition of `--fail-on`, and the reason; only `failed` makes a command exit 4."""

    condition: str
    result: Literal["failed", "passed", "unknown"]
    reason: str


def fail_on_option(*conditions: str, about: str = "") -> Callable[[_Decorated], _Decorated]:
    """Return a decorator that adds `--fail-on` to a command, as the argument `fail_on`: conditions without repeats.

    `conditions` are those that the command can check, and `about` is more of the help text.
    """
    by_name = {condition.lower(): condition for condition in conditions}

    def parse(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
        names = [] if value is None else [name.strip() for name in value.split(",")]
        for name in names:
            if name.lower() not in by_name:
                raise click.BadParameter(f"{name!r} is none of {', '.join(conditions)}", ctx, param)
        return tuple(dict.fromkeys(by_name[name.lower()] for name in names))

    help_text = f"Exit 4 on any of {', '.join(conditions)}{about}; LIST is separated by commas."
    return click.option("--fail-on", metavar="LIST", callback=parse, help=help_text)


def check_conditions(
    conditions: Iterable[str],
    findings: Iterable[Finding],
    operations: OperationCounts | None = None,
    drift: SystemDrift | None = None,
) -> tuple[ConditionResult, ...]:
    """Return the results of the conditions among `FAIL_ON_CONDITIONS`; what is None is unknown, and fails nothing."""
    checks = {
        "drift": lambda: _check_drift(operations, drift),
        "stale": lambda: _count_operations("stale", operations, "stale", "are stale"),
        "coverage": lambda: _count_operations("coverage", operations, "coverage_below_c3", "are covered below C3"),
        "warning": lambda: _check_warnings(findings),
    }
    return tuple(checks[condition]() for condition in conditions if condition in checks)


def has_failed(conditions: Iterable[ConditionResult]) -> bool:
    """Return whether a condition failed."""
    return any(condition.result == "failed" for condition in conditions)


def _check_warnings(findings: Iterable[Finding]) -> ConditionResult:
    number = sum(finding.severity is Severity.WARNING for finding in findings)
    return ConditionResult("warning", "failed" if number else "passed", plural(number, "warning"))


def _count_operations(
    condition: str, operations: OperationCounts | None, name: str, description: str
) -> ConditionResult:
    if operations is None:
        return ConditionResult(condition, "unknown", "no op_status_table is active")
    number: int = asdict(operations)[name]
    reason = f"{number} of {operations.total} operations {description}"
    return ConditionResult(condition, "failed" if number else "passed", reason)


def _check_drift(operations: OperationCounts | None, drift: SystemDrift | None) -> ConditionResult:
    counted = _count_operations("drift", operations, "drifting", "drift")
    failed, unknown = ([counted.reason] * (counted.result == result) for result in ("failed", "unknown"))
    if drift is None:
        unknown.append("no drift_signals are active")
    for name, flag in ({} if drift is None else asdict(drift)).items():
        if flag is None:
            unknown.append(f"it is not known whether {_DRIFTS[name]}")
        elif flag:
            failed.append(_DRIFTS[name])
    if failed:
        return ConditionResult("drift", "failed", "; ".join(failed))
    return ConditionResult("drift", "unknown", "; ".join(unknown)) if unknown else counted
