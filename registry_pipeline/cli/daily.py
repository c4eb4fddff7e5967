"""`build drift_signals_daily --as-of …`: build past days, one sealed folder per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGINT
from typing import Any, Final

import click

from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, matches_fail_on
from registry_pipeline.cli.param_types import DaySpan
from registry_pipeline.cli.progress import progress
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import Repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.findings.wording import plural
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.build_lock import hold_build_lock
from registry_pipeline.pipeline.daily import SealedDay, build_days
from registry_pipeline.pipeline.signals import deferred
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Verdict

DAILY: Final = "drift_signals_daily"
_FAIL_ON_METRICS: Final = {
    "drift": ("drifting", "canon_dirty", "schema_drift", "threshold_drift"),
    "stale": ("stale",),
    "coverage": ("coverage_below_c3",),
}


def check_daily_arguments(registries: Sequence[str], as_of: DaySpan | None) -> None:
    """Raise a usage error if only one of drift_signals_daily and --as-of is given."""
    if as_of is None and DAILY in registries:
        raise click.UsageError(f"{DAILY} is built for days: add --as-of DATE, or --as-of FIRST..LAST")
    if as_of is not None and set(registries) != {DAILY}:
        raise click.UsageError(f"--as-of is for past days only: build {DAILY} --as-of DATE")


def build_span(
    reporter: Reporter, repository: Repository, days: DaySpan, *, force: bool, fail_on: frozenset[str]
) -> int:
    """Build, seal and validate each day, print the result, and return the exit code."""
    run = BuildRun(reporter.settings.now, GitState(None, None))
    sealed: list[tuple[SealedDay, Verdict]] = []
    try:
        # Ctrl-C is deferred to the end of a day, so that no day is left half built.
        with (
            hold_build_lock(repository),
            progress(reporter, "read run folders") as bar,
            deferred(SIGINT) as interrupted,
        ):
            for day in build_days(repository, run, days, force=force, on_progress=bar.done):
                sealed.append((day, validate(repository, day.run)))
                bar.step(str(day.day))
                bar.done(len(sealed), len(days))
                if interrupted():
                    break
    except KeyboardInterrupt:
        reporter.note("interrupted")
    except RegistryPipelineError:
        if sealed:
            reporter.note(f"sealed before the failure: {plural(len(sealed), 'day')}, {days.first}..{sealed[-1][0].day}")
        raise
    is_interrupted = len(sealed) < len(days)
    findings = sorted_findings(f for day, verdict in sealed for f in (*day.built.findings, *verdict.findings))
    document = {
        "built": [_day_to_json(day, verdict) for day, verdict in sealed],
        "not_built": [],
        "activation_run_id": None,
        "report_run_id": None,
        "interrupted": is_interrupted,
        "findings": [finding.to_json() for finding in findings],
    }
    reporter.print_result(document, findings, lambda page: _print_days(page, sealed, len(days), findings))
    return ExitCode.INTERRUPTED if is_interrupted else _exit_code(sealed, findings, fail_on)


def _exit_code(
    sealed: Sequence[tuple[SealedDay, Verdict]], findings: Sequence[Finding], fail_on: frozenset[str]
) -> int:
    failing = any(not verdict.passed for _, verdict in sealed)
    metrics = [metric for reason in fail_on for metric in _FAIL_ON_METRICS.get(reason, ())]
    asked_to_fail = any(day.built.artifacts.metrics.get(metric, 0) for day, _ in sealed for metric in metrics)
    asked_to_fail = asked_to_fail or matches_fail_on(fail_on & {"warning"}, findings)
    return combine_exit_codes([ExitCode.INVALID_EVIDENCE * failing, ExitCode.FAIL_ON * asked_to_fail])


def built_to_json(registry_id: str, ref: SealedRef, *, partition: str | None = None, **facts: Any) -> dict[str, Any]:
    """Return a run as an entry of `built` in the document of `build`."""
    identity = {"run_id": ref.run_id, "run_root": ref.run_root, "relpath": ref.relpath}
    root = {"root_sha256": ref.manifest_sha256}
    return {"registry_id": registry_id, "partition": partition} | identity | root | facts


def _day_to_json(day: SealedDay, verdict: Verdict) -> dict[str, Any]:
    return built_to_json(
        DAILY,
        day.run.ref,
        partition=str(day.day),
        git_commit=day.commit,
        records=day.built.artifacts.records,
        metrics=dict(day.built.artifacts.metrics),
        verdict=verdict.verdict,
        activated=False,
        reused=day.run.reused,
        seconds=day.seconds,
    )


def _print_days(
    page: Page, sealed: Sequence[tuple[SealedDay, Verdict]], requested: int, findings: Sequence[Finding]
) -> None:
    columns = [Column("day"), Column("verdict"), Column("drift")]
    columns += [Column(title, right=True) for title in ("observed", "stale", "drifting", "runs")]
    page.table([*columns, Column("run", below=True)], (_row(day, verdict) for day, verdict in sealed))
    unchanged = sum(day.run.reused for day, _ in sealed)
    page.line(f"{plural(len(sealed), 'day')} of {requested}: {len(sealed) - unchanged} sealed, {unchanged} unchanged")
    if len(sealed) < requested:
        page.line("interrupted; the sealed days stay. Run the command again for the rest.", style="bold yellow")
    page.findings(findings)


def _row(day: SealedDay, verdict: Verdict) -> list[str]:
    metrics = day.built.artifacts.metrics
    counts = [str(metrics[name]) for name in ("observed", "stale", "drifting", "runs_known")]
    return [str(day.day), verdict.verdict, _format_drift(metrics), *counts, day.run.ref.run_id]


def _format_drift(metrics: Mapping[str, int]) -> str:
    """Return the kinds of drift, with a question mark where it is unknown."""
    flags = {word: metrics.get(f"{word}_drift") for word in ("schema", "threshold")}
    return ", ".join(word if flag else f"{word}?" for word, flag in flags.items() if flag != 0) or "-"
