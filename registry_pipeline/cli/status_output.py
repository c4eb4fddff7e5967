"""The text of `status` that fits one screen: the state, its reasons, what changed, and the next command."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from registry_pipeline.canonical import parse_utc
from registry_pipeline.cli.reporter import Page, format_finding, group_findings
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import SEVERITY_RANK, Finding, Severity, plural
from registry_pipeline.findings.line_ends import fold_line_end_damage
from registry_pipeline.pipeline.status import Status
from registry_pipeline.pointers.chain import SealedRecord
from registry_pipeline.pointers.plan import can_be_active

# A terminal of 80x24, without the line of the next prompt.
_COLUMNS: Final = 80
_ROWS: Final = 23
_MAX_CONDITIONS: Final = 3
_ACTIONS: Final = {"activate": "activated", "rollback": "rolled back", "mark_bad": "marked bad"}


def print_summary(page: Page, status: Status, style: str) -> None:
    """Print the state of a repository on at most 23 lines of 80 columns; what does not fit is counted.

    `style` is that of the health state.
    """
    if page.settings.quiet:
        page.findings(status.findings)
        return
    findings = _group_by_severity(status)
    reasons = list(_list_conditions(status))
    facts = list(_describe_facts(status))
    heading, command = status.to_heading(), find_next_command(status)
    state = status.inspection.health.state
    lines = _fit_findings(findings, _ROWS - _count_rows([heading, state, *reasons, "", *facts, command]))
    # Very long texts leave no room: the last facts are then printed with --all only.
    while _count_rows([heading, state, *reasons, *lines, "", *facts, command]) > _ROWS and len(facts) > 1:
        facts.pop()
    page.line(heading)
    page.line(state, style=style)
    for line in (*reasons, *lines, "", *facts):
        page.line(line)
    page.line(command, style="bold")


def _count_rows(lines: list[str]) -> int:
    """Return the number of rows that lines take on a terminal, which wraps long ones."""
    return sum(max(1, -(-len(printable(line)) // _COLUMNS)) for line in lines)


def _group_by_severity(status: Status) -> list[list[Finding]]:
    return sorted(
        group_findings(fold_line_end_damage(status.findings)), key=lambda group: SEVERITY_RANK[group[0].severity]
    )


def _list_conditions(status: Status) -> Iterator[str]:
    """Yield a line for each of the first conditions of the health state that is no finding."""
    heads = tuple(f"{finding.code} " for finding in status.findings)
    conditions = [c.reason for c in status.inspection.health.conditions if not c.reason.startswith(heads)]
    for reason in conditions[:_MAX_CONDITIONS]:
        # The longest one names all registries without an active run.
        is_long = len(reason) > 2 * (_COLUMNS - 2)
        yield f"  {list_some(reason.split(', '), ', ') if is_long else reason}"
    if len(conditions) > _MAX_CONDITIONS:
        yield f"  and {len(conditions) - _MAX_CONDITIONS} more (status --all)"


def _fit_findings(groups: list[list[Finding]], rows: int) -> list[str]:
    """Return a line for each code, as many as fit, and a line that counts the others."""
    lines: list[str] = []
    for number, group in enumerate(groups):
        more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
        line = f"{format_finding(group[0])}{more}"
        is_last = number == len(groups) - 1
        if lines and _count_rows([*lines, line]) > rows - (not is_last):
            rest = ", ".join(f"{group[0].code} x{len(group)}" for group in groups[number:])
            text = f"and {plural(sum(map(len, groups[number:])), 'finding')} (status --all): {rest}"
            return [*lines, text if len(text) <= _COLUMNS else f"{text[: _COLUMNS - 1]}…"]
        lines.append(line)
    return lines


def _describe_facts(status: Status) -> Iterator[str]:
    """Yield the lines about active runs, the last change, newer runs, operations and run folders."""
    yield _describe_active(status)
    yield from _describe_last_change(status)
    waiting = [r for r in status.registries if r["newest_not_active_because"] and r["next_command"]]
    if waiting:
        yield f"not active  a newer run of {list_some([r['registry_id'] for r in waiting], ', ')}"
        yield f"            {waiting[0]['registry_id']}: {waiting[0]['newest_not_active_because']}"
    operations, listing = status.inspection.operations, status.listing
    if operations is None:
        yield "operations  unknown: no op_status_table is active"
    else:
        yield (
            f"operations  {operations.total}: {operations.stale} stale, {operations.drifting} drifting, "
            f"{operations.unobserved} unobserved, {operations.coverage_below_c3} below C3"
        )
    by_seal = ", ".join(f"{count} {state}" for state, count in listing.count_by_seal().items())
    yield f"runs        {listing.total}: {by_seal} (not verified here)"


def _describe_active(status: Status) -> str:
    """Return how many registries have an active run that verifies, and which have one that does not."""
    active = [r for r in status.registries if r["active"] is not None]
    if not active:
        return "active      nothing"
    failing = [r["registry_id"] for r in active if (r["seal"], r["schema"]) != ("pass", "pass")]
    in_use = sum(r["in_use"] and can_be_active(status.catalog.registries[r["registry_id"]]) for r in status.registries)
    ages = [r["age_days"] for r in active if r["age_days"] is not None]
    oldest = f", the oldest {plural(max(ages), 'day')} old" if ages else ""
    verified = f"failing: {list_some(failing, ', ')}" if failing else f"all verify{oldest}"
    return f"active      {len(active)} of {in_use} registries in use; {verified}"


def _describe_last_change(status: Status) -> Iterator[str]:
    """Yield what the last change of the pointers was, and how many run folders are newer."""
    last = _find_last_change(status)
    if last is None:
        if status.inspection.chain.records and any(r["active"] for r in status.registries):
            yield "changed     before the last checkpoint of the chain; `registry-pipeline log` lists it"
        return
    record = last.record
    names = [move.registry_id for move in record.moves] or [run.run_id for run in record.runs]
    what = f"{_ACTIONS[record.action]} {list_some(names, ', ')}"
    # An actor of git has an address, which is in `log`.
    yield f"changed     {last.created_utc} {record.actor.partition(' <')[0]} {what}: {record.reason}"
    yield f"            since then {plural(_count_newer_runs(status, last.created_utc), 'new run folder')}"


def _count_newer_runs(status: Status, created_utc: str) -> int:
    """Return the number of run folders whose names have a later time, without the runs of this tool."""
    created = parse_utc(created_utc)
    if created is None:
        return 0
    # Names are compared as texts: parsing those of a hundred thousand folders would take a second.
    stamp = created.strftime("%Y-%m-%d__%H%M%S")
    return sum(
        name[:4].isdigit()
        and name[10:12] == "__"
        and name[: len(stamp)] > stamp
        and not status.catalog.is_own_run(status.publish_root, run_root, name)
        for run_root, names in status.listing.names.items()
        for name in names[bisect_right(names, stamp) :]
    )


def _find_last_change(status: Status) -> SealedRecord | None:
    return next((r for r in reversed(status.inspection.chain.records) if r.record.action in _ACTIONS), None)


def find_next_command(status: Status) -> str:
    """Return the line that says what to do next: a command, or the report to read."""
    command = next(_list_next_commands(status), None)
    if command is not None:
        return f"next: {command}"
    if status.inspection.health.state == "HEALTHY":
        return "next: nothing to do; `registry-pipeline build` after new runs"
    spec = status.catalog.spec_of("system_health_report")
    newest = next(r["newest_run_id"] for r in status.registries if r["registry_id"] == spec.registry_id)
    path = next((folder.path for folder in status.listing.folders if folder.run_id == newest), None)
    return "next: registry-pipeline build" if path is None else f"next: read {path}/{spec.artifacts[1]}"


def _list_next_commands(status: Status) -> Iterator[str]:
    """Yield the commands that help, the most urgent first."""
    errors = [f for f in status.findings if f.severity is Severity.ERROR]
    hinted = [word for f in errors for word in f.hint.split("`")[1::2] if word.startswith("registry-pipeline ")]
    # While the pointer file or the chain has an error, no other command can help.
    if status.inspection.refuses:
        yield from hinted
        yield "registry-pipeline doctor"
    failing = [
        r["registry_id"] for r in status.registries if not {"fail", "missing"}.isdisjoint((r["seal"], r["schema"]))
    ]
    if failing:
        yield f"registry-pipeline build{f' {failing[0]}' if len(failing) == 1 else ''}"
    yield from hinted
    if errors:
        yield "registry-pipeline doctor"
    if not any(r["active"] for r in status.registries):
        yield "registry-pipeline build"
    yield from (r["next_command"] for r in status.registries if r["next_command"])
    last = _find_last_change(status)
    if last is not None and _count_newer_runs(status, last.created_utc):
        yield "registry-pipeline build"
