"""All findings of a run index, and the proof that a log was only appended to."""

from __future__ import annotations

import codecs
import io
from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from itertools import chain
from typing import IO

from registry_pipeline.canonical import sha256_hex, short
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.repository import find_commit, read_commit_id, read_committed_file
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.run_index.gates import (
    RuleContext,
    SongIndex,
    check_current_record,
    check_timestamps,
    check_versions,
    sort_versions,
)
from registry_pipeline.registries.run_index.line_pattern import LineContents, add_seconds
from registry_pipeline.registries.run_index.log_file import (
    Entry,
    Line,
    Log,
    parse_line,
    parse_record,
    scan_lines,
)
from registry_pipeline.registries.run_index.scan import group_by_run
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type


@value_type
class CheckResult:
    """The findings of a log, and how many lines, records, and runs or overrides were checked."""

    findings: tuple[Finding, ...]
    lines: int
    records: int
    subjects: int


def check_run_index(log: Log, file: IO[bytes], end: int, context: RuleContext) -> CheckResult:
    """Return every finding of the lines of an open run index up to an offset, not sorted."""
    # The log may be larger than memory, so only the location of each record is kept. Most runs have one record, which
    # is checked at once. The records of the other runs are read again together.
    locations: dict[str, tuple[int, int, int]] = {}
    repeated: dict[str, list[tuple[int, int, int]]] = {}
    single_findings: dict[str, list[Finding]] = {}
    versions: dict[str, set[str]] = {}
    findings: list[Finding] = []
    number = records = 0
    for number, offset, size, contents in scan_lines(log, file, end=end):
        location, entries = (number, offset, size), list[Entry]()
        if isinstance(contents, Line):
            entry, line_findings = parse_line(log, contents)
            findings += line_findings
            if entry is None:
                continue
            entries, run_id = [entry], entry.record["run_id"]
        else:
            run_id = contents[0]
            if context.song_index is not None or not _is_clean(contents, context):
                entries = list(_read_entry_again(log, file, *location))
        records += 1
        first = locations.setdefault(run_id, location)
        if first is not location:
            single_findings.pop(run_id, None)
            repeated.setdefault(run_id, [first]).append(location)
        elif entries and (run_findings := list(check_runs(log.display_path, entries, context))):
            single_findings[run_id] = run_findings
        if context.song_index is not None:
            for entry in entries:
                versions.setdefault(run_id, set()).update(entry.record.get("version_ids", ()))
    findings += chain.from_iterable(single_findings.values())
    for run_locations in repeated.values():
        entries = [entry for location in run_locations for entry in _read_entry_again(log, file, *location)]
        findings += check_runs(log.display_path, entries, context)
    if context.song_index is not None:
        findings += _check_song_versions(log.display_path, context.song_index, versions)
    return CheckResult(tuple(findings), number, records, len(locations))


def _is_clean(contents: LineContents, context: RuleContext) -> bool:
    """Return whether `check_runs` surely has no finding about the only record of a run, except about the song index."""
    _, created, updated, machine, _, _, gate2, *uniqueness, packet, work, version, run_log = contents
    created, updated = add_seconds(created), add_seconds(updated or created)
    if updated < created or (context.now is not None and updated > context.now):
        return False
    if gate2 == "PASS":
        if not (packet and work and version and run_log) or "FAIL" in uniqueness:
            return False
    elif (work or version) and not packet:
        return False
    if run_log is None:
        return True
    # A path of Windows, or with an escape, is left to `check_runs`.
    is_posix = run_log.startswith("/") and "\\" not in run_log
    return is_posix and (context.machine_id != machine or context.is_file(run_log))


def _read_entry_again(log: Log, file: IO[bytes], number: int, offset: int, size: int) -> Iterator[Entry]:
    """Yield the record at a location, or nothing if there is no valid record any more."""
    file.seek(offset)
    entry = parse_record(log, file.read(size), number, offset)
    # The log may have been edited since.
    if entry is not None:
        yield entry


def _check_song_versions(path: str, songs: SongIndex, versions: dict[str, set[str]]) -> Iterator[Finding]:
    for version, run_id in sorted(songs.versions.items()):
        if run_id is not None and version not in versions.get(run_id, ()):
            got = None if run_id in versions else f"no record of {run_id}"
            yield finding("RI039", path, expected=run_id, got=got, detail=version)


def check_runs(path: str, entries: Collection[Entry], context: RuleContext) -> Iterator[Finding]:
    """Yield every finding about the records of some runs; `entries` are all their records, in the order of the log."""
    for versions in group_by_run(entries).values():
        for entry in versions:
            yield from check_timestamps(path, entry, context.now)
        yield from check_versions(path, versions)
        yield from check_current_record(path, sort_versions(versions)[-1], context)


