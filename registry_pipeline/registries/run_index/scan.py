"""Read a log: all of its records, only those of some runs or overrides, or all of it as the input of a capture."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import IO, Final

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.run_index.gates import sort_versions
from registry_pipeline.registries.run_index.log_file import (
    MAX_LINE,
    Entry,
    Log,
    open_log,
    parse_line,
    parse_record,
    read_lines,
    read_tail,
)
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.values import value_type

_KEYS: Final = {
    # The group is the id; it is None for an id that contains a backslash and so must be parsed.
    key: re.compile(rf'"{key}"[ \t\r]*:[ \t\r]*"(?:([^"\\\n]*)"|[^"\n]*\\)'.encode("ascii"))
    for key in ("run_id", "override_id")
}
# A letter of one of the keys, written as an escape: then the key may be anything, and the line must be parsed.
_ESCAPED: Final = re.compile(rb"\\u00(?:5f|6[0-9a-f]|7[0-9a-f])", re.IGNORECASE)
_ASCII_ESCAPE: Final = re.compile(rb"\\u00")
FAILED_UNIQUENESS: Final = re.compile(rb'"uniqueness_[a-z]++"[ \t\r]*+:[ \t\r]*+"FAIL"')
"""The lines of records with a uniqueness check that failed, written without escapes."""
# One line in so many may be parsed twice, and the whole is still faster than matching every line.
_RARE: Final = 4
_CHUNK: Final = 1 << 22
_MAX_LOG_SIZE: Final = 1 << 30


@value_type
class LogContent:
    """All records of a log in its order, the findings of its lines, and the number of its complete lines."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    lines: int


def read_finished_end(log: Log, file: IO[bytes]) -> tuple[int, list[Finding]]:
    """Return the offset where the complete lines of an open log end, and a finding (RI007) if the log goes on."""
    tail = read_tail(log, file.fileno())
    findings = [finding("RI007", log.display_path, detail=tail.reason)] if tail.reason else []
    return tail.finished, findings


def read_log(log: Log, *, missing_ok: bool = False) -> LogContent:
    """Return the content of a log, which must fit into memory; with `missing_ok`, a missing log is empty.

    Raises:
        NotFoundError: it does not exist, or it cannot be read.
    """
    if missing_ok and not log.path.exists():
        return LogContent((), (), 0)
    with open_log(log) as file:
        end, findings = read_finished_end(log, file)
        content = read_open_log(log, file, end)
    return LogContent(content.entries, (*findings, *content.findings), content.lines)


