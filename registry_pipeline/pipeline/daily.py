"""Build drift_signals_daily: one sealed run folder for each past day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.errors import EvidenceError, RefusedError, RegistryPipelineError
from registry_pipeline.files.cache_file import hash_program
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.blob_digests import BlobDigests
from registry_pipeline.git.first_parent import History, read_history
from registry_pipeline.git.tree import CommittedFiles
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.day_records import NAME, DayRecord, DayRecords, hash_each_prefix
from registry_pipeline.pipeline.day_runs import DAILY, find_newest_runs_of_days, read_run_of_day
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.base.seal_build import BuildRun, seal_all_built
from registry_pipeline.registries.base.sealed_input import VERIFIED
from registry_pipeline.registries.base.upstream import parse_run_rows
from registry_pipeline.registries.base.values import last_second
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.drift_signals_daily.build import build_drift_signals_daily
from registry_pipeline.registries.drift_signals_daily.read import (
    CatalogReader,
    CommitFacts,
    DatedRuns,
    collect_day_inputs,
    read_commit_facts,
    sort_runs_by_time,
)
from registry_pipeline.registries.run_registry.archives import read_archived_runs
from registry_pipeline.registries.run_registry.build import ARTIFACT, VERSION, build_run_registry
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.envelope import BuildContext, Inputs
from registry_pipeline.runs.sealed_run import Built, SealedRun, SealReport
from registry_pipeline.values import replace, value_type

_CACHED_COMMITS: Final = 4
# So many days are sealed with one synchronisation: more would gain little, and a kill would lose more.
_BATCH: Final = 32


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
    records: DayRecords
    # The hash of what all days share, and of the first 0, 1, 2 … of the runs.
    common_sha256: str
    run_hashes: tuple[str, ...]

    def hash_inputs(self, day: date, commit: str) -> str | None:
        """Return the hash of all inputs of a day, or None if they are not known without building the day."""
        # The rule `paths` also reads the history of the commit, of which a shallow clone has only a part.
        if self.repository.config.op_drift == "paths":
            return None
        runs = self.run_hashes[self.runs.count_until(last_second(day))]
        return sha256_hex(f"{self.common_sha256} {day} {commit} {runs}".encode("ascii"))


@value_type
class _BuiltDay:
    """A day before it is sealed; `kept` is the earlier run that it keeps, with its report, or None."""

    day: date
    commit: str
    inputs_sha256: str | None
    built: Built
    kept: tuple[SealedRun, SealReport] | None
    seconds: float


def build_days(
    repository: Repository,
    run: BuildRun,
    days: Iterable[date],
    *,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[SealedDay]:
    """Build days in the given order, seal up to 32 together, and yield each that is sealed; raises as `seal_all_built`.

    Of `run` only `started` and `dagster_run_id` are used: the git state of a day is its commit. A day whose newest run
    has the same content keeps that run; `force` seals it again, without what is cached of days and git objects.
    `on_progress` is called with the number of run folders read so far. Once `is_cancelled` returns True no further day
    is built, and those that are built are sealed and yielded: so are the days before one that fails. RefusedError for
    any day that cannot be built: none is built.
    """
    requested = list(days)
    # (1) Check all days first, so that a wrong range builds nothing.
    history = _read_history_of_days(repository, requested, run.started)
    if not requested:
        return
    # (2) Scan the run folders, list the commits and start git once for all days.
    with _read_shared_inputs(repository, run, history, on_progress, force=force) as shared:
        # (3) Seal a batch before the next is built: a caller that stops between two days leaves complete days.
        for first in range(0, len(requested), _BATCH):
            yield from _build_batch(shared, requested[first : first + _BATCH], is_cancelled, force=force)
            if is_cancelled():
                return


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
    """Yield what all days need; the hashes of git objects are cached (unless `force`) even if a day fails.

    Raises:
        EvidenceError: an archive cannot be read, so it is not known which runs a day had.
    """
    unreadable = read_archived_runs(repository).unreadable
    if unreadable:
        advice = "restore it from a copy; `registry-pipeline doctor` says what is wrong"
        raise EvidenceError(f"the archive {unreadable[0]} cannot be read, so no past day is built", advice)
    source = SourceContext(on_progress=on_progress, started=run.started, specs=catalog_of(repository).registries)
    scan = read_run_registry_inputs(repository, source)
    context = BuildContext(run.started, utc_text(run.started), GitState(None, None))
    rows = tuple(parse_run_rows(build_run_registry(scan.inputs, context).files[ARTIFACT]))
    # The length of an object id says which hash the repository uses (SHA-1 or SHA-256).
    cache = None if force else repository.state_root / "cache"
    digests = BlobDigests(cache, len(history.commits[0][1]) // 2)
    records = DayRecords(None if cache is None else cache / NAME)
    runs = sort_runs_by_time(rows)
    with CommittedFiles(repository.root, digests) as files:
        catalogs = CatalogReader(repository.config)
        common = (hash_program(), repository.root, files.inside, repository.config, runs.without_time)
        try:
            yield _SharedInputs(
                repository,
                run,
                history,
                # Neighbouring days often have the same commit.
                lru_cache(maxsize=_CACHED_COMMITS)(partial(read_commit_facts, repository, files, catalogs)),
                runs,
                find_newest_runs_of_days(
                    repository, (row.run_id for row in rows if row.run_root == repository.config.publish_root)
                ),
                scan.findings,
                records,
                hash_each_prefix([common])[1],
                hash_each_prefix(runs.rows),
            )
        finally:
            digests.save()
            records.save()


def _build_batch(
    shared: _SharedInputs, days: Iterable[date], is_cancelled: Callable[[], bool], *, force: bool
) -> Iterator[SealedDay]:
    """Build days, seal those that have no unchanged run together, and yield them all; then raise what a day raised."""
    batch: list[_BuiltDay] = []
    failure: RegistryPipelineError | OSError | None = None
    # (1) Build until a day fails: those before it are sealed all the same.
    for day in days:
        if is_cancelled():
            break
        try:
            batch.append(_build_day(shared, day, force=force))
        except (RegistryPipelineError, OSError) as error:
            failure = error
            break
    # (2) Seal what is new, with one synchronisation of the disk.
    started = time.perf_counter()
    new = [built_day for built_day in batch if built_day.kept is None]
    requests = [(replace(shared.run, git=GitState(day.commit, None)), day.built) for day in new]
    sealed = iter(
        seal_all_built(shared.repository, catalog_of(shared.repository).spec_of(DAILY), requests) if requests else []
    )
    sealing_seconds = (time.perf_counter() - started) / max(len(new), 1)
    # (3) Record the inputs of every run, and yield the days in the order of the request.
    for built_day in batch:
        run, report = built_day.kept or (next(sealed), None)
        # For a caller that validates the day, and only until then: a history may have thousands.
        if report is not None:
            shared.repository.keep(VERIFIED, report, run.ref)
        artifacts, root_sha256 = built_day.built.artifacts, run.ref.manifest_sha256
        if built_day.inputs_sha256 is not None:
            facts = (artifacts.records, artifacts.content_sha256, artifacts.metrics)
            shared.records.add(str(built_day.day), DayRecord(built_day.inputs_sha256, root_sha256, *facts))
        seconds = built_day.seconds + (0 if built_day.kept is not None else sealing_seconds)
        yield SealedDay(built_day.day, built_day.commit, built_day.built, run, round(seconds, 3))
        shared.repository.forget(VERIFIED, run.ref)
    if failure is not None:
        raise failure


def _build_day(shared: _SharedInputs, day: date, *, force: bool) -> _BuiltDay:
    """Build a day from its newest commit, unless the record of its newest run says that all inputs are the same."""
    started = time.perf_counter()
    instant = last_second(day)
    commit = shared.history.find_commit_at(instant)
    if commit is None:
        raise ValueError(f"{day} has no commit")  # `_read_history_of_days` has refused such a day
    inputs_sha256 = shared.hash_inputs(day, commit)
    root = str(shared.repository.root)
    # (1) The newest run of the day, verified; it is kept if it was built from the same inputs.
    newest = None if force else _read_newest_run(shared, day)
    record = None if inputs_sha256 is None else shared.records.find_record(str(day), inputs_sha256)
    if newest is not None and record is not None and record.root_sha256 == newest[0].ref.manifest_sha256:
        run, report = newest
        artifacts = record.make_artifacts(report.kept)
        built = Built(DAILY, artifacts, run.inputs, run.as_of_utc, root, shared.findings, partition=str(day))
        return _BuiltDay(day, commit, inputs_sha256, built, newest, time.perf_counter() - started)
    # (2) Build the day from its newest commit and from the runs up to its last second.
    facts = shared.read_facts(commit)
    gathered = collect_day_inputs(shared.repository.config, facts, shared.runs, instant, VERSION)
    context = BuildContext(instant, utc_text(instant), GitState(commit, None))
    artifacts = build_drift_signals_daily(gathered.inputs, context)
    findings = sorted_findings((*shared.findings, *gathered.findings))
    inputs = Inputs((), gathered.files)
    built = Built(DAILY, artifacts, inputs, context.generated_utc, root, findings, partition=str(day))
    # Findings are not recorded: a day whose commit has some is always built.
    recorded = None if facts.findings else inputs_sha256
    # (3) Keep the newest run if it has the same content.
    kept = newest if newest is not None and _has_same_content(*newest, built) else None
    return _BuiltDay(day, commit, recorded, built, kept, time.perf_counter() - started)


def _read_newest_run(shared: _SharedInputs, day: date) -> tuple[SealedRun, SealReport] | None:
    """Return the newest run of a day and its report with its artifacts; None if there is none that can be kept."""
    run_id = shared.newest_runs.get(str(day))
    return None if run_id is None else read_run_of_day(shared.repository, run_id)


def _has_same_content(run: SealedRun, report: SealReport, built: Built) -> bool:
    # The generation time is the last second of the day, so equal content gives equal bytes.
    same_inputs = run.inputs == built.inputs and run.as_of_utc == built.as_of_utc
    return same_inputs and dict(report.kept) == dict(built.artifacts.files)
