"""The shared end of `activate`, `rollback` and `mark-bad`: render the report, print the moves, return the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline.rebuild import is_change_incomplete, render_after_change
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.pointer_file import read_pointer_hash
from registry_pipeline.runs.sealed_run import Activation, Refusal

_UNCHANGED: Final = {
    "activate": "the run is already active",
    "rollback": "each registry is already at that run",
    "mark_bad": "the run is already marked bad",
}
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def reason_options(command: _Decorated) -> _Decorated:
    """Add the required `--reason` and `--actor` to a command that changes the pointers."""
    reason = click.option(
        "--reason", required=True, metavar="TEXT", callback=_refuse_blank_reason, help="Why, for the activation record."
    )
    actor = click.option("--actor", metavar="NAME", help="Who, for the activation record; default: git's identity.")
    return reason(actor(command))


def dry_run_option(command: _Decorated) -> _Decorated:
    """Add `--dry-run` to a command that changes the pointers."""
    about = "Check everything and print what would change; write nothing."
    return click.option("--dry-run", is_flag=True, help=about)(command)


def _refuse_blank_reason(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.UsageError("--reason needs a text")
    return value


def print_change(
    reporter: Reporter,
    repository: Repository,
    run: BuildRun | None,
    outcome: Activation | Refusal | None,
    *,
    action: str,
    dry_run: bool = False,
    other_findings: Iterable[Finding] = (),
) -> int:
    """Render the health report after a change, print the outcome, and return the exit code: 0, 3, 5 or 8.

    `outcome` is None if nothing had to change; then, and after a refusal, nothing is rendered. `run` is None for a
    refusal before any run was started. `action` is the `action` of the document. With `dry_run` nothing was changed,
    and nothing is rendered; the exit code is that of the change.
    """
    planned = outcome if isinstance(outcome, Activation) else None
    activation = None if dry_run else planned
    report, missing = (None, ()) if activation is None or run is None else render_after_change(repository, run)
    findings = tuple(dict.fromkeys((*(outcome.findings if outcome is not None else ()), *other_findings, *missing)))
    document: dict[str, Any] = {
        "dry_run": dry_run,
        "action": action,
        "moves": [] if planned is None else [move.to_json() for move in planned.moves],
        "activation_run_id": None if activation is None else activation.record.run_id,
        "pointer_sha256": read_pointer_hash(repository) if activation is None else activation.pointer_sha256,
        "report_run_id": None if report is None else report.ref.run_id,
        "findings": [finding.to_json() for finding in findings],
    }

    def print_text(page: Page) -> None:
        if outcome is None:
            page.line(f"{_UNCHANGED[action]}; no pointer moved")
        elif isinstance(outcome, Refusal):
            page.line("refused: no pointer moved", style="bold red")
        else:
            _print_moves(page, outcome, dry_run=dry_run)
        page.findings(findings)
        if dry_run:
            page.line("dry run: nothing was written")

    reporter.print_result(document, findings, print_text)
    if isinstance(outcome, Refusal):
        return exit_code_of_refusal(outcome)
    return ExitCode.INCOMPLETE if is_change_incomplete(findings) else ExitCode.FINE


def _print_moves(page: Page, activation: Activation, *, dry_run: bool) -> None:
    for move in activation.moves:
        before, after = ("nothing" if ref is None else ref.run_id for ref in (move.from_ref, move.to_ref))
        page.line(f"{move.registry_id}: {before} -> {after}")
    page.line(f"{'would be recorded' if dry_run else 'recorded'} in {activation.record.run_id}")


def exit_code_of_refusal(refusal: Refusal) -> ExitCode:
    """Return 3 if an error of the pointer file or the chain is the reason, else 5."""
    invalid = any(f.severity is Severity.ERROR and f.code.startswith(("POINTER_", "CHAIN_")) for f in refusal.findings)
    return ExitCode.INVALID_EVIDENCE if invalid else ExitCode.REFUSED
