"""`build drift_signals_daily --as-of …`: days of history, one sealed folder each (SPEC 4.3, 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGINT
from typing import Any, Final

import click

from registry_pipeline.cli.exit_codes import ExitCode, combined, holds
from registry_pipeline.cli.param_types import DaySpan
from registry_pipeline.cli.progress import progress
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import Repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.build_lock import hold_build_lock
from registry_pipeline.pipeline.daily import SealedDay, build_days
from registry_pipeline.pipeline.signals import deferred
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import value_type

DAILY: Final = "drift_signals_daily"
_COUNTED: Final = ("observed", "stale", "drifting", "runs")
_FIGURES: Final = {
    "drift": ("drifting", "canon_dirty", "schema_drift", "threshold_drift"),
    "stale": ("stale",),
    "coverage": ("coverage_below_c3",),
}


def refuse_wrong_use(registries: Sequence[str], as_of: DaySpan | None) -> None:
    """Refuse days for a registry that has none, and a registry of days without any.

    Raises:
        click.UsageError: as said, with the words to use.
    """
    if as_of is None and DAILY in registries:
        raise click.UsageError(f"{DAILY} is built for days: add --as-of DATE, or --as-of FIRST..LAST")
    if as_of is not None and set(registries) != {DAILY}:
        raise click.UsageError(f"--as-of is for history alone: build {DAILY} --as-of DATE")


@value_type
class _Told:
    """The days that are sealed, each with the verdict on it, of how many that were wanted."""

    days: Sequence[tuple[SealedDay, Verdict]]
    wanted: int

    @property
    def interrupted(self) -> bool:
        return len(self.days) < self.wanted

    def findings(self) -> tuple[Finding, ...]:
        return sorted_findings(f for day, verdict in self.days for f in (*day.built.findings, *verdict.findings))


def build_span(
    reporter: Reporter, repository: Repository, days: DaySpan, *, force: bool, fail_on: frozenset[str]
) -> int:
    """Build, seal and validate each day, tell what was sealed, and return the exit code.

    Ctrl-C stops between two days; what was sealed by then is told, and the exit code is 130.
    """
    run = BuildRun(reporter.settings.now, GitState(None, None))
    done: list[tuple[SealedDay, Verdict]] = []
    try:
        with hold_build_lock(repository), progress(reporter, "read run folders") as shown, deferred(SIGINT) as asked:
            for day in build_days(repository, run, days, force=force, on_progress=shown.done):
                done.append((day, validate(repository, day.run)))
                shown.step(str(day.day))
                shown.done(len(done), len(days))
                if asked():
                    break
    except KeyboardInterrupt:
        reporter.note("interrupted")
    except RegistryPipelineError:
        if done:
            reporter.note(f"sealed before that, and staying: {_count(done)}, {days.first}..{done[-1][0].day}")
        raise
    told = _Told(done, len(days))
    reporter.answer(_document(told), told.findings(), lambda page: _tell(page, told))
    return ExitCode.INTERRUPTED if told.interrupted else _code(told, fail_on)


def _code(told: _Told, fail_on: frozenset[str]) -> int:
    failing = any(not verdict.passed for _, verdict in told.days)
    figures = [figure for reason in fail_on for figure in _FIGURES.get(reason, ())]
    asked = any(day.built.artifacts.metrics.get(figure, 0) for day, _ in told.days for figure in figures)
    asked = asked or holds(fail_on & {"warning"}, told.findings())
    return combined([ExitCode.EVIDENCE_INVALID * failing, ExitCode.ASKED_TO_FAIL * asked])


def _document(told: _Told) -> dict[str, Any]:
    return {
        "built": [_built(day, verdict) for day, verdict in told.days],
        "not_built": [],
        "activation_run_id": None,
        "report_run_id": None,
        "interrupted": told.interrupted,
        "findings": [finding.to_json() for finding in told.findings()],
    }


def _built(day: SealedDay, verdict: Verdict) -> dict[str, Any]:
    return {
        "registry_id": DAILY,
        "partition": str(day.day),
        "run_id": day.run.ref.run_id,
        "run_root": day.run.ref.run_root,
        "relpath": day.run.ref.relpath,
        "root_sha256": day.run.ref.manifest_sha256,
        "git_commit": day.commit,
        "records": day.built.artifacts.records,
        "metrics": dict(day.built.artifacts.metrics),
        "verdict": verdict.verdict,
        "activated": False,
        "reused": day.run.reused,
        "seconds": day.seconds,
    }


def _count(days: Sequence[object]) -> str:
    return f"{len(days)} day{'' if len(days) == 1 else 's'}"


def _tell(page: Page, told: _Told) -> None:
    columns = [Column("day"), Column("verdict"), Column("drift"), *(Column(w, right=True) for w in _COUNTED)]
    page.table([*columns, Column("run", below=True)], (_row(day, verdict) for day, verdict in told.days))
    kept = sum(day.run.reused for day, _ in told.days)
    page.line(f"{_count(told.days)} of {told.wanted}: {len(told.days) - kept} sealed, {kept} as they were")
    if told.interrupted:
        page.line("interrupted between two days: what is sealed stays; run it again for the rest", style="bold yellow")
    page.findings(told.findings())


def _row(day: SealedDay, verdict: Verdict) -> list[str]:
    metrics = day.built.artifacts.metrics
    figures = [str(metrics[name]) for name in ("observed", "stale", "drifting", "runs_known")]
    return [str(day.day), verdict.verdict, _drift(metrics), *figures, day.run.ref.run_id]


def _drift(metrics: Mapping[str, int]) -> str:
    """Return which drifts there are; a question mark stands for one that is not known."""
    flags = {word: metrics.get(f"{word}_drift") for word in ("schema", "threshold")}
    return ", ".join(word if flag else f"{word}?" for word, flag in flags.items() if flag != 0) or "-"
