"""Merge the logs of two machines: every line of both, once, in an order that keeps the order of each."""

from __future__ import annotations

import heapq
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from registry_pipeline.canonical import second_of, sha256_hex
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import refuse_missing_folder, replace_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.run_index.append import hold_log_lock
from registry_pipeline.registries.run_index.check import check_append_only
from registry_pipeline.registries.run_index.gates import check_identity, index_overrides, version_key
from registry_pipeline.registries.run_index.log_file import (
    Entry,
    Log,
    batch_intent_path,
    open_log,
    parse_line,
    read_lines,
    read_tail,
)
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.values import replace, value_type

Node = tuple[bytes, int]
"""One line of either log: its text, and how many equal lines come before it in the same log."""


@value_type
class MergeResult:
    """The bytes of the merged log, None if the logs cannot be merged, and how many records each log contributed."""

    data: bytes | None
    findings: tuple[Finding, ...]
    in_both: int = 0
    only_first: int = 0
    only_second: int = 0
    changed: bool = False  # the target was written
    refused: bool = False  # the logs cannot be merged, or the target would lose lines


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
            stack.enter_context(hold_log_lock(target_log))
        # (2) Merge in memory.
        incomplete = _find_incomplete_batches(log, first, second)
        if incomplete:
            return MergeResult(None, incomplete, refused=True)
        merged = merge_logs(target_log, (str(first), _read_file(first)), (str(second), _read_file(second)))
        if merged.data is None:
            return merged
        # (3) Compare with the target and replace it.
        previous = _read_file(target) if exists else None
        if previous == merged.data:
            return merged
        lost = () if previous is None else check_append_only(target_log, previous, merged.data, str(target))
        if has_errors(lost):
            return replace(merged, findings=sorted_findings([*merged.findings, *lost]), refused=True)
        replace_file(target, merged.data, None if previous is None else sha256_hex(previous))
    return replace(merged, changed=True)


def _find_incomplete_batches(log: Log, *paths: Path) -> tuple[Finding, ...]:
    """Return an error for each log that ends with complete lines of an incomplete batch (RI007)."""
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


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "name two logs that exist") from None


def merge_logs(log: Log, first: tuple[str, bytes], second: tuple[str, bytes]) -> MergeResult:
    """Return the merge of two logs, each a name for findings and its bytes; `log` gives the rules of their records.

    Lines that are not records, collisions and contradicting orders forbid the merge. Blank lines are left out, and
    lines end with LF.
    """
    findings: list[Finding] = []
    records: dict[Node, Record] = {}
    one, two = (
        _parse_nodes(replace(log, display_path=name), data, records, findings) for name, data in (first, second)
    )
    nodes = _merge_orders(one, two, records)
    if nodes is None:
        findings.append(finding("RI060", first[0], got=second[0]))
    elif not has_errors(findings):
        findings += _find_collisions(log.display_path, [records[node] for node in nodes])
    if nodes is None or has_errors(findings):
        return MergeResult(None, sorted_findings(findings), refused=True)
    in_first, in_second = set(one), set(two)
    data = b"".join(text + b"\n" for text, _ in nodes)
    counts = (len(in_first & in_second), len(in_first - in_second), len(in_second - in_first))
    return MergeResult(data, sorted_findings(findings), *counts)


def _parse_nodes(log: Log, data: bytes, records: dict[Node, Record], findings: list[Finding]) -> list[Node]:
    """Return the lines of a log that are records, in order; add the records and the findings to the arguments."""
    nodes: list[Node] = []
    repetitions: Counter[bytes] = Counter()
    for line in read_lines(io.BytesIO(data), end=len(data)):
        entry, line_findings = parse_line(log, line)
        findings += line_findings
        if entry is not None:
            text = line.data.removesuffix(b"\r")
            node = (text, repetitions[text])
            repetitions[text] += 1
            nodes.append(node)
            records[node] = entry.record
    return nodes


def _merge_orders(one: Sequence[Node], two: Sequence[Node], records: dict[Node, Record]) -> list[Node] | None:
    """Return all nodes in an order that keeps both sequences; None if the sequences contradict each other."""
    sorter: TopologicalSorter[Node] = TopologicalSorter(dict.fromkeys(records, ()))
    for sequence in (one, two):
        for previous, node in itertools.pairwise(sequence):
            sorter.add(node, previous)
    try:
        sorter.prepare()
    except CycleError:
        return None
    # Of the nodes that may come next, the least by its fields is taken, so that the result does not depend on which
    # log is first.
    ready: list[tuple[tuple[str, str, str], Node]] = []
    ordered: list[Node] = []
    while sorter.is_active():
        for node in sorter.get_ready():
            heapq.heappush(ready, (_make_sort_key(records[node]), node))
        _, node = heapq.heappop(ready)
        ordered.append(node)
        sorter.done(node)
    return ordered


def _make_sort_key(record: Record) -> tuple[str, str, str]:
    if record["record_type"] == "RUN":
        return (*version_key(record), record["run_id"])
    stamp = record.get("update_utc", record.get("created_utc", ""))
    return (second_of(stamp) or "", "", record["override_id"])


def _find_collisions(path: str, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield RI024 or RI042 for each record with the id of a different run or override."""
    # Two runs, or two overrides, have one id. Lines are numbered as in the result.
    entries = [Entry(record, number, 0, 0) for number, record in enumerate(records, 1)]
    if records and records[0]["record_type"] != "RUN":
        yield from (item for item in index_overrides(path, entries).findings if item.code == "RI042")
        return
    first_entries: dict[tuple[str, str | None], Entry] = {}
    for entry in entries:
        key = (entry.record["run_id"], second_of(entry.record["created_utc"]))
        yield from check_identity(path, first_entries.setdefault(key, entry), entry)
