"""Build drift_signals_daily: one sealed run folder for each past day."""

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
from registry_pipeline.registries.base.sealed_input import make_sealed_run
from registry_pipeline.registries.base.upstream import parse_run_rows
from registry_pipeline.registries.catalog import spec_of
from registry_pipeline.registries.drift_signals_daily.build import build_drift_signals_daily
from registry_pipeline.registries.drift_signals_daily.read import (
    CommitFacts,
    DatedRuns,
    collect_day_inputs,
    last_second,
    read_commit_facts,
    sort_runs_by_time,
)
from registry_pipeline.registries.run_registry.build import ARTIFACT, VERSION, build_run_registry
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.envelope import BuildContext, Inputs, RunRow
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.sealed_run import Built, SealedRun
from registry_pipeline.values import replace, value_type

DAILY: Final = "drift_signals_daily"
_CACHED_COMMITS: Final = 4


@value_type
class SealedDay:
    """The run of one day and its newest commit; `run.reused` if an earlier run has the same content."""

    day: date
    commit: str
    built: Built
    run: SealedRun
    seconds: float


@value_type
class _SharedInputs:
    """What all days need; `newest_runs` has the newest run id of each day, without runs that are marked bad."""

    repository: Repository
    run: BuildRun
    history: History
    read_facts: Callable[[str], CommitFacts]
    runs: DatedRuns
    newest_runs: Mapping[str, str]
    findings: tuple[Finding, ...]


