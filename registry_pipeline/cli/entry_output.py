"""How the writers of registry entries answer: findings, files, a diff, and an exit code (SPEC 6 and 10)."""

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
"""Of the documents of `entries add`, `remove` and `check`. Since 0.2 `counts` has `infos` (before: `recorded`)."""


def verdict_of(findings: Iterable[Finding]) -> str:
    """Return `fail`, `warn` or `pass`, by the heaviest finding."""
    weights = {each.severity for each in findings}
    return "fail" if Severity.ERROR in weights else "warn" if Severity.WARNING in weights else "pass"


def settled_to_json(settled: Recovery | None) -> Any:
    """Return what was settled of an interrupted change, as documents tell it."""
    return None if settled is None else {"outcome": settled.outcome, "files": list(settled.paths)}


def print_repairs(page: Page, settled: Recovery | None) -> None:
    """Write what was settled of an interrupted change."""
    if settled is not None:
        page.line(f"an interrupted change was {settled.outcome}: {', '.join(settled.paths)}", style="yellow")


def print_write_result(reporter: Reporter, written: WriteResult, *, diff: bool, dry_run: bool) -> int:
    """Tell what a change did, or would do; return the exit code."""
    change = written.change
    paths = [] if change.refused else list(change.files)
    shown = "".join(_diff(path, *change.files[path]) for path in change.files) if diff else None
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict_of(change.findings),
        "findings": [each.to_json() for each in change.findings],
        "counts": count_findings(change.findings) | dict(change.counts),
        "changed_files": paths if written.written else [],
        "would_change": paths if dry_run else [],
        "dry_run": dry_run,
        "settled": settled_to_json(written.settled),
        "diff": shown,
    }

    def tell(page: Page) -> None:
        print_repairs(page, written.settled)
        page.findings(change.findings)
        for line in (shown or "").splitlines():
            page.line(line)
        page.line(_sentence(written, paths, dry_run=dry_run), style="bold red" if change.refused else "")

    reporter.answer(document, change.findings, tell)
    return ExitCode.REFUSED if change.refused else ExitCode.FINE


def _sentence(written: WriteResult, paths: list[str], *, dry_run: bool) -> str:
    if written.change.refused:
        return "refused: nothing changed"
    if not paths:
        return "nothing to change"
    return f"{'would change' if dry_run else 'changed'}: {', '.join(paths)}"


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    old, new = ((data or b"").decode("utf-8").splitlines(keepends=True) for data in (before, after))
    names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    lines = difflib.unified_diff(old, new, *names)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
