"""The operations on the two logs of a repository, for the commands and for the validation of sealed runs."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.drift import check_tracked_files, file_pathspecs
from registry_pipeline.registries.run_index.append import AppendResult, append_records
from registry_pipeline.registries.run_index.check import (
    CheckResult,
    check_lines,
    check_run_index,
    check_runs,
    compare_with_baseline,
    compare_with_previous,
)
from registry_pipeline.registries.run_index.gates import RuleContext, SongIndex, read_song_index
from registry_pipeline.registries.run_index.log_file import Entry, Log, overrides_log, run_index_log
from registry_pipeline.registries.run_index.overrides import OverrideIndex, check_overrides, index_overrides
from registry_pipeline.registries.run_index.record import GRAMMARS, Choose, Record
from registry_pipeline.registries.run_index.run_log import final_record, read_run_log, run_log_text, write_run_log
from registry_pipeline.registries.run_index.scan import LogContent, find_current, parse_log, read_log
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace

RUN_INDEX = "run_index"
OVERRIDES_LOG = "overrides_log"
_ID_ATTEMPTS = 64


def read_overrides(repository: Repository) -> OverrideIndex:
    """Return the overrides of a repository; empty if it has no overrides log."""
    log = overrides_log(repository)
    return index_overrides(log.display_path, read_log(log, missing_ok=True).entries)


def read_rule_context(
    repository: Repository, *, machine_id: str | None, now: datetime | None
) -> tuple[RuleContext, tuple[Finding, ...]]:
    """Return what the run index of a repository is compared with, and findings about what cannot be read."""
    path = repository.config.run_index.song_index
    songs: SongIndex | None = None
    findings: tuple[Finding, ...] = ()
    if path is not None:
        songs, findings = read_song_index(repository.path(path), path)
    context = RuleContext(
        overrides=read_overrides(repository),
        song_index=songs,
        machine_id=machine_id,
        now=None if now is None else utc_text(now),
        is_file=os.path.isfile,
    )
    return context, findings


def check_runs_of(
    repository: Repository, *, baseline: str | None, machine_id: str | None, now: datetime
) -> CheckResult:
    """Return every finding of the run index, compared with a baseline if one is named.

    Raises:
        NotFoundError: the log or the baseline does not exist (exit 7).
    """
    log = run_index_log(repository)
    context, context_findings = read_rule_context(repository, machine_id=machine_id, now=now)
    result = check_run_index(log, context)
    # A line of the overrides log that cannot be parsed may be the one that voids an override.
    overrides = read_log(overrides_log(repository), missing_ok=True)
    override_errors = [item for item in overrides.findings if item.severity == "error"]
    compared = () if baseline is None else compare_with_baseline(repository, RUN_INDEX, log, baseline)
    findings = [*context_findings, *result.findings, *override_errors, *compared, *_check_tracked(repository)]
    return replace(result, findings=sorted_findings(findings))


def check_overrides_of(repository: Repository, *, baseline: str | None) -> CheckResult:
    """Return every finding of the overrides log, compared with a baseline if one is named.

    Raises:
        NotFoundError: the log or the baseline does not exist (exit 7).
    """
    log = overrides_log(repository)
    result = _check_override_content(repository, log, read_log(log))
    compared = () if baseline is None else compare_with_baseline(repository, OVERRIDES_LOG, log, baseline)
    findings = [*result.findings, *compared, *_check_tracked(repository)]
    return replace(result, findings=sorted_findings(findings))


def _check_override_content(repository: Repository, log: Log, content: LogContent) -> CheckResult:
    index = index_overrides(log.display_path, content.entries)
    findings = (*content.findings, *check_overrides(log.display_path, index, _runs_of(repository, index)))
    return CheckResult(findings, content.lines, len(content.entries), len(index.by_id))


def _runs_of(repository: Repository, index: OverrideIndex) -> dict[str, Record]:
    """Return the current records of the runs that overrides name."""
    return find_current(run_index_log(repository), index.by_run.keys())


def _check_tracked(repository: Repository) -> tuple[Finding, ...]:
    logs = repository.config.run_index
    return check_tracked_files(repository, file_pathspecs(logs.path, logs.overrides))


def check_sealed_run_index(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of a sealed run index; overrides count as they are now."""
    data = report.kept.get(sealed.ref.relpath or "")
    if data is None:
        return ()
    log = _sealed_log(run_index_log(repository), sealed, report)
    context, _ = read_rule_context(repository, machine_id=None, now=None)
    result = check_lines(log, io.BytesIO(data), len(data), replace(context, now=sealed.as_of_utc))
    return sorted_findings([*result.findings, *compare_with_previous(repository, sealed, report, log, data)])


