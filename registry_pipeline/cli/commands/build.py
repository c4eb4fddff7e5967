"""`build`: run the whole pipeline, for now or for a span of days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from signal import SIGINT
from typing import Any, Final

import click

from registry_pipeline.cli.activation_output import exit_code_of_refusal, sign_option
from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.completion import complete_registry
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
from registry_pipeline.cli.param_types import parse_days
from registry_pipeline.cli.reporter import Column, Page, Reporter, draw_progress
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.cache_file import find_safe_change
from registry_pipeline.findings.display import list_some
from registry_pipeline.findings.finding import Finding, Severity, plural, sorted_findings
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.build_preview import preview_build
from registry_pipeline.pipeline.collection import SealedMember
from registry_pipeline.pipeline.daily import SealedDay, build_days
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline.pipeline.rebuild import (
    REPORT,
    BuiltRow,
    RebuildResult,
    defer_signals,
    is_change_incomplete,
    rebuild,
)
from registry_pipeline.pipeline.status import read_operations
from registry_pipeline.pipeline.steps import hold_build_lock
from registry_pipeline.registries.base.seal_build import BuildRun, start_build_run
from registry_pipeline.registries.catalog import refuse_disabled
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.sealed_run import Activation, Refusal, SealedRun, Verdict
from registry_pipeline.signing.keys import find_signer


@command(
    "build",
    ("build", "build, seal, validate and activate every registry, then render the report"),
    ("build op_status_table", "that registry and those that depend on it"),
    ("build run_registry --only", "only that registry, sealed and not activated"),
    ("build --dry-run", "what would be sealed, and what is wrong with the sources"),
    ("build --no-activate --json", "move no pointer; print what was sealed as JSON"),
    ("build system_health_report", "the health report, from the active runs"),
    ("build drift_signals_daily --as-of 2026-01-30..2026-02-02", "the state of past days, one folder per day"),
)
@click.argument("registries", metavar="[REGISTRY]...", nargs=-1, shell_complete=complete_registry)
@click.option("--only", is_flag=True, help="Build only the named registries, and activate nothing.")
@click.option("--no-activate", is_flag=True, help="Move no pointer and render no report.")
@click.option("--force", is_flag=True, help="Seal every registry, day and log even if it is unchanged.")
@click.option("--dry-run", is_flag=True, help="Print what would be sealed; write nothing.")
@click.option("--as-of", callback=parse_days, metavar="DAYS", help="For drift_signals_daily: DATE, or FIRST..LAST.")
@click.option("--reason", default="build", metavar="TEXT", show_default=True, help="Why, for the activation record.")
@click.option("--actor", metavar="NAME", help="Who, for the activation record; default: git's identity.")
@sign_option
@fail_on_option(*FAIL_ON_CONDITIONS)
def build_command(  # noqa: PLR0913, PLR0917 - the options of a command, which click passes by keyword
    reporter: Reporter,
    registries: tuple[str, ...],
    only: bool,
    no_activate: bool,
    force: bool,
    dry_run: bool,
    as_of: tuple[date, ...] | None,
    reason: str,
    actor: str | None,
    sign: bool,
    fail_on: tuple[str, ...],
) -> int:
    """Build, seal, validate and activate registries.

    Builds each registry in dependency order, seals it into a new run folder and validates it. A captured registry or
    log that has not changed keeps its run without --force. If no registry has changed since its active run, apart from
    times and the runs of this tool, nothing is sealed: the build is up to date. What depends on a failed registry is
    not built. All new valid runs are then activated in one move, and the health report is rendered; --only and
    --no-activate skip both. With system_health_report it is rendered in any case. With REGISTRY, builds that registry
    and all that depends on it; without, all. A run that would mix the active set stays sealed and is not activated
    (exit 5). Existing run folders are never changed. A build waits up to 30 seconds for another one, then exits 6.

    --dry-run builds in memory what depends on no new run, and prints what would be sealed.

    drift_signals_daily describes past days: --as-of names days that are over (UTC). Each is sealed as it was in its
    last second, and no pointer moves. A day with the same content as its sealed folder makes no new folder without
    --force. Ctrl-C stops after the current day (exit 130).
    """
    if only and not registries:
        raise click.UsageError("--only needs the registries to build")
    if no_activate and REPORT in registries:
        raise click.UsageError(f"--no-activate renders no report, but {REPORT} is named")
    _refuse_wrong_daily_arguments(registries, as_of)
    if dry_run and as_of is not None:
        raise click.UsageError("--dry-run contradicts --as-of: whether a day changed is known only when it is built")
    repository = find_repository(reporter.settings.repo)
    if dry_run:
        return _print_preview(reporter, repository, registries, only=only, force=force, fail_on=fail_on)
    if as_of is not None:
        refuse_disabled(repository.config, DAILY)
        return _build_days(reporter, repository, as_of, force=force, sign=sign, fail_on=fail_on)
    with draw_progress(reporter, "wait for other builds") as bar, hold_build_lock(repository):
        result = rebuild(
            repository,
            start_build_run(repository, reporter.settings.now, sign=sign),
            registries,
            only=only,
            move=not no_activate,
            force=force,
            actor=find_actor(actor, repository.root),
            reason=reason,
            on_step=lambda step, registry_id: bar.start_step(f"{step} {registry_id}"),
            on_progress=bar.set_done,
        )
    # --fail-on looks at the runs of this build, active or not.
    built = {row.registry_id: row.run.ref for row in result.built if row.run is not None}
    operations, drift = read_operations(repository, built) if fail_on else (None, None)
    conditions = check_conditions(fail_on, result.findings, operations, drift)
    reporter.print_result(
        _result_to_json(result),
        result.findings,
        lambda page: _print_result(page, result),
        conditions=conditions,
        checked={ref.path: "" for ref in built.values()},
    )
    return _find_exit_code(result, conditions)


_OUTCOMES: Final = {
    "new": "a new run",
    "unchanged": "unchanged",
    "depends": "a new run, after {}",
    "not_built": "not built",
    "skipped": "not built, because of {}",
}


def _print_preview(
    reporter: Reporter,
    repository: Repository,
    registries: Sequence[str],
    *,
    only: bool,
    force: bool,
    fail_on: tuple[str, ...],
) -> int:
    """Print what a build would seal, and return the exit code of what is known before anything is sealed."""
    run = start_build_run(repository, reporter.settings.now)
    with draw_progress(reporter, "build") as bar:
        rows = preview_build(repository, run, registries, only=only, force=force, on_step=bar.start_step)
    findings = sorted_findings(f for row in rows for f in row.findings)
    document = {
        "dry_run": True,
        "built": [],
        "not_built": [row.registry_id for row in rows if row.outcome in ("not_built", "skipped")],
        "preview": [
            {
                "registry_id": row.registry_id,
                "outcome": row.outcome,
                "because_of": list(row.because_of),
                "records": row.records,
                "members": list(row.members),
            }
            for row in rows
        ],
        "activation_run_id": None,
        "report_run_id": None,
        "interrupted": False,
        "findings": [finding.to_json() for finding in findings],
    }

    def print_text(page: Page) -> None:
        columns = [Column("registry"), Column("records", right=True), Column("result")]
        cells = [
            [
                row.registry_id,
                "-" if row.records is None else str(row.records),
                _OUTCOMES[row.outcome].format(list_some(row.because_of, ", "))
                + (f", with {plural(len(row.members), 'member')} to seal" if row.members else ""),
            ]
            for row in rows
        ]
        page.table(columns, cells)
        page.findings(f for f in findings if f.code != "CAPTURE_MISSING" or f.severity is not Severity.INFO)
        if {row.outcome for row in rows} - {"not_built"} == {"unchanged"}:
            page.line("up to date: nothing has changed")
        page.line("dry run: nothing was written")

    conditions = check_conditions(fail_on, findings, None, None)
    reporter.print_result(document, findings, print_text, conditions=conditions)
    codes = _find_codes_of_unbuilt(f for row in rows if row.outcome == "not_built" for f in row.findings)
    codes += [ExitCode.INVALID_EVIDENCE * any(not row.is_valid for row in rows)]
    return combine_exit_codes([*codes, ExitCode.FAIL_ON * has_failed(conditions)])


def _find_codes_of_unbuilt(findings: Iterable[Finding]) -> list[int]:
    """Return the exit codes of the errors because of which registries were not built."""
    # A log that cannot be continued exists and is invalid evidence (3). An unreadable source is missing (7).
    is_log_error = {f.code.startswith("DELTA_") for f in findings if f.severity is Severity.ERROR}
    return [ExitCode.INVALID_EVIDENCE * (True in is_log_error), ExitCode.NOT_FOUND * (False in is_log_error)]


def _find_exit_code(result: RebuildResult, conditions: Sequence[ConditionResult]) -> int:
    """Return the exit code of a build: of its verdicts, missing sources, activation, report and `--fail-on`."""
    failed = [row.verdict for row in result.built if row.verdict is not None and not row.verdict.passed]
    failed += [member.verdict for row in result.built for member in row.members if not member.verdict.passed]
    codes = [exit_code_of(verdict.errors()) or ExitCode.INVALID_EVIDENCE for verdict in failed]
    codes += _find_codes_of_unbuilt(f for row in result.built if row.run is None for f in row.findings)
    codes += [ExitCode.REFUSED * result.waiting, ExitCode.INCOMPLETE * is_change_incomplete(result.findings)]
    codes += [exit_code_of_refusal(result.activation)] if isinstance(result.activation, Refusal) else []
    return combine_exit_codes([*codes, ExitCode.FAIL_ON * has_failed(conditions)])


def _result_to_json(result: RebuildResult) -> dict[str, Any]:
    activation = result.activation if isinstance(result.activation, Activation) else None
    return {
        "built": [
            document
            for row in result.built
            if row.run is not None
            for document in (
                *map(_member_to_json, row.members),
                _built_to_json(row.run, row.verdict, row.seconds, row.activated, records=row.records, metrics={}),
            )
        ],
        "not_built": [row.registry_id for row in result.built if row.run is None],
        "dry_run": False,
        "preview": [],
        "activation_run_id": None if activation is None else activation.record.run_id,
        "report_run_id": None if result.report is None else result.report.ref.run_id,
        "interrupted": False,
        "findings": [finding.to_json() for finding in result.findings],
    }


def _member_to_json(member: SealedMember) -> dict[str, Any]:
    artifacts = member.built.artifacts
    facts = {"records": artifacts.records, "metrics": dict(artifacts.metrics)}
    return _built_to_json(member.run, member.verdict, 0.0, False, member.member_id, **facts)


def _built_to_json(
    run: SealedRun, verdict: Verdict | None, seconds: float, activated: bool, partition: str | None = None, **facts: Any
) -> dict[str, Any]:
    """Return a run as an entry of `built`; `facts` are further members."""
    return {
        "registry_id": run.registry_id,
        "partition": partition,
        "run_id": run.ref.run_id,
        "run_root": run.ref.run_root,
        "relpath": run.ref.relpath,
        "root_sha256": run.ref.manifest_sha256,
        **facts,
        "verdict": None if verdict is None else verdict.verdict,
        "activated": activated,
        "reused": run.reused,
        "seconds": seconds,
    }


def _print_result(page: Page, result: RebuildResult) -> None:
    columns = [Column("registry"), Column("verdict"), Column("pointer"), Column("records", right=True)]
    columns += [Column("seconds", right=True), Column("run", below=True)]
    # Most repositories have few of the sources that can be captured: one line for all of them is enough.
    unused = [row.registry_id for row in result.built if row.has_no_source]
    if page.settings.verbosity > 0:
        unused = []
    page.table(columns, (_format_row(row) for row in result.built if row.registry_id not in unused))
    for row in result.built:
        if row.members:
            names = list_some([member.member_id for member in row.members], ", ")
            page.line(f"sealed {plural(len(row.members), 'member')} of {row.registry_id}: {names}")
    if isinstance(result.activation, Activation):
        page.line(f"activated {len(result.activation.moves)} in {result.activation.record.run_id}")
    elif isinstance(result.activation, Refusal):
        page.line("refused: no pointer moved", style="bold red")
    elif result.is_up_to_date:
        page.line("up to date: nothing has changed, so nothing was sealed", style="bold green")
    elif result.waiting:
        page.line("sealed, not activated: no pointer moved", style="bold yellow")
    if result.report is not None:
        page.line(f"rendered {result.report.ref.path}")
    replaced = _find_replaced(result)
    for finding in replaced:
        page.line(f"replaced {finding.path}, which {_REPLACED[finding.code]}", style="dim")
    missing_sources = {f for row in result.built if row.registry_id in unused for f in row.findings}
    # An entry without module is no news of a build: `entries check --all` lists them.
    hidden = {*missing_sources, *replaced, *(f for f in result.findings if f.code == "EN080")}
    page.findings(finding for finding in result.findings if finding not in hidden)
    if unused:
        page.line(f"nothing to capture for {', '.join(unused)} (--verbose shows more)", style="dim")
    if isinstance(result.activation, Activation):
        page.line(f"next: {page.settings.format_command('status')}")


# What was wrong with the previously active run, which the build did not read.
_REPLACED: Final = {"POINTER_SEAL_INVALID": "did not verify", "POINTER_FOREIGN": "belongs to another repository"}


def _find_replaced(result: RebuildResult) -> list[Finding]:
    """Return the findings about runs that were active before this build and are not any more."""
    moves = result.activation.moves if isinstance(result.activation, Activation) else ()
    paths = {move.from_ref.path for move in moves if move.from_ref is not None}
    return [finding for finding in result.findings if finding.code in _REPLACED and finding.path in paths]


def _format_row(row: BuiltRow) -> list[str]:
    seconds = f"{row.seconds:.2f}"
    if row.run is None or row.verdict is None:
        return [row.registry_id, "-", "-", "-", seconds, "(not built)"]
    pointer = "moved" if row.activated else "unchanged" if row.reused else "stays"
    records = "-" if row.records is None else str(row.records)
    return [row.registry_id, row.verdict.verdict, pointer, records, seconds, row.run.ref.run_id]


_FAIL_ON_METRICS: Final = {
    "drift": ("drifting", "canon_dirty", "schema_drift", "threshold_drift"),
    "stale": ("stale",),
    "coverage": ("coverage_below_c3",),
}


def _refuse_wrong_daily_arguments(registries: Sequence[str], as_of: tuple[date, ...] | None) -> None:
    """Raise UsageError for drift_signals_daily without `--as-of`, and for `--as-of` with any other registries."""
    if as_of is None and DAILY in registries:
        raise click.UsageError(f"{DAILY} is built for days: add --as-of DATE, or --as-of FIRST..LAST")
    if as_of is not None and set(registries) != {DAILY}:
        raise click.UsageError(f"--as-of is for past days only: build {DAILY} --as-of DATE")


def _build_days(
    reporter: Reporter,
    repository: Repository,
    days: tuple[date, ...],
    *,
    force: bool,
    sign: bool,
    fail_on: tuple[str, ...],
) -> int:
    """Build, seal and validate past days, print them and return the exit code; Ctrl-C prints the days sealed so far."""
    run = BuildRun(reporter.settings.now, GitState(None, None), signer=find_signer(repository, wanted=sign))
    sealed: list[tuple[SealedDay, Verdict]] = []
    # A day that keeps its run is verified once.
    repository = repository.remembering(find_safe_change(run.started))
    try:
        # Ctrl-C is deferred to the end of a day. What was built by then is sealed and printed.
        with (
            hold_build_lock(repository),
            draw_progress(reporter, "read run folders") as bar,
            defer_signals(SIGINT) as interrupted,
        ):
            for day in build_days(
                repository, run, days, force=force, on_progress=bar.set_done, is_cancelled=interrupted
            ):
                sealed.append((day, validate(repository, day.run)))
                bar.start_step(str(day.day))
                bar.set_done(len(sealed), len(days))
    except KeyboardInterrupt:
        reporter.note("interrupted")
    except RegistryPipelineError:
        if sealed:
            reporter.note(f"sealed before the failure: {plural(len(sealed), 'day')}, {days[0]}..{sealed[-1][0].day}")
        raise
    is_interrupted = len(sealed) < len(days)
    findings = sorted_findings(f for day, verdict in sealed for f in (*day.built.findings, *verdict.findings))
    document = {
        "built": [_day_to_json(day, verdict) for day, verdict in sealed],
        "not_built": [],
        "dry_run": False,
        "preview": [],
        "activation_run_id": None,
        "report_run_id": None,
        "interrupted": is_interrupted,
        "findings": [finding.to_json() for finding in findings],
    }
    conditions = [_check_daily_condition(condition, sealed, findings) for condition in fail_on]
    reporter.print_result(
        document,
        findings,
        lambda page: _print_days(page, sealed, len(days), findings),
        conditions=conditions,
        checked={day.run.ref.path: "" for day, _ in sealed},
    )
    if is_interrupted:
        return ExitCode.INTERRUPTED
    failing = any(not verdict.passed for _, verdict in sealed)
    return combine_exit_codes([ExitCode.INVALID_EVIDENCE * failing, ExitCode.FAIL_ON * has_failed(conditions)])


def _check_daily_condition(
    condition: str, sealed: Sequence[tuple[SealedDay, Verdict]], findings: Sequence[Finding]
) -> ConditionResult:
    """Return the result of a condition of `--fail-on`, which fails if it does for one of the days."""
    if condition not in _FAIL_ON_METRICS:
        (result,) = check_conditions([condition], findings)
        return result
    names = _FAIL_ON_METRICS[condition]
    metrics = {str(day.day): day.built.artifacts.metrics for day, _ in sealed}
    failed = [day for day, values in metrics.items() if any(values.get(name, 0) for name in names)]
    # A day has no metric of what is not known of it.
    unknown = [day for day, values in metrics.items() if any(name not in values for name in names)]
    days = failed or unknown or list(metrics)
    if not days:
        return ConditionResult(condition, "unknown", "no day was built")
    reason = f"on {list_some(days, ', ')}"
    return ConditionResult(condition, "failed" if failed else "unknown" if unknown else "passed", reason)


def _day_to_json(day: SealedDay, verdict: Verdict) -> dict[str, Any]:
    artifacts = day.built.artifacts
    facts = {"git_commit": day.commit, "records": artifacts.records, "metrics": dict(artifacts.metrics)}
    return _built_to_json(day.run, verdict, day.seconds, False, str(day.day), **facts)


def _print_days(
    page: Page, sealed: Sequence[tuple[SealedDay, Verdict]], requested: int, findings: Sequence[Finding]
) -> None:
    columns = [Column("day"), Column("verdict"), Column("drift")]
    columns += [Column(title, right=True) for title in ("observed", "stale", "drifting", "runs")]
    page.table([*columns, Column("run", below=True)], (_format_day_row(day, verdict) for day, verdict in sealed))
    unchanged = sum(day.run.reused for day, _ in sealed)
    page.line(f"{plural(len(sealed), 'day')} of {requested}: {len(sealed) - unchanged} sealed, {unchanged} unchanged")
    if len(sealed) < requested:
        page.line("interrupted; the sealed days stay. Run the command again for the rest.", style="bold yellow")
    page.findings(findings)


def _format_day_row(day: SealedDay, verdict: Verdict) -> list[str]:
    metrics = day.built.artifacts.metrics
    counts = [str(metrics[name]) for name in ("observed", "stale", "drifting", "runs_known")]
    return [str(day.day), verdict.verdict, _format_drift(metrics), *counts, day.run.ref.run_id]


def _format_drift(metrics: Mapping[str, int]) -> str:
    """Return the kinds of drift, with a question mark where it is unknown."""
    flags = {word: metrics.get(f"{word}_drift") for word in ("schema", "threshold")}
    return ", ".join(word if flag else f"{word}?" for word, flag in flags.items() if flag != 0) or "-"
