"""How the checks of the two logs are told."""

from __future__ import annotations

from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined
from registry_pipeline.cli.fail_on import holds
from registry_pipeline.cli.records import counted, counts_of, verdict_of
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.model.finding import has_errors
from registry_pipeline.runbook.run_index import LogChecked


def tell_checked(reporter: Reporter, checked: LogChecked, about: tuple[str, str], fail_on: frozenset[str]) -> int:
    """Print what a check found; `about` is what the log is about, and its name. Return the exit code."""
    noun, shown = about
    sizes = {"lines": checked.lines, "records": checked.records, f"{noun}s": checked.subjects}
    document = {
        "verdict": verdict_of(checked.findings),
        "findings": [each.to_json() for each in checked.findings],
        "counts": sizes | counts_of(checked.findings),
        "changed_files": [],
    }

    def tell(page: Page) -> None:
        page.findings(checked.findings)
        counts = counts_of(checked.findings)
        passed = not has_errors(checked.findings)
        told = f"{counted(checked.records, 'record')} of {counted(checked.subjects, noun)} in {shown}"
        weights = f"{counted(counts['errors'], 'error')}, {counted(counts['warnings'], 'warning')}"
        page.line(f"{'pass' if passed else 'FAIL'}: {told}; {weights}", style="bold green" if passed else "bold red")

    reporter.answer(document, checked.findings, tell)
    failing = holds(fail_on, checked.findings)
    return combined([code_of(checked.findings), ExitCode.ASKED_TO_FAIL * failing])
