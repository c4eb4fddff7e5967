"""`status`: show the active runs, whether they verify, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from registry_pipeline.cli.exit_codes import (
    FAIL_ON_CONDITIONS,
    ConditionResult,
    ExitCode,
    check_conditions,
    combine_exit_codes,
    exit_code_of,
    fail_on_option,
    has_failed,
)
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.cli.status_output import print_summary
from registry_pipeline.config import find_repository
from registry_pipeline.findings.display import list_some
from registry_pipeline.pipeline.status import Status, read_status
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.registries.system_health.build import SEVERITY, HealthState
from registry_pipeline.values import asdict

# The health states that `--fail-on` takes: all but the best.
_STATES: Final = SEVERITY[1:]
_HEALTH_STYLES: Final = {"HEALTHY": "bold green", "DEGRADED_NON_BLOCKING": "bold yellow", "UNKNOWN": "bold yellow"}


@command(
    "status",
    ("status", "the state of the nearest repository, on one screen"),
    ("status --all", "every registry, and every finding"),
    ("-C ../other status --json", "another repository's, as JSON"),
    ("status --fail-on drift,stale", "exit 4 if an operation drifts or is stale"),
    ("status --fail-on UNKNOWN", "exit 4 if the health state is UNKNOWN or worse"),
    ("status --format markdown", "for the summary of a GitHub job"),
)
@click.option("--all", "all_registries", is_flag=True, help="Print every registry and every finding.")
@fail_on_option(*FAIL_ON_CONDITIONS, *_STATES, about=" (a health state means that state or a worse one)")
def status_command(reporter: Reporter, all_registries: bool, fail_on: tuple[str, ...]) -> int:
    """Show active runs, whether they verify, and what to do next.

    The health state, its reasons, what changed last, and the next command, on one screen. With --all, for each
    registry: its active run, the state of its seal and schema, its age, and why the newest run is not the active one.
    Verifies the active runs and the activation chain; every other run is counted by its seal files. Exits
    3 if an active run, the pointer file, the chain or the role pack is invalid, or evidence of the commit at HEAD is
    missing; 7 where git cannot read the repository, or the role pack could not be checked.
    """
    repository = find_repository(reporter.settings.repo)
    status = read_status(repository, reporter.settings.now)
    # A summary in Markdown is no screen: it has room for every registry.
    is_whole = all_registries or reporter.settings.verbosity > 0 or reporter.settings.format == "markdown"
    print_text = _print_status if is_whole else _print_summary
    operations, drift = status.inspection.operations, status.inspection.drift
    conditions = (
        *check_conditions(fail_on, status.findings, operations, drift),
        *_check_health(fail_on, status.inspection.health),
    )
    verified = [snapshot.ref.path for snapshot in status.inspection.active.values() if snapshot.verdict is not None]
    reporter.print_result(
        status.to_json(),
        status.findings,
        lambda page: print_text(page, status),
        conditions=conditions,
        checked=dict.fromkeys([repository.config.pointers, *verified], ""),
    )
    return combine_exit_codes([exit_code_of(status.findings), ExitCode.FAIL_ON * has_failed(conditions)])


def _check_health(fail_on: Sequence[str], health: HealthState) -> Iterator[ConditionResult]:
    """Yield the result of each condition that is a health state: it fails if the state is that one or worse."""
    reasons = [condition.reason for condition in health.conditions if condition.state == health.state]
    because = f": {list_some(reasons, '; ')}" if reasons else ""
    reason = f"the health state is {health.state}{because}"
    for state in SEVERITY:
        if state in fail_on:
            is_reached = SEVERITY.index(health.state) >= SEVERITY.index(state)
            yield ConditionResult(state, "failed" if is_reached else "passed", reason)


def _print_summary(page: Page, status: Status) -> None:
    print_summary(page, status, _find_health_style(status))


def _find_health_style(status: Status) -> str:
    return _HEALTH_STYLES.get(status.inspection.health.state, "bold red")


def _print_status(page: Page, status: Status) -> None:
    page.line(status.to_heading())
    health = status.inspection.health
    page.line(health.state, style=_find_health_style(status))
    for condition in health.conditions:
        page.line(f"  {condition.reason}")
    page.line()
    columns = [Column("registry"), Column("seal"), Column("schema"), Column("age", right=True)]
    page.table(
        [*columns, Column("active run", below=True)], (_format_row(status, r) for r in status.registries if r["in_use"])
    )
    unused = [registry["registry_id"] for registry in status.registries if not registry["in_use"]]
    if unused:
        page.line(f"not in use  {', '.join(unused)}", style="dim")
    _print_newest_inactive(page, status)
    _print_counts(page, status)
    if status.findings:
        page.line()
    page.findings(status.findings)


def _format_row(status: Status, registry: Mapping[str, Any]) -> list[str]:
    age = "-" if registry["age_days"] is None else f"{registry['age_days']} d"
    checks = [registry["seal"] or "-", registry["schema"] or "-"]
    return [registry["registry_id"], *checks, age, _format_active_run(status, registry)]


def _format_active_run(status: Status, registry: Mapping[str, Any]) -> str:
    """Return the id of the active run, or why there is none; without a pointer also the newest run."""
    if registry["active"] is not None:
        run_id: str = registry["active"]["run_id"]
        return run_id
    if _can_be_active(status, registry):
        return "(nothing is active)"
    reason = "(external)" if registry["kind"] == "external" else "(no pointer)"
    return reason if registry["newest_run_id"] is None else f"{reason} newest {registry['newest_run_id']}"


def _can_be_active(status: Status, registry: Mapping[str, Any]) -> bool:
    return can_be_active(status.catalog.registries[registry["registry_id"]])


def _print_newest_inactive(page: Page, status: Status) -> None:
    inactive = [r for r in status.registries if r["newest_not_active_because"] and _can_be_active(status, r)]
    if inactive:
        page.line()
        page.line("newest, and not active", style="bold")
    for registry in inactive:
        page.line(f"  {registry['newest_run_id']}")
        page.line(f"    {registry['newest_not_active_because']}")
        page.line(f"    -> {registry['next_command']}")


def _print_counts(page: Page, status: Status) -> None:
    page.line()
    operations, listing = status.inspection.operations, status.listing
    if operations is None:
        page.line("operations  unknown: no op_status_table is active -> registry-pipeline build")
    else:
        parts = (f"{count} {name.replace('_', ' ')}" for name, count in asdict(operations).items() if name != "total")
        page.line(f"operations  {operations.total}: {', '.join(parts)}")
    by_seal = ", ".join(f"{count} {state}" for state, count in listing.count_by_seal().items())
    by_root = listing.count_by_root()
    page.line(f"runs        {sum(by_root.values())}: {by_seal} (not verified here)")
    if len(by_root) > 1:
        page.line(f"            {', '.join(f'{root} {count}' for root, count in by_root.items())}")
