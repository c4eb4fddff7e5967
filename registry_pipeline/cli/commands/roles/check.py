"""`roles check`: the role pack against what was published of it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from registry_pipeline.cli.exit_codes import REASONS, ExitCode, code_of, combined, fail_on_option, holds
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.roles.record_violations import record_violations
from registry_pipeline.registries.roles.service import RolesCheckOptions, RolesCheckResult, check_roles

_FOLD_AFTER = 10
_INDEX_VARIABLE = "GIT_INDEX_FILE"


@click.command(
    "check",
    cls=Command,
    examples=[
        ("roles check", "the pack on the disk against main"),
        ("roles check --staged", "what the next commit will hold, as a pre-commit hook asks"),
        ("roles check --baseline active --json", "against the active snapshot, as one document"),
        ("roles check --history --fail-on warning", "against every commit that published the pack; warnings fail too"),
        ("roles check --format github", "as annotations of a workflow, folded past ten"),
    ],
)
@click.option(
    "--current",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Another file than the configured pack; its baseline stays the pack's.",
)
@click.option(
    "--baseline", metavar="main|REF|FILE|active", help="What to compare with; default: `baseline` of [roles], `main`."
)
@click.option("--history", is_flag=True, help="Compare with every commit that published the pack, too.")
@click.option("--staged", is_flag=True, help="Judge the pack in the index instead of the one on the disk.")
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
    """Check the role pack against what was published of it.

    No published role_id or contract_id may go away, and no contract surface may change under its contract_id. The
    baseline is the pack on `main`, else on `origin/main`; on the very commit of main it is the first parent's. A
    defect that the baseline has, too, is a warning. Exits 3 on any violation, 7 where it could not be checked.
    """
    if staged and current is not None:
        raise click.UsageError("--staged judges the index and --current a file: say one of them")
    if fail_on - {"warning"}:
        asked = ", ".join(sorted(fail_on - {"warning"}, key=REASONS.index))
        raise click.UsageError(f"--fail-on {asked} is of runs: a role pack can fail on warning only")
    repository = find_repository(reporter.settings.repo)
    asked_for = RolesCheckOptions(
        current, baseline, history, staged, os.environ.get(_INDEX_VARIABLE) if staged else None
    )
    told = check_roles(repository, asked_for, reporter.settings.now)
    note = record_violations(repository, told.violations, told.waived, reporter.settings.now, tool="roles check")
    reporter.answer(told.to_json(), told.findings, lambda page: _tell(page, told), fold_after=_FOLD_AFTER)
    if note is not None:
        reporter.note(note)
    return combined([code_of(told.findings), ExitCode.ASKED_TO_FAIL * holds(fail_on, told.findings)])


def _tell(page: Page, told: RolesCheckResult) -> None:
    """Write every violation, what was waived, and the sum."""
    page.findings(told.findings)
    for each in told.waived:
        page.line(f"waived    {each.finding.code} {', '.join(each.ids) or each.finding.path}", style="dim")
    counts = told.to_json()["counts"]
    compared = f"against {told.baseline}" if told.baseline is not None else "with nothing to compare with"
    past = f" and {_counted(told.commits, 'commit')} of its history" if told.commits else ""
    page.line(
        f"{told.verdict if told.verdict in ('pass', 'warn') else told.verdict.upper()}: {told.pack}: "
        f"{_counted(told.roles, 'role')}, {_counted(told.contracts, 'contract')} {compared}{past}; "
        f"{_counted(counts['errors'], 'error')}, {_counted(counts['warnings'], 'warning')}",
        style={"pass": "bold green", "warn": "bold yellow"}.get(told.verdict, "bold red"),
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
