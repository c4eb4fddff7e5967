"""History by day: what each past day looked like, sealed one folder a day (SPEC 4.3, drift_signals_daily).

Everything that many days share is opened once: the run folders are scanned, the commits listed, and one process of git
gives the objects. A day is built and sealed before it is told of, so that whoever stops between two leaves whole days.

A day that was sealed before and comes out as it was makes no new folder, as an unchanged capture makes none (SPEC 3):
its newest folder that verifies and is not marked bad stands, if its artifacts and its inputs are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.blob_digests import BlobDigests
from registry_pipeline.git.first_parent import History, read_history
from registry_pipeline.git.tree import CommittedFiles
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.steps import seal
from registry_pipeline.pointers.state import find_foreign_id, read_chain_state
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import sealed_run
from registry_pipeline.registries.base.upstream import parse_run_rows
from registry_pipeline.registries.drift_signals_daily.build import build_drift_signals_daily
from registry_pipeline.registries.drift_signals_daily.read import (
    CommitFacts,
    DatedRuns,
    date_runs,
    gather_day,
    last_second,
    read_commit_facts,
)
from registry_pipeline.registries.run_registry.build import ARTIFACT, VERSION, build_run_registry
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs.envelope import BuildContext, Inputs
from registry_pipeline.runs.pointer_file import read_report
from registry_pipeline.runs.records import RunRow
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.sealed_run import Built, SealedRun
from registry_pipeline.values import replace, value_type

DAILY: Final = "drift_signals_daily"
CACHE: Final = "cache"
_COMMITS_KEPT: Final = 4
_DAY: Final = timedelta(days=1)


@value_type
class SealedDay:
    """One day that is sealed: what was built for it, and its folder; `run.reused` if an earlier one stands.

    `commit` is the newest of the day, `seconds` wall time.
    """

    day: date
    commit: str
    built: Built
    run: SealedRun
    seconds: float


@value_type
class _Backfill:
    """What all days share. `sealed` is the newest folder of each day that is not marked bad."""

    repository: Repository
    run: BuildRun
    history: History
    facts: Callable[[str], CommitFacts]
    runs: DatedRuns
    sealed: Mapping[str, str]
    findings: tuple[Finding, ...]


def build_days(
    repository: Repository,
    run: BuildRun,
    days: Iterable[date],
    *,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[SealedDay]:
    """Build and seal days, in their order, and yield each when its folder is there.

    Of the build run only the start and the Dagster run are heard: the git state of a day is its commit, and a working
    tree that nobody knows any more. `force` seals every day anew and reads every object anew. `on_progress` is told how
    many run folders have been read.

    Raises:
        RefusedError: one of the days has no history; nothing is built then, of the other days neither.
        NotFoundError: git cannot be read, or does not have an object. PublishError: as `seal`.
    """
    wanted = list(days)
    history = _history_of(repository, wanted, run.started)
    if not wanted:
        return
    with _open(repository, run, history, on_progress, force=force) as backfill:
        for day in wanted:
            yield _build_day(backfill, day, force=force)


def _history_of(repository: Repository, days: Iterable[date], now: datetime) -> History:
    """Return the history of the repository, if it has one for each of the days.

    Raises:
        RefusedError: it has not; the message names the first such day, the advice what to do.
    """
    start = repository.config.history_start
    history = read_history(repository.root)
    if history is None:
        why = "a plain folder, or one where nothing is committed, has no past days"
        raise RefusedError(f"{DAILY} is read from git, and {repository.root} has no commit", why)
    if start is None:
        first = "" if history.first_day is None else f" = {history.first_day}, the day of the first commit,"
        raise RefusedError(
            f"history_start is not set: {DAILY} has no days", f"set history_start{first} in {CONFIG_NAME}"
        )
    for day in days:
        _refuse(day, start, history, now.astimezone(UTC).date())
    return history


def _refuse(day: date, start: date, history: History, today: date) -> None:
    if day >= today:
        raise RefusedError(f"{day} is not over", f"the last day that is over, in UTC, is {today - _DAY}")
    if day < start:
        advice = f"build days from {start} on, or set an earlier history_start in {CONFIG_NAME}"
        raise RefusedError(f"{day} is before history_start, {start}", advice)
    if history.commit_at(last_second(day)) is not None:
        return
    if history.is_cut:
        message = f"{day} is before {history.first_day}, where the history of this shallow clone is cut"
        raise RefusedError(message, "run `git fetch --unshallow`, then build again")
    message = f"{day} is before the first commit of {history.branch}, which is of {history.first_day}"
    raise RefusedError(message, f"set history_start = {history.first_day} in {CONFIG_NAME}")


@contextmanager
def _open(
    repository: Repository, run: BuildRun, history: History, on_progress: Callable[[int], None] | None, *, force: bool
) -> Iterator[_Backfill]:
    """Scan the run roots, start git, and keep the digests that it gave, however the days end."""
    gathered = read_run_registry_inputs(repository, SourceContext(on_progress=on_progress))
    context = BuildContext(run.started, utc_text(run.started), GitState(None, None))
    rows = parse_run_rows(build_run_registry(gathered.inputs, context).files[ARTIFACT])
    cache = None if force else repository.state_root / CACHE
    digests = BlobDigests(cache, len(history.commits[0][1]) // 2)
    with CommittedFiles(repository.root, digests) as files:
        try:
            sealed = _newest_by_day(repository, rows)
            facts = lru_cache(maxsize=_COMMITS_KEPT)(partial(read_commit_facts, repository, files))
            yield _Backfill(repository, run, history, facts, date_runs(rows), sealed, gathered.findings)
        finally:
            digests.save()


def _newest_by_day(repository: Repository, rows: Iterable[RunRow]) -> dict[str, str]:
    """Return the run id of the newest folder of each day, those marked bad left out."""
    tag, bad = spec_of(DAILY).tag, read_chain_state(repository).marked_bad
    found = [RunId.parse(row.run_id) for row in rows if row.run_root == repository.config.publish_root]
    ids = [run_id for run_id in found if run_id is not None and run_id.tag == tag and str(run_id) not in bad]
    ids.sort(key=lambda run_id: (run_id.stamp, run_id.number))
    return {run_id.partition: str(run_id) for run_id in ids if run_id.partition is not None}


def _build_day(backfill: _Backfill, day: date, *, force: bool) -> SealedDay:
    began = time.perf_counter()
    commit, built = _describe(backfill, day)
    sealed = None if force else _standing(backfill, built)
    run = replace(backfill.run, git=GitState(commit, None))
    made = sealed or seal(backfill.repository, run, spec_of(DAILY), built)
    return SealedDay(day, commit, built, made, round(time.perf_counter() - began, 3))


def _describe(backfill: _Backfill, day: date) -> tuple[str, Built]:
    """Return the newest commit of a day, and what the builders make of it and of the runs up to its last second."""
    instant = last_second(day)
    commit = backfill.history.commit_at(instant)
    if commit is None:
        raise ValueError(f"{day} was refused before")
    gathered = gather_day(backfill.repository.config, backfill.facts(commit), backfill.runs, instant, VERSION)
    context = BuildContext(instant, utc_text(instant), GitState(commit, None))
    artifacts = build_drift_signals_daily(gathered.inputs, context)
    findings = sorted_findings((*backfill.findings, *gathered.findings))
    return commit, Built(DAILY, artifacts, Inputs((), gathered.files), context.generated_utc, findings, partition=day)


def _standing(backfill: _Backfill, built: Built) -> SealedRun | None:
    """Return the folder that an earlier build here sealed for the same day, if it verifies and says the same."""
    run_id = backfill.sealed.get(str(built.partition))
    if run_id is None:
        return None
    ref = SealedRef(run_id, backfill.repository.config.publish_root, spec_of(DAILY).relpath, "")
    report = read_report(backfill.repository, ref, spec_of(DAILY).artifacts)
    if (
        report.verdict != "pass"
        or report.root_sha256 is None
        or find_foreign_id(backfill.repository, report) is not None
    ):
        return None
    sealed = sealed_run(DAILY, replace(ref, manifest_sha256=report.root_sha256), report)
    same = dict(report.kept) == dict(built.artifacts.files) and sealed.inputs == built.inputs
    return sealed if same and sealed.as_of_utc == built.as_of_utc else None