def read_open_log(log: Log, file: IO[bytes], end: int) -> LogContent:
    """Return the content of an open log up to an offset, without a finding about its end."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    number = 0
    for line in read_lines(file, end=end):
        number = line.number
        entry, line_findings = parse_line(log, line)
        findings += line_findings
        if entry is not None:
            entries.append(entry)
    return LogContent(tuple(entries), tuple(findings), number)


def read_entries(log: Log, file: IO[bytes], end: int, *, offset: int = 0, number: int = 1) -> Iterator[Entry]:
    """Yield the valid records of an open log between two offsets; lines that are not are ignored, but counted."""
    for line in read_lines(file, end=end, offset=offset, number=number):
        entry, _ = parse_line(log, line)
        if entry is not None:
            yield entry


def read_current_records(log: Log, run_ids: Collection[str]) -> dict[str, Record]:
    """Return the current record of each of the runs that a run index contains; empty if the log does not exist."""
    if not run_ids or not log.path.exists():
        return {}
    with open_log(log) as file:
        end, _ = read_finished_end(log, file)
        entries, _ = find_entries(log, file, end, run_ids)
    return {run_id: sort_versions(versions)[-1].record for run_id, versions in group_by_run(entries).items()}


def group_by_run(entries: Collection[Entry]) -> dict[str, list[Entry]]:
    """Return RUN records by run id, each in the given order."""
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.record["run_id"], []).append(entry)
    return runs


def find_entries(log: Log, file: IO[bytes], end: int, ids: Collection[str]) -> tuple[list[Entry], int]:
    """Return the records of some runs or overrides up to an offset, in order, and the number of all lines up to it."""
    # An append calls this for a log of any length, so only lines are parsed that contain one of the ids, or an escape.
    encoded = {identifier.encode() for identifier in ids}

    def find_positions(chunk: bytes) -> list[int]:
        return _find_candidate_positions(chunk, log.id_key, encoded)

    return _select_entries(log, file, end, find_positions, lambda record: record[log.id_key] in ids)


def make_value_pattern(value: str) -> re.Pattern[bytes]:
    """Return a pattern of the lines that contain an ASCII text as a value, written without escapes."""
    return re.compile(re.escape(json.dumps(value).encode("ascii")))


def find_runs_by_pattern(
    log: Log, file: IO[bytes], end: int, pattern: re.Pattern[bytes], matches: Callable[[Record], bool]
) -> set[str] | None:
    """Return the ids of the runs with a record that matches, of the lines that a pattern of ASCII text occurs in.

    A line with an escape may have the text too. None if so many lines have it that reading every record is faster.
    """
    first_chunk = next(_read_chunks(file, end), (b"", 0))[0]
    if _RARE * len(pattern.findall(first_chunk)) > first_chunk.count(b"\n"):
        return None

    def find_positions(chunk: bytes) -> list[int]:
        return sorted(match.start() for each in (pattern, _ASCII_ESCAPE) for match in each.finditer(chunk))

    return {entry.record["run_id"] for entry in _select_entries(log, file, end, find_positions, matches)[0]}


def _select_entries(
    log: Log, file: IO[bytes], end: int, find_positions: Callable[[bytes], list[int]], matches: Callable[[Record], bool]
) -> tuple[list[Entry], int]:
    """Return the records that match, of the lines with a position, and the number of all lines up to an offset."""
    entries: list[Entry] = []
    number = 0  # of the lines before the chunk, and then before `counted_to`
    for chunk, chunk_offset in _read_chunks(file, end):
        counted_to, last_start = 0, -1
        for position in find_positions(chunk):
            start = chunk.rfind(b"\n", 0, position) + 1
            if start == last_start:
                continue  # a second candidate of the same line
            number, counted_to, last_start = number + chunk.count(b"\n", counted_to, start), start, start
            stop = chunk.find(b"\n", position) + 1 or len(chunk)
            entry = parse_record(log, chunk[start:stop], number + 1, chunk_offset + start)
            if entry is not None and matches(entry.record):
                entries.append(entry)
        number += chunk.count(b"\n", counted_to) + (not chunk.endswith(b"\n"))
    return entries, number


def _find_candidate_positions(chunk: bytes, key: str, ids: Collection[bytes]) -> list[int]:
    """Return sorted positions, at least one in each line that has one of the ids; other lines may have some too."""
    positions = [match.start() for match in _KEYS[key].finditer(chunk) if match[1] is None or match[1] in ids]
    if b"\\u00" not in chunk:
        return positions
    return sorted([*positions, *(match.start() for match in _ESCAPED.finditer(chunk))])


def _read_chunks(file: IO[bytes], end: int) -> Iterator[tuple[bytes, int]]:
    """Yield blocks of whole lines of a log up to an offset, each with its offset."""
    file.seek(0)
    offset, pending, skipping = 0, b"", False
    while offset < end:
        data = file.read(min(_CHUNK, end - offset))
        if not data:
            break  # the log was truncated while it was read
        offset += len(data)
        if skipping:
            # Of a line that is too long to be a record, only the newline is yielded, so that the line is counted.
            newline = data.find(b"\n")
            data, skipping = data[newline:] if newline >= 0 else b"", newline < 0
        pending += data
        complete = pending.rfind(b"\n") + 1
        if complete:
            yield pending[:complete], offset - len(pending)
            pending = pending[complete:]
        if len(pending) > MAX_LINE:
            pending, skipping = b"", True
    if pending or skipping:
        yield pending or b" ", offset - len(pending)


def read_run_index_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the run index and count its lines."""
    return _read_log_inputs("run_index", repository.config.run_index.path, repository, context)


def read_overrides_log_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the overrides log and count its lines."""
    return _read_log_inputs("overrides_log", repository.config.run_index.overrides, repository, context)


def _read_log_inputs(registry_id: str, path: str, repository: Repository, context: SourceContext) -> BuildInputs:
    # The capture checks the form only. The rules are checked on the sealed bytes, in `baseline`.
    capture = CaptureReader(registry_id, repository, context)
    capture.capture_file(path, capture.artifact, most=_MAX_LOG_SIZE)
    data = capture.files.get(capture.artifact)
    return capture.make_build_inputs(None if data is None or capture.refused else data.count(b"\n"))