def check_sealed_overrides_log(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of a sealed overrides log; the runs that it names count as they are now."""
    data = report.kept.get(sealed.ref.relpath or "")
    if data is None:
        return ()
    log = _sealed_log(overrides_log(repository), sealed, report)
    result = _check_override_content(repository, log, parse_log(log, io.BytesIO(data), len(data)))
    return sorted_findings([*result.findings, *compare_with_previous(repository, sealed, report, log, data)])


def _sealed_log(log: Log, sealed: SealedRun, report: SealReport) -> Log:
    return Log(log.path, f"{report.path}/{sealed.ref.relpath}", log.validator)


def append_runs(repository: Repository, records: Sequence[Record], context: RuleContext) -> AppendResult:
    """Append records to the run index; raises as `append_records` does."""
    log = run_index_log(repository)
    return append_records(log, records, lambda entries: check_runs(log.display_path, entries, context))


def append_batch(
    repository: Repository, records: Sequence[Record], *, machine_id: str | None, now: datetime
) -> AppendResult:
    """Append records to the run index, checked with the overrides and the song index of the repository.

    Raises:
        As `append_records` does.
    """
    context, findings = read_rule_context(repository, machine_id=machine_id, now=now)
    result = append_runs(repository, records, context)
    return replace(result, findings=sorted_findings([*findings, *result.findings]))


def append_overrides(repository: Repository, records: Sequence[Record]) -> AppendResult:
    """Append records to the overrides log; raises as `append_records` does."""
    log = overrides_log(repository)
    runs: dict[frozenset[str], dict[str, Record]] = {}

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        index = index_overrides(log.display_path, entries)
        named = frozenset(index.by_run)
        # An append checks twice; the run index is read once.
        if named not in runs:
            runs[named] = _runs_of(repository, index)
        return check_overrides(log.display_path, index, runs[named])

    return append_records(log, records, check)


def start_run(repository: Repository, path: Path, fields: dict[str, str], *, now: datetime, choose: Choose) -> str:
    """Write a run log with a new run id and the given fields, and return the id. The run index is not changed.

    Raises:
        RefusedError: a field is not valid, the run log exists, or no id is free.
        BusyError, WriteError: as `write_run_log`.
    """
    log = run_index_log(repository)
    for code, pointer, detail, expected, _ in log.validator.find_problems({"record_type": "RUN", **fields}):
        # RI011: the other required fields are filled in later.
        if code != "RI011":
            raise RefusedError(f"{code} {pointer}: {detail}", f"expected {expected}")
    for _ in range(_ID_ATTEMPTS):
        run_id = GRAMMARS[repository.config.run_index.ids].mint("run", now, choose)
        if not find_current(log, {run_id}):
            write_run_log(path, run_log_text(fields | {"run_id": run_id}))
            return run_id
    raise RefusedError("no run id of this minute is free", "try again in the next minute")


def finish_run(
    repository: Repository, path: Path, *, corrects: tuple[str, ...], machine_id: str | None, now: datetime
) -> AppendResult:
    """Append the final record of a run from its run log; a repetition changes nothing.

    Raises:
        NotFoundError: the run log cannot be read. And as `append_records` does.
    """
    log = run_index_log(repository)
    stated, findings = read_run_log(path, log)
    if stated is None:
        return AppendResult(findings=sorted_findings(findings), refused=True)
    run_id = stated["run_id"]
    record = final_record(stated, find_current(log, {run_id}).get(run_id), corrects, now)
    return append_batch(repository, (record,), machine_id=machine_id, now=now)
