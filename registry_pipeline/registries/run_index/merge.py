"""Two machines' logs in one: every line of both, once, in an order that keeps the order of each (SPEC 11).

Where neither log tells which of two lines came first, their fields do: the stamp, the machine, the id, the text. So
the result is the same whichever log is named first, a second merge changes nothing, and both logs are ordered subsets
of it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from registry_pipeline.canonical import second_of
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.registries.run_index.log_file import MAX_LINE, Entry, Line, Log, parse_line
from registry_pipeline.registries.run_index.overrides import index_overrides
from registry_pipeline.registries.run_index.record import Record
from registry_pipeline.registries.run_index.versions import colliding_fields, order_of
from registry_pipeline.values import value_type


@value_type
class Merged:
    """The bytes of a merged log, None where something forbids it, and how many records came from where."""

    data: bytes | None
    findings: tuple[Finding, ...]
    in_both: int = 0
    only_first: int = 0
    only_second: int = 0


@value_type
class _Node:
    """One line of either log: its text and how often that text stood before in the same log."""

    text: bytes
    again: int


@value_type
class _Side:
    nodes: tuple[_Node, ...]
    records: dict[_Node, Record]
    findings: tuple[Finding, ...]


def merge_logs(log: Log, one: tuple[str, bytes], two: tuple[str, bytes]) -> Merged:
    """Return the merge of two logs, each a name for findings and its bytes; `log` tells how their records read.

    A line that is no record, a collision, or lines in opposite order forbid the merge. Blank lines are left out, and
    line ends are LF.
    """
    first, second = _side(log, *one), _side(log, *two)
    findings = [*first.findings, *second.findings]
    records = first.records | second.records
    ordered = _ordered(first.nodes, second.nodes, records)
    if ordered is None:
        findings.append(finding("RI060", one[0], got=two[0]))
    elif not has_errors(findings):
        findings += _collisions(log, [records[node] for node in ordered])
    if ordered is None or has_errors(findings):
        return Merged(None, sorted_findings(findings))
    a, b = set(first.nodes), set(second.nodes)
    data = b"".join(node.text + b"\n" for node in ordered)
    return Merged(data, sorted_findings(findings), len(a & b), len(a - b), len(b - a))


def _side(log: Log, shown: str, data: bytes) -> _Side:
    told = Log(log.path, shown, log.reader)
    nodes: list[_Node] = []
    records: dict[_Node, Record] = {}
    findings: list[Finding] = []
    seen: Counter[bytes] = Counter()
    parts = data.split(b"\n")
    if not parts[-1]:
        parts.pop()
    for number, part in enumerate(parts, 1):
        record, found = parse_line(told, Line(number, 0, part, len(part) + 1, too_long=len(part) > MAX_LINE))
        findings += found
        if record is not None:
            text = part.removesuffix(b"\r")
            node = _Node(text, seen[text])
            seen[text] += 1
            nodes.append(node)
            records[node] = record
    return _Side(tuple(nodes), records, tuple(findings))


def _ordered(one: Sequence[_Node], two: Sequence[_Node], records: dict[_Node, Record]) -> list[_Node] | None:
    """Return all nodes in an order that keeps both sequences, the least by its fields first; None if none does."""
    waits: Counter[_Node] = Counter()
    behind: dict[_Node, list[_Node]] = {node: [] for node in records}
    for sequence in (one, two):
        for before, after in itertools.pairwise(sequence):
            behind[before].append(after)
            waits[after] += 1
    free = [(_key(node, records[node]), node.again) for node in records if not waits[node]]
    heapq.heapify(free)
    ordered: list[_Node] = []
    while free:
        key, again = heapq.heappop(free)
        node = _Node(key[-1], again)
        ordered.append(node)
        for after in behind[node]:
            waits[after] -= 1
            if not waits[after]:
                heapq.heappush(free, (_key(after, records[after]), after.again))
    return ordered if len(ordered) == len(records) else None


def _key(node: _Node, record: Record) -> tuple[str, str, str, bytes]:
    if record["record_type"] == "RUN":
        return (*order_of(record), record["run_id"], node.text)
    stamp = record.get("update_utc", record.get("created_utc", ""))
    return (second_of(stamp) or "", "", record["override_id"], node.text)


def _collisions(log: Log, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield what the merged log would hold of two runs, or two overrides, under one id; lines are the merge's."""
    entries = [Entry(record, number, number, 0) for number, record in enumerate(records, 1)]
    if records and records[0]["record_type"] != "RUN":
        yield from (each for each in index_overrides(log.shown, entries).findings if each.code == "RI042")
        return
    created: dict[tuple[str, str | None], Entry] = {}
    for entry in entries:
        other = created.setdefault((entry.record["run_id"], second_of(entry.record["created_utc"])), entry)
        for name in colliding_fields(other.record, entry.record)[:1]:
            where = f"line {entry.number} /{name}"
            expected, got, line = other.record[name], entry.record[name], str(other.number)
            yield finding("RI024", log.shown, location=where, expected=expected, got=got, detail=line)