def check_append_only(log: Log, baseline: bytes, data: bytes, baseline_name: str) -> tuple[Finding, ...]:
    """Return a finding for each line of a baseline that a log lacks (RI050, RI053) or has in another order (RI051).

    The lines of the baseline must be an ordered subset, not a prefix: a merge inserts lines between others.
    """
    # (1) Fast paths: the log starts with the baseline, or contains its lines in order.
    if data.startswith(baseline) and (baseline.endswith(b"\n") or not baseline):
        return ()
    remaining = _find_record_lines(data)
    if all(any(line == other for _, other in remaining) for _, line in _find_record_lines(baseline)):
        return ()
    # (2) Otherwise find which lines are missing or moved.
    return tuple(_find_lost_lines(log, baseline, data, baseline_name))


def _find_lost_lines(log: Log, baseline: bytes, data: bytes, baseline_name: str) -> Iterator[Finding]:
    numbers: dict[str, deque[int]] = defaultdict(deque)
    for number, line in _find_record_lines(data):
        numbers[sha256_hex(line)].append(number)
    last = 0
    for number, line in _find_record_lines(baseline):
        same_lines = numbers.get(sha256_hex(line))
        location = f"line {number} of {baseline_name}"
        if not same_lines:
            code = "RI050" if parse_record(log, line) is not None else "RI053"
            expected = line[:80].decode("utf-8", "backslashreplace")
            yield finding(code, log.display_path, location=location, expected=expected, detail=baseline_name)
            continue
        position = same_lines.popleft()
        if position < last:
            expected, got = f"after line {last}", f"line {position}"
            yield finding(
                "RI051", log.display_path, location=location, expected=expected, got=got, detail=baseline_name
            )
        last = max(last, position)


def _find_record_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and text of each line that is not blank, without BOM and CR: a repair of those is no loss."""
    for number, line in enumerate(io.BytesIO(data.removeprefix(codecs.BOM_UTF8)), 1):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if text.strip():
            yield number, text


def compare_with_baseline(repository: Repository, log: Log, baseline: str) -> tuple[Finding, ...]:
    """Return the findings of a log compared with a git revision, or with the active snapshot (`active`).

    Raises:
        NotFoundError: there is no such baseline (exit 7).
    """
    data = log.path.read_bytes()
    if baseline == "active":
        registry_id = log.spec.registry_id
        ref = read_pointers(repository).active(registry_id)
        if ref is None or not run_folder(repository, ref).is_dir():
            raise NotFoundError(f"no {registry_id} is active", f"run `registry-pipeline build {registry_id}`")
        snapshot = read_sealed_report(repository, log.spec, ref).kept[ref.relpath or ""]
        return check_append_only(log, snapshot, data, ref.run_id)
    commit = read_commit_id(repository.root, baseline)
    if commit is None:
        raise NotFoundError(
            f"{repository.root} is in no git repository", "leave out --baseline, or use --baseline active"
        )
    return tuple(_compare_with_commit(repository, log, data, commit, baseline))


def compare_with_previous(
    repository: Repository, sealed: SealedRun, report: SealReport, log: Log, data: bytes
) -> Iterator[Finding]:
    """Yield the findings of a sealed log compared with its previous snapshot and its commit, if they exist."""
    previous = sealed.inputs.previous(sealed.registry_id)
    if previous is not None and run_folder(repository, previous).is_dir():
        try:
            snapshot = read_sealed_report(repository, log.spec, previous).kept[previous.relpath or ""]
        except EvidenceError:
            snapshot = b""  # it was changed since and proves nothing; the check of the active runs reports it
        yield from check_append_only(log, snapshot, data, previous.run_id)
    commit = (report.run_json or {}).get("git_commit")
    # A snapshot from another clone may name a commit that git does not have here.
    if isinstance(commit, str) and find_commit(repository.root, commit) is not None:
        yield from _compare_with_commit(repository, log, data, commit, f"commit {short(commit)}")


def _compare_with_commit(repository: Repository, log: Log, data: bytes, commit: str, name: str) -> Iterator[Finding]:
    """Yield the findings of a log compared with that of a commit (RI052: it has none) and, if equal, of its parent."""
    path = log.path.relative_to(repository.root).as_posix()
    committed = read_committed_file(repository.root, commit, path)
    if committed is None:
        yield finding("RI052", log.display_path, detail=name)
        return
    yield from check_append_only(log, committed, data, name)
    # A commit that contains this very log proves nothing, so its parent is compared too.
    parent = find_commit(repository.root, f"{commit}^1") if committed == data else None
    if parent is not None:
        older = read_committed_file(repository.root, parent, path)
        if older is not None:
            yield from check_append_only(log, older, data, f"commit {short(parent)}")
