"""`entries check`: check every entry against its schema and against the other registries."""

from __future__ import annotations

import click

from registry_pipeline.cli.entry_output import SCHEMA_VERSION, print_recovery, recovery_to_json, verdict_of
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of, fail_on_option, matches_fail_on
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import Severity, count_findings
from registry_pipeline.registries.entries.service import check_entries


@click.command(
    "check",
    cls=Command,
    examples=[
        ("entries check", "failures and warnings"),
        ("entries check --all --json", "also what is only recorded, as JSON"),
        ("entries check --fail-on warning", "exit 4 if there is a warning"),
    ],
)
@click.option("--all", "show_all", is_flag=True, help="Show also what is only recorded (EN032).")
@fail_on_option
@click.pass_obj
def command(reporter: Reporter, show_all: bool, fail_on: frozenset[str]) -> int:
    """Check all registry entries.

    Checks the schema of each entry, the rules between the registries, active overrides (EN090), and whether the
    generated documents are current (EN070). Exits 3 on any failure, or if a file of entries in the commit at HEAD is
    missing; exits 7 if git cannot read the repository. An interrupted change is finished or undone first.
    """
    repository = find_repository(reporter.settings.repo)
    library, findings, recovery = check_entries(repository)
    shown = [finding for finding in findings if show_all or finding.severity is not Severity.INFO]
    counts = count_findings(findings) | {"entries": len(library.entries), "files": len(library.files)}
    verdict = verdict_of(findings)
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "findings": [finding.to_json() for finding in shown],
        "counts": counts,
        "settled": recovery_to_json(recovery),
    }
    summary = (
        f"{verdict}: {counts['entries']} entries in {counts['files']} files; {counts['errors']} failures, "
        f"{counts['warnings']} warnings, {counts['infos']} recorded only"
    )

    def print_text(page: Page) -> None:
        print_recovery(page, recovery)
        page.findings(shown)
        page.line(summary, style="bold red" if verdict == "fail" else "bold green")

    reporter.print_result(document, shown, print_text)
    return combine_exit_codes([exit_code_of(findings), ExitCode.FAIL_ON * matches_fail_on(fail_on, findings)])
