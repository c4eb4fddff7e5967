"""The operations on the two logs of a repository and on run log files, for the commands and for validation.

A run log file has the notes of a run in progress, from which its final record is made. It is Markdown that starts with
the fields of the record between two `---` lines (YAML, every value as its text), so that nobody writes JSON by hand. An
empty field is left out of the record.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import create_file
from registry_pipeline.findings.codes import finding
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
from registry_pipeline.registries.run_index.gates import (
    RuleContext,
    check_overrides,
    find_changed_fields,
    index_overrides,
    read_song_index,
)
from registry_pipeline.registries.run_index.log_file import (
    Entry,
    Log,
    make_problem_findings,
    open_log,
    overrides_log,
    run_index_log,
)
from registry_pipeline.registries.run_index.record import GRAMMARS, RUN, Choose, Record
from registry_pipeline.registries.run_index.scan import read_current_records, read_finished_end, read_log, read_open_log
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace
from registry_pipeline.yaml.values import parse_text_values

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


# `finish` sets these fields, nobody fills them in.
_AUTOMATIC: Final = frozenset({"record_type", "last_updated_utc", "run_log_filepath_abs", "corrects"})
_MAX_SIZE: Final = 4 << 20
_TEMPLATE: Final = """\

# Run log of {run_id}

Fill in the fields above as the run goes on; an empty field is left out. Then:

    registry-pipeline run-index finish THIS-FILE

## What happened

"""


def format_run_log(fields: Mapping[str, str]) -> str:
    """Return the text of a new run log; `fields` are filled in, comments list the values that other fields allow."""
    lines = ["---"]
    for name, field in RUN.fields.items():
        if name not in _AUTOMATIC:
            comment = f"  # {' | '.join(field.values)}" if field.values and name not in fields else ""
            lines.append(f"{name}: {fields.get(name, '')}".rstrip() + comment)
    return "\n".join([*lines, "---"]) + "\n" + _TEMPLATE.format(run_id=fields["run_id"])


def create_run_log(path: Path, text: str) -> None:
    """Create a run log file durably.

    Raises:
        RefusedError: the file exists (exit 5).
        BusyError, WriteError: as `create_file`.
    """
    if os.path.lexists(path):
        raise RefusedError(f"{path} exists already", "name a new file; a run log is never overwritten")
    create_file(path, text.encode("utf-8"))


def read_run_log(path: Path, log: Log) -> tuple[dict[str, Any] | None, tuple[Finding, ...]]:
    """Return the record of a run log, in the documented order of fields, or None and the findings why it is not valid.

    Raises:
        NotFoundError: the file does not exist or cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "name the run log that `start` wrote") from None
    try:
        fields = _parse_front_matter(data)
    except ValueError as error:
        return None, (finding("RI018", str(path), detail=str(error)[:200]),)
    record: dict[str, Any] = {"record_type": "RUN"}
    for name, text in fields.items():
        value = text.strip() if isinstance(text, str) else text
        if name == "version_ids" and isinstance(value, str):
            value = value.replace(",", " ").split()
        if value not in ("", [], None):
            record[name] = value
    record["run_log_filepath_abs"] = str(path.absolute())
    findings = tuple(make_problem_findings(str(path), log.validator.find_problems(record)))
    return (None if findings else sort_fields(record)), findings


def _parse_front_matter(data: bytes) -> dict[str, Any]:
    """Return the YAML between the first two `---` lines, scalars as texts; raise ValueError if it is no mapping."""
    if len(data) > _MAX_SIZE:
        raise ValueError(f"it is larger than {_MAX_SIZE >> 20} MiB")
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason}") from None
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"]  # an indented one is text
    if marks[:1] != [0] or len(marks) < 2:
        raise ValueError("it does not start with its fields between two `---` lines")
    value = parse_text_values("\n".join(lines[1 : marks[1]]))
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError("the text between the `---` lines is not a list of `field: value` lines")
    return value


def make_final_record(stated: Record, previous: Record | None, corrects: tuple[str, ...], now: datetime) -> Record:
    """Return the record to append for a run log; `previous` is the current record of the run, if there is one.

    A run log that says nothing new gives the previous record, so that a repeated `finish` changes nothing. Otherwise
    it gets `last_updated_utc`, and of `corrects` those fields that it changes or removes.
    """
    if previous is None:
        return stated
    if stated == {name: previous[name] for name in previous if name not in ("last_updated_utc", "corrects")}:
        return previous
    changed = find_changed_fields(previous, stated)
    named = [name for name in corrects if name in changed]
    update = {"last_updated_utc": utc_text(now)} | ({"corrects": named} if named else {})
    return sort_fields(dict(stated) | update)


def sort_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its fields in the documented order, followed by extra keys."""
    known = {name: record[name] for name in RUN.fields if name in record}
    return known | {name: value for name, value in record.items() if name not in known}
