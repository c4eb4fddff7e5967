"""The repository's waivers applied to violations, and violations recorded in the diagnostics store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from registry_pipeline.capture_table import WAIVERS_PATH
from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError, EvidenceError, NotFoundError, RefusedError, WriteError
from registry_pipeline.files.lock import refuse_outside
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.check import could_not_check
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, Diagnostic, record_diagnostics
from registry_pipeline.registries.roles.read import read_waivers_file
from registry_pipeline.registries.roles.report import Violation, sorted_violations
from registry_pipeline.registries.roles.waivers import apply_waivers, parse_waivers

NOT_CHECKED: Final = "RR030"
FIRST_PUBLISH: Final = "RR031"
_UNUSED_WAIVER: Final = "RR032"


def not_checked(path: str, error: NotFoundError | EvidenceError) -> Violation:
    """Return RR030 with the reason of an error."""
    return could_not_check(path, f"{error.message}; {error.advice}" if error.advice else error.message)


def apply_pack_waivers(
    repository: Repository, violations: tuple[Violation, ...], now: datetime, *, is_usual: bool
) -> tuple[tuple[Violation, ...], tuple[Violation, ...]]:
    """Return the violations that remain after the repository's waivers, and the waived ones.

    Waivers are written for the usual comparison. In another one (not `is_usual`) an unused waiver is not reported.
    """
    try:
        data = read_waivers_file(repository)
    except NotFoundError as error:
        return sorted_violations(violations, (not_checked(WAIVERS_PATH, error),)), ()
    if data is None:
        return violations, ()
    result = apply_waivers(violations, parse_waivers(data, WAIVERS_PATH), now.date())
    remaining = (violation for violation in result.violations if is_usual or violation.finding.code != _UNUSED_WAIVER)
    return tuple(remaining), result.waived


def record_violations(
    repository: Repository,
    violations: Iterable[Violation],
    waived: Iterable[Violation],
    now: datetime,
    *,
    tool: str,
    job_id: str | None = None,
) -> str | None:
    """Record errors and warnings in the diagnostics store; return the reason if that failed, else None.

    The store is not evidence: a failure changes no verdict. `job_id` is the Dagster run, if any.
    """
    store = repository.state_root / STORE_NAME
    diagnostics = [
        _make_diagnostic(violation, status, tool, job_id)
        for status, group in (("open", violations), ("waived", waived))
        for violation in group
        if violation.finding.severity is not Severity.INFO
    ]
    try:
        refuse_outside(store, repository.root)
        record_diagnostics(store, diagnostics, now)
    except (BusyError, NotFoundError, RefusedError, WriteError) as error:
        return f"not recorded in the diagnostics: {error.message} -> {error.advice}"
    return None


def _make_diagnostic(violation: Violation, status: str, tool: str, job_id: str | None) -> Diagnostic:
    located = violation.finding
    location = located.path if located.location is None else f"{located.path}:{located.location}"
    return Diagnostic(
        fingerprint=violation.fingerprint,
        message=located.message,
        severity=located.severity.value,
        surface=located.path,
        tool=tool,
        code=located.code,
        tags=violation.ids,
        job_id=job_id,
        locations=(location, *(() if violation.baseline_location is None else (violation.baseline_location,))),
        status=status,
    )
