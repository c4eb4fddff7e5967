"""The commands of `roles`: check and extend the role pack; rules belong in `registries.roles`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from registry_pipeline.cli.exit_codes import (
    ExitCode,
    check_conditions,
    combine_exit_codes,
    exit_code_of,
    fail_on_option,
    has_failed,
)
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import count_findings, plural
from registry_pipeline.registries.roles.service import (
    BumpResult,
    RolesCheckOptions,
    RolesCheckResult,
    bump_contract,
    check_roles,
    read_diagnostics_and_events,
    record_check_result,
)
from registry_pipeline.registries.roles.snapshot import RoleContractKind


@command(
    "check",
    ("roles check", "the pack in the working tree against main"),
    ("roles check --staged", "the content of the next commit, for a pre-commit hook"),
    ("roles check --baseline active --json", "against the active snapshot, as one document"),
    ("roles check --history --fail-on warning", "against every commit that published the pack; warnings fail too"),
    ("roles check --format github", "as workflow annotations; after ten of a level the rest is counted"),
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
@fail_on_option("warning")
def check_command(
    reporter: Reporter,
    /,
    *,
    current: Path | None,
    baseline: str | None,
    history: bool,
    staged: bool,
    fail_on: tuple[str, ...],
) -> int:
    """Check the role pack against its published versions.

    No published role_id or contract_id may be removed, and no contract surface may change under its contract_id. The
    baseline is the pack on `main`, else on `origin/main`; on main's own commit it is that of the first parent. A
    defect that the baseline has too is a warning. Exits 3 on any violation, 7 if the pack could not be checked.
    """
    if staged and current is not None:
        raise click.UsageError("--staged checks the index and --current a file: use one of them")
    repository = find_repository(reporter.settings.repo)
    # Git names the index of the commit to a hook.
    index_file = os.environ.get("GIT_INDEX_FILE") if staged else None
    options = RolesCheckOptions(current, baseline, history, staged, index_file)
    result = check_roles(repository, options, reporter.settings.now)
    note = record_check_result(repository, result, reporter.settings.now)
    conditions = check_conditions(fail_on, result.findings)
    reporter.print_result(
        result.to_json(),
        result.findings,
        lambda page: _print_check(page, result),
        conditions=conditions,
        checked={result.pack: ""},
    )
    if note is not None:
        reporter.note(note)
    return combine_exit_codes([exit_code_of(result.findings), ExitCode.FAIL_ON * has_failed(conditions)])


def _print_check(page: Page, result: RolesCheckResult) -> None:
    page.findings(result.findings)
    for violation in result.waived:
        subject = ", ".join(violation.ids) or violation.finding.path
        page.line(f"waived    {violation.finding.code} {subject}", style="dim")
    counts = count_findings(result.findings)
    verdict = result.verdict if result.verdict in ("pass", "warn") else result.verdict.upper()
    compared = f"against {result.baseline}" if result.baseline is not None else "with nothing to compare with"
    past = f" and {plural(result.commits, 'commit')} of its history" if result.commits else ""
    retired = 0 if result.active is None else result.active.retired.count
    past += f" and {plural(retired, 'retired id')}" if retired else ""
    page.line(
        f"{verdict}: {result.pack}: "
        f"{plural(result.roles, 'role')}, {plural(result.contracts, 'contract')} {compared}{past}; "
        f"{plural(counts['errors'], 'error')}, {plural(counts['warnings'], 'warning')}",
        style={"pass": "bold green", "warn": "bold yellow"}.get(result.verdict, "bold red"),
    )


@command(
    "diagnostics",
    ("roles diagnostics", "every violation that was found, the last seen first"),
    ("roles diagnostics --events --json", "with the events that reported them"),
)
@click.option("--events", is_flag=True, help="List the events (FR-EVT-003), too.")
@click.option("--limit", type=click.IntRange(min=1), help="List at most this many of each.")
def diagnostics_command(reporter: Reporter, /, *, events: bool, limit: int | None) -> int:
    """List the violations that checks of the role pack found.

    Every violation is recorded once, in a DuckDB file beside the run folders, and counted each time it is found again.
    The file is not evidence: it may be moved away at any time. Exits 6 while another process writes it, 7 if it cannot
    be read.
    """
    diagnostics, event_rows = read_diagnostics_and_events(find_repository(reporter.settings.repo), events=events)
    diagnostics, event_rows = diagnostics[:limit], event_rows[:limit]
    document = {"diagnostics": diagnostics, "events": event_rows, "count": len(diagnostics), "findings": []}
    reporter.print_result(document, (), lambda page: _print_diagnostics(page, diagnostics, event_rows, events=events))
    return 0


def _print_diagnostics(page: Page, diagnostics: list[Any], event_rows: list[Any], *, events: bool) -> None:
    if not diagnostics:
        page.line("no violation was found yet")
        return
    columns = ("last seen", "count", "severity", "status", "code", "message")
    keys = [column.replace(" ", "_") for column in columns]
    rows = [[str(row[key]) for key in keys] for row in diagnostics]
    page.table([Column(name, right=name == "count", below=name == "message") for name in columns], rows)
    if events:
        page.line()
        event_cells = [
            (event["recorded_utc"], event["event_code"], event["payload"]["diagnostic_id"], event["job_id"] or "-")
            for event in event_rows
        ]
        page.table([Column(name) for name in ("recorded", "event", "diagnostic", "run")], event_cells)


@command(
    "bump",
    ("roles bump chart_designer C --dry-run", "show what would be added, and where"),
    ("roles bump chart_designer C", "add the next version of what the role produces"),
)
@click.argument("role_id", metavar="ROLE")
@click.argument("kind", metavar="X|C", type=click.Choice([kind.value for kind in RoleContractKind]))
@click.option("--dry-run", is_flag=True, help="Show what would be added, and write nothing.")
def bump_command(reporter: Reporter, /, *, role_id: str, kind: str, dry_run: bool) -> int:
    """Add the next version of a role's contract to the role pack.

    X is what the role extracts, C what it produces. The new contract is a copy of the previous one, which stays; no
    other line of the file changes. Change its schema_json, then run `roles check`.
    """
    repository = find_repository(reporter.settings.repo)
    result = bump_contract(repository, role_id, RoleContractKind(kind), write=not dry_run)
    document = {
        "contract_id": result.added.contract_id,
        "after": result.added.after,
        "pack": result.pack,
        "changed_files": [result.pack] if result.written else [],
        "findings": [],
    }
    reporter.print_result(document, (), lambda page: _print_bump(page, result))
    return 0


def _print_bump(page: Page, result: BumpResult) -> None:
    after = f" after {result.added.after}" if result.added.after is not None else ""
    page.line(f"{'added' if result.written else 'would add'} {result.added.contract_id}{after} in {result.pack}")
    if result.written:
        page.line("next: change its schema_json, then registry-pipeline roles check", style="dim")
