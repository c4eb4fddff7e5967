"""`status`: show the active runs, whether they verify, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import short
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of, fail_on_option, matches_fail_on
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.pipeline.status import Status, read_status
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.values import asdict

_HEALTH_STYLES: Final = {"HEALTHY": "bold green", "DEGRADED_NON_BLOCKING": "bold yellow", "UNKNOWN": "bold yellow"}


@command(
    "status",
    ("status", "the state of the nearest repository"),
    ("-C ../other status --json", "another repository's, as JSON"),
    ("status --fail-on drift,stale", "exit 4 if an operation drifts or is stale"),
)
@fail_on_option
def status_command(reporter: Reporter, fail_on: frozenset[str]) -> int:
    """Show active runs, whether they verify, and what to do next.

    For each registry: its active run, the state of its seal and schema, its age, and why the newest run is not the
    active one. Verifies the active runs and the activation chain; every other run is counted by its seal files. Exits
    3 if an active run, the pointer file, the chain or the role pack is invalid, or evidence of the commit at HEAD is
    missing; 7 where git cannot read the repository, or the role pack could not be checked.
    """
    status = read_status(find_repository(reporter.settings.repo), reporter.settings.now)
    reporter.print_result(status.to_json(), status.findings, lambda page: _print_status(page, status))
    operations, drift = status.inspection.operations, status.inspection.drift
    asked_to_fail = matches_fail_on(fail_on, status.findings, operations, drift)
    return combine_exit_codes([exit_code_of(status.findings), ExitCode.FAIL_ON * asked_to_fail])


def _print_status(page: Page, status: Status) -> None:
    commit = "no git commit" if status.git.commit is None else f"commit {short(status.git.commit)}"
    page.line(f"{status.root}  ({commit}, tree {status.git.working_tree_state or 'unknown'})")
    health = status.inspection.health
    page.line(health.state, style=_HEALTH_STYLES.get(health.state, "bold red"))
    for condition in health.conditions:
        page.line(f"  {condition.reason}")
    page.line()
    columns = [Column("registry"), Column("seal"), Column("schema"), Column("age", right=True)]
    page.table([*columns, Column("active run", below=True)], (_format_row(r) for r in status.registries if r["in_use"]))
    unused = [registry["registry_id"] for registry in status.registries if not registry["in_use"]]
    if unused:
        page.line(f"not in use  {', '.join(unused)}", style="dim")
    _print_newest_inactive(page, status)
    _print_counts(page, status)
    if status.findings:
        page.line()
    page.findings(status.findings)


def _format_row(registry: Mapping[str, Any]) -> list[str]:
    age = "-" if registry["age_days"] is None else f"{registry['age_days']} d"
    checks = [registry["seal"] or "-", registry["schema"] or "-"]
    return [registry["registry_id"], *checks, age, _format_active_run(registry)]


def _format_active_run(registry: Mapping[str, Any]) -> str:
    """Return the id of the active run, or why there is none; without a pointer also the newest run."""
    if registry["active"] is not None:
        run_id: str = registry["active"]["run_id"]
        return run_id
    if _can_be_active(registry):
        return "(nothing is active)"
    reason = "(external)" if registry["kind"] == "external" else "(no pointer)"
    return reason if registry["newest_run_id"] is None else f"{reason} newest {registry['newest_run_id']}"


def _can_be_active(registry: Mapping[str, Any]) -> bool:
    return can_be_active(REGISTRIES[registry["registry_id"]])


def _print_newest_inactive(page: Page, status: Status) -> None:
    inactive = [r for r in status.registries if r["newest_not_active_because"] and _can_be_active(r)]
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
    page.line(f"runs        {listing.total}: {by_seal} (not verified here)")
    if len(listing.by_root) > 1:
        page.line(f"            {', '.join(f'{root} {len(folders)}' for root, folders in listing.by_root.items())}")
