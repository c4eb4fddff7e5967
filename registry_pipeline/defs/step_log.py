"""The lines that the steps write into the log of their Dagster run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.runs.sealed_run import SealedRun, Verdict

_LEVELS: Final = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.INFO: logging.INFO}
_MAX_FINDINGS: Final = 3
# Readers report every 256 folders; a scan of 100,000 folders gets a dozen lines.
_FOLDERS_PER_LINE: Final = 8192


def format_run(sealed: SealedRun | None) -> str:
    """Return the folder and the root hash of a sealed run."""
    return "no run" if sealed is None else printable(f"{sealed.ref.path}, root {sealed.ref.manifest_sha256}")


def format_finding(finding: Finding) -> str:
    """Return a finding with its next step on one line."""
    return printable(f"{finding.code}: {finding.path}: {finding.full_message}. Next: {finding.hint}")


def log_findings(log: logging.Logger, findings: Sequence[Finding]) -> None:
    """Log the first three findings, errors before warnings, each by its severity, and the number of the others."""
    ordered = sorted(findings, key=lambda finding: -_LEVELS[finding.severity])
    for finding in ordered[:_MAX_FINDINGS]:
        log.log(_LEVELS[finding.severity], format_finding(finding))
    if len(ordered) > _MAX_FINDINGS:
        log.info("%d more findings are on the page of the asset or the check", len(ordered) - _MAX_FINDINGS)


def log_verdict(log: logging.Logger, verdict: Verdict) -> None:
    """Log the result of a check of a sealed run, and its findings."""
    log.info(printable(f"checked {verdict.path}: {verdict.verdict}"))
    log_findings(log, verdict.findings)


def make_progress_logger(log: logging.Logger) -> Callable[[int], None]:
    """Return a function that is called with the number of folders read so far, and logs some of these numbers."""

    def log_progress(count: int) -> None:
        if count and count % _FOLDERS_PER_LINE == 0:
            log.info("read %d run folders so far", count)

    return log_progress
