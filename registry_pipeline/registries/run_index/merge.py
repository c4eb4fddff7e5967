"""Merge the logs of two machines: every line of both, once, in an order that keeps the order of each.

The result does not depend on which log is named first, a second merge changes nothing, and each log is an ordered
subset of the result.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from registry_pipeline.canonical import second_of, sha256_hex
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import refuse_missing_folder, replace_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.run_index.append import locked
from registry_pipeline.registries.run_index.check import check_append_only
from registry_pipeline.registries.run_index.gates import compare_identity, version_key
from registry_pipeline.registries.run_index.log_file import (
    MAX_LINE,
    Entry,
    Line,
    Log,
    batch_intent_path,
    open_log,
    parse_line,
    read_tail,
)
from registry_pipeline.registries.run_index.overrides import index_overrides
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.values import value_type


@value_type
class MergedLog:
    """The bytes of a merged log, None if the logs cannot be merged, and how many records each log contributed."""

    data: bytes | None
    findings: tuple[Finding, ...]
    in_both: int = 0
    only_first: int = 0
    only_second: int = 0


@value_type
class MergeResult:
    """The result of a merge into a file.

    Attributes:
        changed: the file was written.
        refused: the logs cannot be merged, or the file would lose lines.
    """

    merged: MergedLog
    findings: tuple[Finding, ...]
    changed: bool = False
    refused: bool = False


@value_type
class _Node:
    """One line of either log: its text, and how many equal lines come before it in the same log."""

    text: bytes
    repetition: int


@value_type
class _Side:
    nodes: tuple[_Node, ...]
    records: dict[_Node, Record]
    findings: tuple[Finding, ...]


def merge_files(log: Log, first: Path, second: Path, target: Path) -> MergeResult:
    """Merge two files into a third, which may be one of them; `log` gives the rules of their records.

    An existing target is replaced only if the result contains all of its lines in their order.

    Raises:
        NotFoundError: a file does not exist or cannot be read (exit 7).
        BusyError: the target is being appended to, or another writer created or changed it meanwhile (exit 6).
        RefusedError: the target is a link, or not a regular file (exit 5).
        WriteError: the target cannot be written (exit 1).
    """
    target_log = Log(target, str(target), log.validator)
    refuse_missing_folder(target)
    with ExitStack() as stack:
        # (1) Lock the target, so that no append is lost. A missing one is created below, never replaced.
        exists = target.exists()
        if exists:
            stack.enter_context(locked(target_log))
        # (2) Merge in memory.
        incomplete = _find_incomplete_batches(log, first, second)
        if incomplete:
            return MergeResult(MergedLog(None, incomplete), incomplete, refused=True)
        merged = merge_logs(target_log, (str(first), _read(first)), (str(second), _read(second)))
        if merged.data is None:
            return MergeResult(merged, merged.findings, refused=True)
        # (3) Compare with the target and replace it.
        previous = _read(target) if exists else None
        if previous == merged.data:
            return MergeResult(merged, merged.findings)
        lost = () if previous is None else check_append_only(target_log, previous, merged.data, str(target))
        if has_errors(lost):
            return MergeResult(merged, sorted_findings([*merged.findings, *lost]), refused=True)
        replace_file(target, merged.data, None if previous is None else sha256_hex(previous))
    return MergeResult(merged, merged.findings, changed=True)


def _find_incomplete_batches(log: Log, *paths: Path) -> tuple[Finding, ...]:
    """Return an error for each log that ends in a part of a batch."""
    findings: list[Finding] = []
    for path in paths:
        source = Log(path, str(path), log.validator)
        if not batch_intent_path(source).exists() or not path.exists():
            continue
        with open_log(source) as file:
            tail = read_tail(source, file.fileno())
            file.seek(tail.finished)
            # Lines of a part of a batch look complete, so a merge would keep them. Other torn ends cannot be parsed.
            if b"\n" in file.read(tail.size - tail.finished):
                findings.append(finding("RI007", source.display_path, severity=Severity.ERROR, detail=tail.reason))
    return tuple(findings)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "name two logs that exist") from None


def merge_logs(log: Log, first: tuple[str, bytes], second: tuple[str, bytes]) -> MergedLog:
    """Return the merge of two logs, each a name for findings and its bytes; `log` gives the rules of their records.

    Lines that are not records, collisions and contradicting orders forbid the merge. Blank lines are left out, and
    lines end with LF.
    """
    one, two = _read_side(log, *first), _read_side(log, *second)
    findings = [*one.findings, *two.findings]
    records = one.records | two.records
    nodes = _merge_orders(one.nodes, two.nodes, records)
    if nodes is None:
        findings.append(finding("RI060", first[0], got=second[0]))
    elif not has_errors(findings):
        findings += _find_collisions(log.display_path, [records[node] for node in nodes])
    if nodes is None or has_errors(findings):
        return MergedLog(None, sorted_findings(findings))
    in_first, in_second = set(one.nodes), set(two.nodes)
    data = b"".join(node.text + b"\n" for node in nodes)
    counts = (len(in_first & in_second), len(in_first - in_second), len(in_second - in_first))
    return MergedLog(data, sorted_findings(findings), *counts)


def _read_side(log: Log, name: str, data: bytes) -> _Side:
    source = log.with_display_path(name)
    nodes: list[_Node] = []
    records: dict[_Node, Record] = {}
    findings: list[Finding] = []
    repetitions: Counter[bytes] = Counter()
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        parsed = Line(number, 0, line, len(line) + 1, too_long=len(line) > MAX_LINE)
        record, line_findings = parse_line(source, parsed)
        findings += line_findings
        if record is not None:
            text = line.removesuffix(b"\r")
            node = _Node(text, repetitions[text])
            repetitions[text] += 1
            nodes.append(node)
            records[node] = record
    return _Side(tuple(nodes), records, tuple(findings))


def _merge_orders(one: Sequence[_Node], two: Sequence[_Node], records: dict[_Node, Record]) -> list[_Node] | None:
    """Return all nodes in an order that keeps both sequences; None if the sequences contradict each other."""
    # A topological sort. Of the nodes that may come next, the least by its fields is taken, so that the result does
    # not depend on which log is first.
    predecessors: Counter[_Node] = Counter()
    successors: dict[_Node, list[_Node]] = {node: [] for node in records}
    for sequence in (one, two):
        for previous, node in itertools.pairwise(sequence):
            successors[previous].append(node)
            predecessors[node] += 1
    ready = [_sort_key(node, records[node]) for node in records if not predecessors[node]]
    heapq.heapify(ready)
    ordered: list[_Node] = []
    while ready:
        *_, text, repetition = heapq.heappop(ready)
        node = _Node(text, repetition)
        ordered.append(node)
        for successor in successors[node]:
            predecessors[successor] -= 1
            if not predecessors[successor]:
                heapq.heappush(ready, _sort_key(successor, records[successor]))
    return ordered if len(ordered) == len(records) else None


def _sort_key(node: _Node, record: Record) -> tuple[str, str, str, bytes, int]:
    if record["record_type"] == "RUN":
        return (*version_key(record), record["run_id"], node.text, node.repetition)
    stamp = record.get("update_utc", record.get("created_utc", ""))
    return (second_of(stamp) or "", "", record["override_id"], node.text, node.repetition)


def _find_collisions(path: str, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield a finding for two runs, or two overrides, with one id; lines are numbered as in the result."""
    entries = [Entry(record, number, number, 0) for number, record in enumerate(records, 1)]
    if records and records[0]["record_type"] != "RUN":
        yield from (item for item in index_overrides(path, entries).findings if item.code == "RI042")
        return
    first_entries: dict[tuple[str, str | None], Entry] = {}
    for entry in entries:
        key = (entry.record["run_id"], second_of(entry.record["created_utc"]))
        yield from compare_identity(path, first_entries.setdefault(key, entry), entry)
