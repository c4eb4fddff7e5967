"""The operations on the two logs of a repository, for the commands and for the validation of sealed runs."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.drift import check_tracked_files, make_pathspecs
from registry_pipeline.registries.run_index.append import AppendResult, append_records
from registry_pipeline.registries.run_index.check import (
    CheckResult,
    check_run_index,
    check_runs,
    compare_with_baseline,
    compare_with_previous,
)
from registry_pipeline.registries.run_index.gates import RuleContext, read_song_index
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log, overrides_log, run_index_log
from registry_pipeline.registries.run_index.overrides import check_overrides, index_overrides
from registry_pipeline.registries.run_index.record import GRAMMARS, Choose, Record
from registry_pipeline.registries.run_index.run_log import (
    create_run_log,
    format_run_log,
    make_final_record,
    read_run_log,
)
from registry_pipeline.registries.run_index.scan import read_current_records, read_finished_end, read_log, read_open_log
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace

_ID_ATTEMPTS: Final = 64


def read_rule_context(
    repository: Repository, *, machine_id: str | None = None, now: str | None = None
) -> tuple[RuleContext, tuple[Finding, ...]]:
    """Return what the run index of a repository is compared with, and findings about an unreadable song index."""
    path = repository.config.run_index.song_index
    songs, findings = (None, ()) if path is None else read_song_index(repository.path(path), path)
    log = overrides_log(repository)
    overrides = index_overrides(log.display_path, read_log(log, missing_ok=True).entries)
    return RuleContext(overrides, songs, machine_id, now, os.path.isfile), findings


def check_log(
    repository: Repository, log: Log, *, baseline: str | None, machine_id: str | None, now: datetime
) -> CheckResult:
    """Return every finding of a log, sorted, and its counts; with a `baseline`, the log is compared with it too.

    Raises:
        NotFoundError: the log or the baseline does not exist (exit 7).
    """
    with open_log(log) as file:
        end, findings = read_finished_end(log, file)
        result, context_findings = _check_content(repository, log, file, end, machine_id, utc_text(now))
    findings += [*context_findings, *result.findings]
    if log.id_key == "run_id":
        # A line of the overrides log that cannot be parsed may be the one that voids an override.
        overrides = read_log(overrides_log(repository), missing_ok=True)
        findings += [item for item in overrides.findings if item.severity == "error"]
    if baseline is not None:
        findings += compare_with_baseline(repository, log, baseline)
    paths = repository.config.run_index
    findings += check_tracked_files(repository, make_pathspecs(paths.path, paths.overrides))
    return replace(result, findings=sorted_findings(findings))


def check_sealed_log(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of a sealed log, sorted; overrides, and the runs that they name, count as they are now."""
    data = report.kept.get(sealed.ref.relpath or "")
    if data is None:
        return ()
    log = run_index_log(repository) if sealed.registry_id == "run_index" else overrides_log(repository)
    log = replace(log, display_path=f"{report.path}/{sealed.ref.relpath}")
    result, _ = _check_content(repository, log, io.BytesIO(data), len(data), None, sealed.as_of_utc)
    return sorted_findings([*result.findings, *compare_with_previous(repository, sealed, report, log, data)])


def _check_content(
    repository: Repository, log: Log, file: IO[bytes], end: int, machine_id: str | None, now: str
) -> tuple[CheckResult, tuple[Finding, ...]]:
    """Return the result for an open log up to an offset, and findings about what it is compared with."""
    if log.id_key == "run_id":
        context, findings = read_rule_context(repository, machine_id=machine_id, now=now)
        return check_run_index(log, file, end, context), findings
    content = read_open_log(log, file, end)
    index = index_overrides(log.display_path, content.entries)
    runs = read_current_records(run_index_log(repository), index.by_run.keys())
    findings = (*content.findings, *check_overrides(log.display_path, index, runs))
    return CheckResult(findings, content.lines, len(content.entries), len(index.by_id)), ()


def append_to_log(
    repository: Repository, log: Log, records: Sequence[Record], *, machine_id: str | None, now: datetime
) -> AppendResult:
    """Append all records to a log or none, checked with what the repository contains; raises as `append_records`."""
    if log.id_key == "run_id":
        context, findings = read_rule_context(repository, machine_id=machine_id, now=utc_text(now))
        result = append_records(log, records, lambda entries: check_runs(log.display_path, entries, context))
        return replace(result, findings=sorted_findings([*findings, *result.findings]))
    runs: dict[frozenset[str], dict[str, Record]] = {}

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        index = index_overrides(log.display_path, entries)
        named = frozenset(index.by_run)
        # An append checks twice; the run index is read once.
        if named not in runs:
            runs[named] = read_current_records(run_index_log(repository), named)
        return check_overrides(log.display_path, index, runs[named])

    return append_records(log, records, check)


def start_run(repository: Repository, path: Path, fields: dict[str, str], *, now: datetime, choose: Choose) -> str:
    """Create a run log with a new run id and the given fields, and return the id. The run index is not changed.

    Raises:
        RefusedError: a field is not valid, the run log exists, or no id is free.
        BusyError, WriteError: as `create_run_log`.
    """
    log = run_index_log(repository)
    for code, pointer, detail, expected, _ in log.validator.find_problems({"record_type": "RUN", **fields}):
        # RI011: the other required fields are filled in later.
        if code != "RI011":
            raise RefusedError(f"{code} {pointer}: {detail}", f"expected {expected}")
    for _ in range(_ID_ATTEMPTS):
        run_id = GRAMMARS[repository.config.run_index.ids].make_id("run", now, choose)
        if not read_current_records(log, {run_id}):
            create_run_log(path, format_run_log(fields | {"run_id": run_id}))
            return run_id
    raise RefusedError("no run id of this minute is free", "try again in the next minute")


def finish_run(
    repository: Repository, path: Path, *, corrects: tuple[str, ...], machine_id: str | None, now: datetime
) -> AppendResult:
    """Append the final record of a run from its run log; an invalid one is refused, a repetition adds nothing.

    Raises:
        NotFoundError: the run log cannot be read. And as `append_records` does.
    """
    log = run_index_log(repository)
    stated, findings = read_run_log(path, log)
    if stated is None:
        return AppendResult(findings=sorted_findings(findings), refused=True)
    run_id = stated["run_id"]
    record = make_final_record(stated, read_current_records(log, {run_id}).get(run_id), corrects, now)
    return append_to_log(repository, log, (record,), machine_id=machine_id, now=now)
