"""A delta log only grows: its beginning is the previous log, byte for byte, and what follows leads on (SPEC 4.5).

What an edge says of a manifest is not proven anew here; that it says so of the right snapshots, once, in order, and in
the one form that a line may have, is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final

from registry_pipeline.canonical import json_line
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.delta import DeltaEdge, parse_delta_log
from registry_pipeline.runs.reference import SealedRef

MOST_FINDINGS: Final = 1000
"""No more than these are told of one log."""


def check_delta_log(
    log: bytes, previous: bytes | None, *, path: str, run_id: str, created_utc: str, previous_run_id: str | None
) -> tuple[Finding, ...]:
    """Return how a log fails to continue the one before it.

    Args:
        log: The bytes of the log that is judged.
        previous: Those of the log that it names as previous; None where it names none, or where that cannot be read.
        path: How findings name the log.
        run_id: The run that the log was sealed in.
        created_utc: When that run began.
        previous_run_id: The previous log's run; None for a first log.
    """
    findings = _findings(log, previous, path, run_id, created_utc, previous_run_id)
    return sorted_findings(islice(findings, MOST_FINDINGS))


def _findings(
    log: bytes, previous: bytes | None, path: str, run_id: str, created_utc: str, previous_run_id: str | None
) -> Iterator[Finding]:
    if previous_run_id is not None and previous is None:
        detail = f"{previous_run_id} is not there, or does not verify"
        yield finding("DELTA_PREVIOUS_UNKNOWN", path, detail=detail)
    if previous is not None and not log.startswith(previous):
        place = f"line {_first_difference(previous, log)}"
        yield finding("DELTA_PREFIX_BROKEN", path, location=place, previous=previous_run_id or "")
    try:
        edges = list(parse_delta_log(log))
    except ValueError as error:
        yield finding("DELTA_LINE", path, detail=str(error))
        return
    yield from _judge_chain(edges, path)
    if previous is not None and log.startswith(previous):
        old = previous.count(b"\n")
    elif previous_run_id is None:
        old = 0
    else:  # which lines are new, only they themselves can tell
        old = next((index for index, edge in enumerate(edges) if edge.derivation_run_id == run_id), len(edges))
    yield from _judge_appended(edges, log.split(b"\n"), old, path, (created_utc, run_id))


def _first_difference(before: bytes, after: bytes) -> int:
    """Return the number of the first line in which the second does not begin as the first."""
    lines = zip(before.split(b"\n"), after.split(b"\n"), strict=False)
    return next((number for number, (old, new) in enumerate(lines, 1) if old != new), after.count(b"\n") + 1)


def _judge_chain(edges: Sequence[DeltaEdge], path: str) -> Iterator[Finding]:
    last: dict[str, SealedRef] = {}
    met: set[tuple[str, str]] = set()
    for number, edge in enumerate(edges, 1):
        expected = last.get(edge.registry_id)
        if edge.from_ref != expected:
            yield finding(
                "DELTA_CHAIN", path, location=f"line {number}", expected=_shown(expected), got=_shown(edge.from_ref)
            )
        key = edge.to_ref.run_root, edge.to_ref.run_id
        if key in met:
            yield finding("DELTA_DUPLICATE", path, location=f"line {number}", got="/".join(key))
        met.add(key)
        last[edge.registry_id] = edge.to_ref


def _shown(ref: SealedRef | None) -> str:
    return "null" if ref is None else f"{ref.run_root}/{ref.run_id}"


def _judge_appended(
    edges: Sequence[DeltaEdge], lines: Sequence[bytes], old: int, path: str, origin: tuple[str, str]
) -> Iterator[Finding]:
    for number, edge in enumerate(edges[old:], old + 1):
        for detail in _faults(edge, lines[number - 1], origin):
            yield finding("DELTA_LINE", path, location=f"line {number}", detail=detail)
    for number, (before, after) in enumerate(pairwise(edges[old:]), old + 2):
        if not _place(before) < _place(after):
            yield finding("DELTA_ORDER", path, location=f"line {number}")


def _place(edge: DeltaEdge) -> tuple[str, str, str]:
    return edge.registry_id, edge.to_ref.run_id, edge.to_ref.run_root


def _faults(edge: DeltaEdge, line: bytes, origin: tuple[str, str]) -> Iterator[str]:
    if (edge.created_utc, edge.derivation_run_id) != origin:
        yield "created_utc and derivation_run_id are not those of the run that appended it"
    if json_line(edge.to_json()) != line + b"\n":
        yield "it is not the canonical text of its content; counts must be those of the lists"
    lists = edge.paths.added, edge.paths.removed, edge.paths.modified
    if (
        any(list(paths) != sorted(paths) for paths in lists)
        or len({*lists[0], *lists[1], *lists[2]}) < edge.paths.total
    ):
        yield "a list of paths is not sorted, or a path is named twice"
    if edge.basis == "unknown" and edge.paths.total:
        yield "where the basis is unknown no path can be known"
