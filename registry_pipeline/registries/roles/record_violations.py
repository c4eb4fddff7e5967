"""What happens to violations of the role pack once they are found: waived, or remembered (SPEC 9)."""

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
    """Return the finding that says why something could not be checked."""
    return could_not_check(path, f"{error.message}; {error.advice}" if error.advice else error.message)


def apply_pack_waivers(
    repository: Repository, violations: tuple[Violation, ...], now: datetime, *, default_path: bool
) -> tuple[tuple[Violation, ...], tuple[Violation, ...]]:
    """Return what remains after the repository's waivers, and what they take out.

    A waiver is written for the comparison that everybody makes; in another one, not `default_path`, it may be without use.
    """
    try:
        data = read_waivers_file(repository)
    except NotFoundError as error:
        return sorted_violations(violations, (not_checked(WAIVERS_PATH, error),)), ()
    if data is None:
        return violations, ()
    done = apply_waivers(violations, parse_waivers(data, WAIVERS_PATH), now.date())
    kept = tuple(each for each in done.violations if default_path or each.finding.code != _UNUSED_WAIVER)
    return kept, done.waived


def record_violations(
    repository: Repository,
    violations: Iterable[Violation],
    waived: Iterable[Violation],
    now: datetime,
    *,
    tool: str,
    job_id: str | None = None,
) -> str | None:
    """Remember errors and warnings in the diagnostics store; return why that was not possible, None if it was.

    The store is no evidence: whatever is wrong with it changes no verdict. `job_id` is the Dagster run, if any.
    """
    stated = [(each, "open") for each in violations] + [(each, "waived") for each in waived]
    told = [
        _diagnostic(each, status, tool, job_id) for each, status in stated if each.finding.severity is not Severity.INFO
    ]
    try:
        refuse_outside(repository.state_root / STORE_NAME, repository.root)
        record_diagnostics(repository.state_root / STORE_NAME, told, now)
    except (BusyError, NotFoundError, RefusedError, WriteError) as error:
        return f"not recorded in the diagnostics: {error.message} -> {error.advice}"
    return None


def _diagnostic(violation: Violation, status: str, tool: str, job_id: str | None) -> Diagnostic:
    found = violation.finding
    place = found.path if found.location is None else f"{found.path}:{found.location}"
    return Diagnostic(
        fingerprint=violation.fingerprint,
        message=found.message,
        severity=found.severity.value,
        surface=found.path,
        tool=tool,
        code=found.code,
        tags=violation.ids,
        job_id=job_id,
        locations=(place, *(() if violation.baseline_location is None else (violation.baseline_location,))),
        status=status,
    )
