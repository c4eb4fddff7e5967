"""Print the result of commands that change or check registry entries."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.files.transaction import Recovery
from registry_pipeline.findings.finding import Finding, Severity, count_findings
from registry_pipeline.registries.entries.service import WriteResult

SCHEMA_VERSION: Final = "0.2"
"""Of the documents of `entries add`, `remove` and `check`. Since 0.2 `counts` has `infos` instead of `recorded`."""


def verdict_of(findings: Iterable[Finding]) -> str:
    """Return `fail`, `warn` or `pass`, by the most severe finding."""
    severities = {finding.severity for finding in findings}
    return "fail" if Severity.ERROR in severities else "warn" if Severity.WARNING in severities else "pass"


def recovery_to_json(recovery: Recovery | None) -> Any:
    """Return the recovery of an interrupted change as JSON."""
    return None if recovery is None else {"outcome": recovery.outcome, "files": list(recovery.paths)}


def print_recovery(page: Page, recovery: Recovery | None) -> None:
    """Print the recovery of an interrupted change."""
    if recovery is not None:
        page.line(f"an interrupted change was {recovery.outcome}: {', '.join(recovery.paths)}", style="yellow")


def print_write_result(reporter: Reporter, result: WriteResult, *, diff: bool, dry_run: bool) -> int:
    """Print what a change did, or would do; return the exit code."""
    change = result.change
    paths = [] if change.refused else list(change.files)
    diff_text = "".join(_diff(path, *change.files[path]) for path in change.files) if diff else None
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict_of(change.findings),
        "findings": [finding.to_json() for finding in change.findings],
        "counts": count_findings(change.findings) | dict(change.counts),
        "changed_files": paths if result.written else [],
        "would_change": paths if dry_run else [],
        "dry_run": dry_run,
        "settled": recovery_to_json(result.settled),
        "diff": diff_text,
    }

    def print_text(page: Page) -> None:
        print_recovery(page, result.settled)
        page.findings(change.findings)
        for line in (diff_text or "").splitlines():
            page.line(line)
        verb = "would change" if dry_run else "changed"
        summary = f"{verb}: {', '.join(paths)}" if paths else "nothing to change"
        if change.refused:
            page.line("refused: nothing changed", style="bold red")
        else:
            page.line(summary)

    reporter.print_result(document, change.findings, print_text)
    return ExitCode.REFUSED if change.refused else ExitCode.FINE


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    old, new = ((data or b"").decode("utf-8").splitlines(keepends=True) for data in (before, after))
    names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    # `git apply` needs the note about a missing newline.
    lines = difflib.unified_diff(old, new, *names)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
