"""The run index and the overrides log against what git and the active snapshots have of them (SPEC 11)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from registry_pipeline.canonical import short
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError, RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.repository import find_commit, read_commit_id, read_committed_file, read_parent_id
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.base.tracked_files import check_tracked_files, file_pathspecs
from registry_pipeline.registries.run_index import OVERRIDES_LOG_SPEC, RUN_INDEX_SPEC
from registry_pipeline.registries.run_index.append import Appended
from registry_pipeline.registries.run_index.check import (
    check_append_only,
    check_lines,
    check_overrides,
    check_run_index,
)
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.ids import GRAMMARS, Choose
from registry_pipeline.registries.run_index.log_file import Entry, Line, Log, overrides_log, parse_line, run_index_log
from registry_pipeline.registries.run_index.lookup import find_current
from registry_pipeline.registries.run_index.overrides import index_overrides
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.run_log import final_record, read_run_log, run_log_text, write_run_log
from registry_pipeline.registries.run_index.scan import read_whole
from registry_pipeline.registries.run_index.store import append_runs, read_rule_context
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace, value_type

RUN_INDEX = "run_index"
OVERRIDES_LOG = "overrides_log"
_SPECS = {RUN_INDEX: RUN_INDEX_SPEC, OVERRIDES_LOG: OVERRIDES_LOG_SPEC}
ACTIVE = "active"
"""The baseline that is the active snapshot, and no git revision."""
_TRIES = 64


@value_type
class LogChecked:
    """What a check of one of the two logs found, and over how many lines, records, and runs or overrides."""

    findings: tuple[Finding, ...]
    lines: int
    records: int
    subjects: int


def check_runs_of(repository: Repository, *, baseline: str | None, machine_id: str | None, now: datetime) -> LogChecked:
    """Return every finding of the run index, and with a baseline the proof that it was only appended to.

    Raises:
        NotFoundError: there is no log, or no such baseline (exit 7).
    """
    log = run_index_log(repository)
    around, told = read_rule_context(repository, machine_id=machine_id, now=now)
    checked = check_run_index(log, around)
    against = () if baseline is None else _against(repository, RUN_INDEX, log, baseline)
    # A line of the overrides log that cannot be read may be the one that voids an override.
    lost = [
        each for each in read_whole(overrides_log(repository), missing_ok=True).findings if each.severity == "error"
    ]
    findings = sorted_findings([*told, *checked.findings, *lost, *against, *_tracked(repository)])
    return LogChecked(findings, checked.lines, checked.records, checked.subjects)


def check_overrides_of(repository: Repository, *, baseline: str | None) -> LogChecked:
    """Return every finding of the overrides log, and with a baseline the proof that it was only appended to.

    Raises:
        NotFoundError: there is no log, or no such baseline (exit 7).
    """
    log = overrides_log(repository)
    whole = read_whole(log)
    book = index_overrides(log.shown, whole.entries)
    named = {each.entry.record["run_id"] for each in book.by_id.values()}
    told = check_overrides(log, book, find_current(run_index_log(repository), named))
    against = () if baseline is None else _against(repository, OVERRIDES_LOG, log, baseline)
    findings = sorted_findings([*whole.findings, *told, *against, *_tracked(repository)])
    return LogChecked(findings, whole.lines, len(whole.entries), len(book.by_id))


def _tracked(repository: Repository) -> tuple[Finding, ...]:
    """Return a finding for each of the two logs that HEAD has and the working tree has not."""
    logs = repository.config.run_index
    return check_tracked_files(repository, file_pathspecs(logs.path, logs.overrides))


def _against(repository: Repository, registry_id: str, log: Log, baseline: str) -> tuple[Finding, ...]:
    now = log.path.read_bytes()
    if baseline == ACTIVE:
        ref = read_pointers(repository).active(registry_id)
        if ref is None or not run_folder(repository, ref).is_dir():
            raise NotFoundError(f"no {registry_id} is active", f"run `registry-pipeline build {registry_id}`")
        before = read_sealed(repository, _SPECS[registry_id], ref).kept[ref.relpath or ""]
        return check_append_only(log, before, now, ref.run_id)
    commit = read_commit_id(repository.root, baseline)
    if commit is None:
        raise NotFoundError(
            f"{repository.root} is in no git repository", "leave out --baseline, or say --baseline active"
        )
    return tuple(_against_commit(repository, log, now, commit, baseline))


def _against_commit(repository: Repository, log: Log, now: bytes, commit: str, told: str) -> Iterator[Finding]:
    """Yield what a log lost against a commit; where that has the very same log, against the commit before it."""
    place = log.path.relative_to(repository.root).as_posix()
    before = read_committed_file(repository.root, commit, place)
    if before is None:
        yield finding("RI052", log.shown, detail=told)
        return
    yield from check_append_only(log, before, now, told)
    parent = read_parent_id(repository.root, commit) if before == now else None
    older = None if parent is None else read_committed_file(repository.root, parent, place)
    if parent is not None and older is not None:
        yield from check_append_only(log, older, now, f"commit {short(parent)}")


def check_sealed_run_index(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return how a sealed run index breaks its rules: its records, its overrides as they stand, its growth."""
    data = report.kept.get(sealed.ref.relpath or "")
    if data is None:
        return ()
    log = _as_sealed(run_index_log(repository), sealed, report)
    around, _ = read_rule_context(repository, machine_id=None, now=None)
    around = RuleContext(around.overrides, around.song_index, now=sealed.as_of_utc)
    checked = check_lines(log, io.BytesIO(data), len(data), around)
    return sorted_findings([*checked.findings, *_growth(repository, sealed, report, log, data)])


