"""`roles check`: check the role pack against its published versions."""

from __future__ import annotations

import os
from pathlib import Path

import click

from registry_pipeline.cli.exit_codes import (
    FAIL_ON_REASONS,
    ExitCode,
    combine_exit_codes,
    exit_code_of,
    fail_on_option,
    matches_fail_on,
)
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.wording import plural
from registry_pipeline.registries.roles.service import RolesCheckOptions, RolesCheckResult, check_roles, record_check

_FOLD_AFTER = 10
_INDEX_VARIABLE = "GIT_INDEX_FILE"


@click.command(
    "check",
    cls=Command,
    examples=[
        ("roles check", "the pack in the working tree against main"),
        ("roles check --staged", "the content of the next commit, for a pre-commit hook"),
        ("roles check --baseline active --json", "against the active snapshot, as one document"),
        ("roles check --history --fail-on warning", "against every commit that published the pack; warnings fail too"),
        ("roles check --format github", "as workflow annotations, summed up after ten"),
    ],
)
@click.option(
    "--current",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Check this file instead of the configured pack; the baseline stays the same.",
)
@click.option(
    "--baseline", metavar="main|REF|FILE|active", help="What to compare with; default: `baseline` of [roles], `main`."
)
@click.option("--history", is_flag=True, help="Compare with every commit that published the pack, too.")
@click.option("--staged", is_flag=True, help="Check the pack in git's index instead of the working tree.")
@fail_on_option
@click.pass_obj
def command(
    reporter: Reporter,
    /,
    *,
    current: Path | None,
    baseline: str | None,
    history: bool,
    staged: bool,
    fail_on: frozenset[str],
) -> int:
    """Check the role pack against its published versions.

    No published role_id or contract_id may be removed, and no contract surface may change under its contract_id. The
    baseline is the pack on `main`, else on `origin/main`; on main's own commit it is that of the first parent. A
    defect that the baseline has too is a warning. Exits 3 on any violation, 7 if the pack could not be checked.
    """
    if staged and current is not None:
        raise click.UsageError("--staged checks the index and --current a file: use one of them")
    if fail_on - {"warning"}:
        names = ", ".join(sorted(fail_on - {"warning"}, key=FAIL_ON_REASONS.index))
        raise click.UsageError(f"--fail-on {names} is for runs: a role pack can fail on warning only")
    repository = find_repository(reporter.settings.repo)
    index_file = os.environ.get(_INDEX_VARIABLE) if staged else None
    options = RolesCheckOptions(current, baseline, history, staged, index_file)
    result = check_roles(repository, options, reporter.settings.now)
    note = record_check(repository, result, reporter.settings.now)
    reporter.print_result(result.to_json(), result.findings, lambda page: _print(page, result), fold_after=_FOLD_AFTER)
    if note is not None:
        reporter.note(note)
    return combine_exit_codes(
        [exit_code_of(result.findings), ExitCode.FAIL_ON * matches_fail_on(fail_on, result.findings)]
    )


def _print(page: Page, result: RolesCheckResult) -> None:
    page.findings(result.findings)
    for violation in result.waived:
        subject = ", ".join(violation.ids) or violation.finding.path
        page.line(f"waived    {violation.finding.code} {subject}", style="dim")
    counts = result.to_json()["counts"]
    compared = f"against {result.baseline}" if result.baseline is not None else "with nothing to compare with"
    past = f" and {plural(result.commits, 'commit')} of its history" if result.commits else ""
    page.line(
        f"{result.verdict if result.verdict in ('pass', 'warn') else result.verdict.upper()}: {result.pack}: "
        f"{plural(result.roles, 'role')}, {plural(result.contracts, 'contract')} {compared}{past}; "
        f"{plural(counts['errors'], 'error')}, {plural(counts['warnings'], 'warning')}",
        style={"pass": "bold green", "warn": "bold yellow"}.get(result.verdict, "bold red"),
    )
