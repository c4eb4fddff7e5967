"""`build`: the whole walk, from sources to active pointers and the report."""

from __future__ import annotations

from typing import Any

import click

from registry_pipeline.cli.activation_output import find_actor, refusal_code
from registry_pipeline.cli.daily import build_span, refuse_wrong_use
from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined, fail_on_option, holds
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.param_types import DaySpan, DaySpanText
from registry_pipeline.cli.progress import progress
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import Finding, Severity, has_errors
from registry_pipeline.pipeline.build_lock import hold_build_lock
from registry_pipeline.pipeline.rebuild import BuiltRow, RebuildResult, rebuild
from registry_pipeline.pipeline.render import is_report_missing
from registry_pipeline.pipeline.status import read_operations
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.runs.sealed_run import Activation, Refusal


@click.command(
    "build",
    cls=Command,
    examples=[
        ("build", "build, seal, validate and activate every registry, then render the report"),
        ("build op_status_table", "that one and what is built from it"),
        ("build run_registry --only", "that one alone, sealed and left unactivated"),
        ("build --no-activate --json", "move no pointer; what was sealed, as a document"),
        ("build drift_signals_daily --as-of 2026-01-30..2026-02-02", "what past days looked like, a folder each"),
    ],
)
@click.argument("registries", metavar="[REGISTRY]...", nargs=-1)
@click.option("--only", is_flag=True, help="Build the named registries alone, and activate nothing.")
@click.option("--no-activate", is_flag=True, help="Leave every pointer where it is, and render nothing.")
@click.option("--force", is_flag=True, help="Seal a captured registry, a day or a log even if it is unchanged.")
@click.option("--as-of", type=DaySpanText(), metavar="DAYS", help="Of drift_signals_daily: DATE, or FIRST..LAST.")
@click.option("--reason", default="build", metavar="TEXT", show_default=True, help="Why, for the activation record.")
@click.option("--actor", metavar="NAME", help="Who, for the activation record; default: as git knows you.")
@fail_on_option
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917 - the options of a verb, which click hands over by keyword
    reporter: Reporter,
    registries: tuple[str, ...],
    only: bool,
    no_activate: bool,
    force: bool,
    as_of: DaySpan | None,
    reason: str,
    actor: str | None,
    fail_on: frozenset[str],
) -> int:
    """Build, seal, validate and activate registries.

    In dependency order, each is built, sealed into a new run folder and validated. What passed is then activated in
    one move, and the health report is rendered from what is active. A named REGISTRY takes all that depends on it
    along; without one, all are built. A run that may not move without mixing the active set stays sealed and
    waiting (exit 5). Existing run folders are never touched. A build waits up to 30 seconds for another one to end,
    then exits 6.

    drift_signals_daily is history: --as-of names days that are over (UTC), each is sealed as its last second was,
    and no pointer moves. A day that comes out as it was sealed before makes no new folder without --force. Ctrl-C
    stops between two days and tells what is sealed (exit 130).
    """
    if only and not registries:
        raise click.UsageError("--only needs the registries to build")
    refuse_wrong_use(registries, as_of)
    repository = find_repository(reporter.settings.repo)
    if as_of is not None:
        return build_span(reporter, repository, as_of, force=force, fail_on=fail_on)
    with progress(reporter, "wait for other builds") as shown, hold_build_lock(repository):
        outcome = rebuild(
            repository,
            start_build_run(repository, reporter.settings.now),
            registries,
            only=only,
            move=not no_activate,
            force=force,
            actor=find_actor(actor, repository.root),
            reason=reason,
            on_step=lambda step, registry_id: shown.step(f"{step} {registry_id}"),
            on_progress=shown.done,
        )
    reporter.answer(_document(outcome), outcome.findings, lambda page: _tell(page, outcome))
    built = {row.registry_id: row.run.ref for row in outcome.built if row.run is not None}
    operations, drift = read_operations(repository, built) if fail_on else (None, None)
    failing = holds(fail_on, outcome.findings, operations, drift)
    return combined([_code(outcome), ExitCode.ASKED_TO_FAIL * failing])