def check_sealed_overrides_log(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return how a sealed overrides log breaks its rules: its records, the runs that they name, its growth."""
    data = report.kept.get(sealed.ref.relpath or "")
    if data is None:
        return ()
    log = _as_sealed(overrides_log(repository), sealed, report)
    entries: list[Entry] = []
    findings: list[Finding] = []
    for number, part in enumerate(data.split(b"\n")[:-1], 1):
        record, found = parse_line(log, Line(number, 0, part, len(part) + 1))
        findings += found
        entries += [] if record is None else [Entry(record, number, 0, len(part) + 1)]
    book = index_overrides(log.shown, entries)
    named = {each.entry.record["run_id"] for each in book.by_id.values()}
    findings += check_overrides(log, book, find_current(run_index_log(repository), named))
    return sorted_findings([*findings, *_growth(repository, sealed, report, log, data)])


def _as_sealed(log: Log, sealed: SealedRun, report: SealReport) -> Log:
    return Log(log.path, f"{report.path}/{sealed.ref.relpath}", log.reader)


def _growth(repository: Repository, sealed: SealedRun, report: SealReport, log: Log, data: bytes) -> Iterator[Finding]:
    """Yield what a sealed log lost against the snapshot that was active when it was built, and against git then."""
    previous = sealed.inputs.previous(sealed.registry_id)
    if previous is not None and run_folder(repository, previous).is_dir():
        try:
            before = read_sealed(repository, _SPECS[sealed.registry_id], previous).kept[previous.relpath or ""]
        except EvidenceError:
            before = b""  # one that was altered since proves nothing, and is told where it is active
        yield from check_append_only(log, before, data, previous.run_id)
    commit = (report.run_json or {}).get("git_commit")
    if isinstance(commit, str):
        if find_commit(repository.root, commit) is None:
            return  # a snapshot from another clone, whose commits git does not have here
        yield from _against_commit(repository, log, data, commit, f"commit {short(commit)}")


def append_batch(
    repository: Repository, records: tuple[Record, ...], *, machine_id: str | None, now: datetime
) -> Appended:
    """Append records to the run index, held against overrides and the song index as they are now.

    Raises:
        As `append_records` does.
    """
    around, told = read_rule_context(repository, machine_id=machine_id, now=now)
    done = append_runs(repository, records, around)
    return replace(done, findings=sorted_findings([*told, *done.findings]))


def start_run(repository: Repository, place: Path, fields: dict[str, str], *, now: datetime, choose: Choose) -> str:
    """Mint a run id, write a run log that states it and the given fields, and return it; the log is not touched.

    Raises:
        RefusedError: a field is no record's, the run log is there already, or no id is free.
        BusyError, WriteError: as `write_run_log`.
    """
    log = run_index_log(repository)
    for code, pointer, detail, expected, _ in log.reader.problems({"record_type": "RUN", **fields}):
        if code != "RI011":
            raise RefusedError(f"{code} {pointer}: {detail}", f"expected {expected}")
    for _ in range(_TRIES):
        run_id = GRAMMARS[repository.config.run_index.ids].mint("run", now, choose)
        if not find_current(log, {run_id}, use_index=True):
            write_run_log(place, run_log_text(fields | {"run_id": run_id}))
            return run_id
    raise RefusedError("no run id of this minute is free", "try again in the next")


def finish_run(
    repository: Repository, place: Path, *, corrects: tuple[str, ...], machine_id: str | None, now: datetime
) -> Appended:
    """Append the final record of a run from its run log; one that is there already changes nothing.

    Raises:
        NotFoundError: the run log cannot be read. And as `append_records` does.
    """
    log = run_index_log(repository)
    stated, findings = read_run_log(place, log)
    if stated is None:
        return Appended(findings=sorted_findings(findings), refused=True)
    known = find_current(log, {stated["run_id"]}, use_index=True)
    record = final_record(stated, known.get(stated["run_id"]), corrects, now)
    return append_batch(repository, (record,), machine_id=machine_id, now=now)