def build_days(
    repository: Repository,
    run: BuildRun,
    days: Iterable[date],
    *,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[SealedDay]:
    """Build and seal days in the given order, and yield each as soon as its run folder is sealed; raises as `seal`.

    Of `run` only `started` and `dagster_run_id` are used: the git state of a day is its commit. A day whose newest run
    has the same content keeps that run; `force` seals it again, without the cache of object hashes. `on_progress` is
    called with the number of run folders read so far. RefusedError for any day that cannot be built: none is built.
    """
    requested = list(days)
    # (1) Check all days first, so that a wrong range builds nothing.
    history = _read_history_of_days(repository, requested, run.started)
    if not requested:
        return
    # (2) Scan the run folders, list the commits and start git once for all days.
    with _read_shared_inputs(repository, run, history, on_progress, force=force) as shared:
        # (3) Seal one day before the next is built: a caller that stops between two days leaves complete days.
        for day in requested:
            yield _build_and_seal_day(shared, day, force=force)


def _read_history_of_days(repository: Repository, days: Iterable[date], now: datetime) -> History:
    """Return the history of the default branch; raise RefusedError if one of the days cannot be built from it."""
    start = repository.config.history_start
    history = read_history(repository.root)
    if history is None:
        advice = "commit the repository first: a plain folder or an empty repository has no past days"
        raise RefusedError(f"{DAILY} is read from git, but {repository.root} has no commit", advice)
    if start is None:
        value = "" if history.first_day is None else f" = {history.first_day} (the day of the first commit)"
        advice = f"set history_start{value} in {CONFIG_NAME}"
        raise RefusedError(f"history_start is not set: {DAILY} has no days", advice)
    for day in days:
        _refuse_unavailable_day(day, start, history, now.astimezone(UTC).date())
    return history


def _refuse_unavailable_day(day: date, start: date, history: History, today: date) -> None:
    if day >= today:
        yesterday = today - timedelta(days=1)
        raise RefusedError(f"{day} is not over", f"the last complete day in UTC is {yesterday}")
    if day < start:
        advice = f"build days from {start} on, or set an earlier history_start in {CONFIG_NAME}"
        raise RefusedError(f"{day} is before history_start, {start}", advice)
    if history.find_commit_at(last_second(day)) is not None:
        return
    # In a shallow clone the commit may exist elsewhere; in a complete one there is none.
    if history.is_cut:
        message = f"{day} is before {history.first_day}, where this shallow clone is cut"
        raise RefusedError(message, "run `git fetch --unshallow`, then build again")
    message = f"{day} is before the first commit of {history.branch}, which is of {history.first_day}"
    raise RefusedError(message, f"set history_start = {history.first_day} in {CONFIG_NAME}")


@contextmanager
def _read_shared_inputs(
    repository: Repository, run: BuildRun, history: History, on_progress: Callable[[int], None] | None, *, force: bool
) -> Iterator[_SharedInputs]:
    """Yield what all days need; the hashes of git objects are cached (unless `force`) even if a day fails."""
    scan = read_run_registry_inputs(repository, SourceContext(on_progress=on_progress))
    context = BuildContext(run.started, utc_text(run.started), GitState(None, None))
    rows = parse_run_rows(build_run_registry(scan.inputs, context).files[ARTIFACT])
    # The length of an object id says which hash the repository uses (SHA-1 or SHA-256).
    cache = None if force else repository.state_root / "cache"
    digests = BlobDigests(cache, len(history.commits[0][1]) // 2)
    with CommittedFiles(repository.root, digests) as files:
        try:
            newest_runs = _find_newest_runs(repository, rows)
            # Neighbouring days often have the same commit.
            read_facts = lru_cache(maxsize=_CACHED_COMMITS)(partial(read_commit_facts, repository, files))
            yield _SharedInputs(
                repository, run, history, read_facts, sort_runs_by_time(rows), newest_runs, scan.findings
            )
        finally:
            digests.save()


def _find_newest_runs(repository: Repository, rows: Iterable[RunRow]) -> dict[str, str]:
    """Return the newest run id by day. Runs that are marked bad or outside the publish root do not count."""
    tag, bad = spec_of(DAILY).tag, read_chain_state(repository, from_checkpoint=True).marked_bad
    parsed = [RunId.parse(row.run_id) for row in rows if row.run_root == repository.config.publish_root]
    run_ids = [run_id for run_id in parsed if run_id is not None and run_id.tag == tag and str(run_id) not in bad]
    run_ids.sort(key=lambda run_id: (run_id.stamp, run_id.number))
    return {run_id.partition: str(run_id) for run_id in run_ids if run_id.partition is not None}


def _build_and_seal_day(shared: _SharedInputs, day: date, *, force: bool) -> SealedDay:
    """Build a day from its newest commit and seal it; without `force` an unchanged valid run is returned instead."""
    started = time.perf_counter()
    instant = last_second(day)
    commit = shared.history.find_commit_at(instant)
    if commit is None:
        raise ValueError(f"{day} has no commit")  # `_read_history_of_days` has refused such a day
    # (1) Build the day from its newest commit and from the runs up to its last second.
    gathered = collect_day_inputs(shared.repository.config, shared.read_facts(commit), shared.runs, instant, VERSION)
    context = BuildContext(instant, utc_text(instant), GitState(commit, None))
    artifacts = build_drift_signals_daily(gathered.inputs, context)
    findings = sorted_findings((*shared.findings, *gathered.findings))
    inputs = Inputs((), gathered.files)
    built = Built(DAILY, artifacts, inputs, context.generated_utc, str(shared.repository.root), findings, partition=day)
    # (2) Seal it, unless the newest run of the day is valid and has the same content.
    sealed = None if force else _find_unchanged_run(shared, built)
    if sealed is None:
        sealed = seal(shared.repository, replace(shared.run, git=GitState(commit, None)), spec_of(DAILY), built)
    return SealedDay(day, commit, built, sealed, round(time.perf_counter() - started, 3))


def _find_unchanged_run(shared: _SharedInputs, built: Built) -> SealedRun | None:
    """Return the newest run of the same day if it verifies, is of this repository and has the same content."""
    run_id = shared.newest_runs.get(str(built.partition))
    if run_id is None:
        return None
    # The generation time is the last second of the day, so equal content gives equal bytes.
    ref = SealedRef(run_id, shared.repository.config.publish_root, spec_of(DAILY).relpath, "")
    report = verify_referenced_run(shared.repository, ref, spec_of(DAILY).artifacts)
    if report.verdict != "pass" or report.root_sha256 is None or find_foreign_id(shared.repository, report) is not None:
        return None
    sealed = make_sealed_run(DAILY, replace(ref, manifest_sha256=report.root_sha256), report)
    is_same = (
        dict(report.kept) == dict(built.artifacts.files)
        and sealed.inputs == built.inputs
        and sealed.as_of_utc == built.as_of_utc
    )
    return sealed if is_same else None
