"""`status`: what is active, whether it holds, and what to do next (SPEC 7)."""

from __future__ import annotations

from typing import Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined, fail_on_option, holds
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.pipeline.status import read_status
from registry_pipeline.pipeline.status_document import RegistryStatus, StatusDocument, StatusFacts
from registry_pipeline.values import asdict

_HEALTH_STYLES: Final = {"HEALTHY": "bold green", "DEGRADED_NON_BLOCKING": "bold yellow", "UNKNOWN": "bold yellow"}


@click.command(
    "status",
    cls=Command,
    examples=[
        ("status", "the state of the nearest governed repository"),
        ("-C ../other status --json", "another one's, as a document"),
        ("status --fail-on drift,stale", "exit 4 if an operation drifts or is stale"),
    ],
)
@fail_on_option
@click.pass_obj
def command(reporter: Reporter, fail_on: frozenset[str]) -> int:
    """Tell what is active, whether it holds, and what to do next.

    For each registry: its active run, the state of its seal and schema, its age, and why the newest run is not the
    active one. Reads the bytes of active runs and of the activation chain; every other run is counted by its seal
    files. Exits 3 if an active run, the pointer file, the chain or the role pack is invalid, or evidence of the commit
    at HEAD is missing; 7 where git cannot read the repository, or the role pack could not be checked.
    """
    told = read_status(find_repository(reporter.settings.repo), reporter.settings.now)
    facts = told.facts
    reporter.answer(told.to_json(), facts.findings, lambda page: _tell(page, told))
    failing = holds(fail_on, facts.findings, facts.operations, facts.drift)
    return combined([code_of(facts.findings), ExitCode.ASKED_TO_FAIL * failing])


def _tell(page: Page, told: StatusDocument) -> None:
    facts = told.facts
    commit = "no git commit" if facts.git.commit is None else f"commit {short(facts.git.commit)}"
    page.line(f"{facts.root}  ({commit}, tree {facts.git.working_tree_state or 'unknown'})")
    page.line(facts.health.state, style=_HEALTH_STYLES.get(facts.health.state, "bold red"))
    for condition in facts.health.conditions:
        page.line(f"  {condition.reason}")
    page.line()
    columns = [Column("registry"), Column("seal"), Column("schema"), Column("age", right=True)]
    page.table([*columns, Column("active run", below=True)], (_row(each) for each in told.registries))
    _tell_waiting(page, told)
    _tell_counts(page, facts)
    if facts.findings:
        page.line()
    page.findings(facts.findings)


def _row(each: RegistryStatus) -> list[str]:
    age = "-" if each.age_days is None else f"{each.age_days} d"
    return [each.registry_id, each.seal or "-", each.schema or "-", age, _active(each)]


def _active(each: RegistryStatus) -> str:
    if each.active is not None:
        return each.active.ref.run_id
    if each.pointer:
        return "(nothing is active)"
    never = "(external)" if each.kind == "external" else "(no pointer)"
    return never if each.newest_run_id is None else f"{never} newest {each.newest_run_id}"


def _tell_waiting(page: Page, told: StatusDocument) -> None:
    waiting = [e for e in told.registries if e.newest_not_active is not None and e.pointer]
    if waiting:
        page.line()
        page.line("newest, and not active", style="bold")
    for each in waiting:
        reason = each.newest_not_active
        if reason is not None:
            page.line(f"  {each.newest_run_id}")
            page.line(f"    {reason.because}")
            page.line(f"    -> {reason.next_command}")


def _tell_counts(page: Page, facts: StatusFacts) -> None:
    page.line()
    counts = facts.operations
    if counts is None:
        page.line("operations  unknown: no op_status_table is active -> registry-pipeline build")
    else:
        told = (f"{count} {name.replace('_', ' ')}" for name, count in asdict(counts).items() if name != "total")
        page.line(f"operations  {counts.total}: {', '.join(told)}")
    by_seal = ", ".join(f"{count} {state}" for state, count in facts.listing.count_by_seal().items())
    by_root = ", ".join(f"{root} {len(folders)}" for root, folders in facts.listing.by_root.items())
    page.line(f"runs        {facts.listing.total}: {by_seal} (not verified here)")
    if len(facts.listing.by_root) > 1:
        page.line(f"            {by_root}")