def _code(outcome: RebuildResult) -> int:
    """Return the exit code: failing runs, unread sources, a refused move, waiting runs, a missing report."""
    failed = [row.verdict for row in outcome.built if row.verdict is not None and not row.verdict.passed]
    verdicts = [code_of(each.errors()) or ExitCode.EVIDENCE_INVALID for each in failed]
    missing = any(row.run is None for row in outcome.built)
    # A log that cannot be continued is there, and is invalid evidence; a source that cannot be read is not there.
    failing = missing and any(has_errors([f]) for f in outcome.findings if f.code.startswith("DELTA_"))
    unread = missing and any(has_errors([f]) for f in outcome.findings if not f.code.startswith("DELTA_"))
    codes = [*verdicts, ExitCode.EVIDENCE_INVALID * failing, ExitCode.NOT_FOUND * unread]
    codes += [ExitCode.REFUSED * outcome.waiting, ExitCode.REPORT_NOT_RENDERED * is_report_missing(outcome.findings)]
    codes += [refusal_code(outcome.activation)] if isinstance(outcome.activation, Refusal) else []
    return combined(codes)


def _document(outcome: RebuildResult) -> dict[str, Any]:
    moved = outcome.activation if isinstance(outcome.activation, Activation) else None
    return {
        "built": [_built(row) for row in outcome.built if row.run is not None],
        "not_built": [row.registry_id for row in outcome.built if row.run is None],
        "activation_run_id": None if moved is None else moved.record.run_id,
        "report_run_id": None if outcome.report is None else outcome.report.ref.run_id,
        "interrupted": False,
        "findings": [finding.to_json() for finding in outcome.findings],
    }


def _built(row: BuiltRow) -> dict[str, Any]:
    ref = None if row.run is None else row.run.ref
    return {
        "registry_id": row.registry_id,
        "partition": None,
        "run_id": None if ref is None else ref.run_id,
        "run_root": None if ref is None else ref.run_root,
        "relpath": None if ref is None else ref.relpath,
        "root_sha256": None if ref is None else ref.manifest_sha256,
        "records": row.records,
        "metrics": {},
        "verdict": None if row.verdict is None else row.verdict.verdict,
        "activated": row.activated,
        "reused": row.reused,
        "seconds": row.seconds,
    }


def _tell(page: Page, outcome: RebuildResult) -> None:
    columns = [Column("registry"), Column("verdict"), Column("pointer"), Column("records", right=True)]
    columns += [Column("seconds", right=True), Column("run", below=True)]
    page.table(columns, (_row(row) for row in outcome.built))
    if isinstance(outcome.activation, Activation):
        page.line(f"activated {len(outcome.activation.moves)} in {outcome.activation.record.run_id}")
    elif isinstance(outcome.activation, Refusal):
        page.line("refused: no pointer moved", style="bold red")
    elif outcome.waiting:
        page.line("sealed and waiting: no pointer moved", style="bold yellow")
    if outcome.report is not None:
        page.line(f"rendered {outcome.report.ref.run_root}/{outcome.report.ref.run_id}")
    absent = [] if page.settings.verbosity > 0 else [each for each in outcome.findings if _is_absent(each)]
    page.findings(each for each in outcome.findings if each not in absent)
    if absent:
        places = ", ".join(each.path for each in absent)
        page.line(f"nothing to capture at {places} (--verbose tells more)", style="dim")


def _is_absent(found: Finding) -> bool:
    """Tell whether it says only that a repository has none of what may be captured."""
    return found.code == "CAPTURE_MISSING" and found.severity is Severity.INFO


def _row(row: BuiltRow) -> list[str]:
    seconds = f"{row.seconds:.2f}"
    if row.run is None or row.verdict is None:
        return [row.registry_id, "-", "-", "-", seconds, "(not built)"]
    moved = "moved" if row.activated else "unchanged" if row.reused else "stays"
    records = "-" if row.records is None else str(row.records)
    return [row.registry_id, row.verdict.verdict, moved, records, seconds, row.run.ref.run_id]
