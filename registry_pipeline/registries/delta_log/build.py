"""Build the delta log, and check that it continues its previous one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Final

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.delta import (
    LOG_FILE,
    DeltaEdge,
    PathChanges,
    Snapshot,
    find_changed_paths,
    parse_delta_log,
)
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

# The last two fields of a line, created_utc and derivation_run_id, differ in every build.
_TIME_FIELDS: Final = b',"created_utc":'


@value_type
class DeltaLogInputs:
    """The inputs of `build_delta_log`."""

    # The bytes of the previous log; empty for the first log.
    previous: bytes
    # The last logged snapshot of each registry that has new ones.
    last: Mapping[str, Snapshot]
    # The snapshots that were sealed since, in any order.
    new: tuple[Snapshot, ...]


def build_delta_log(inputs: DeltaLogInputs, context: BuildContext) -> Artifacts:
    """Return the previous bytes and one line for each new snapshot, sorted by registry, run id and run root.

    Each edge starts at the previous snapshot of its registry. The content hash leaves out times and run ids.
    """
    pairs = list(_pair_snapshots(inputs))

    # A line names the run that appended it, and the writer may give the run another id than planned.
    def files_for(run_id: str) -> Mapping[str, bytes]:
        edges = (_make_edge(before, after, context.generated_utc, run_id) for before, after in pairs)
        return {LOG_FILE: inputs.previous + b"".join([json_line(edge.to_json()) for edge in edges])}

    files = files_for(context.run_id)
    lines = files[LOG_FILE].splitlines()
    # The content hash leaves the fields of the build out of every line, the previous ones included.
    timeless = b"\n".join([line.rpartition(_TIME_FIELDS)[0] or line for line in lines])
    metrics = {"edges_added": len(pairs), "registries_changed": len({after.registry_id for _, after in pairs})}
    return Artifacts(files, len(lines), sha256_hex(timeless), metrics, files_for)


def _pair_snapshots(inputs: DeltaLogInputs) -> Iterator[tuple[Snapshot | None, Snapshot]]:
    """Yield each new snapshot with the previous snapshot of its registry, in the order of the log."""
    last: dict[str, Snapshot] = dict(inputs.last)
    for snapshot in sorted(inputs.new, key=lambda snapshot: _sort_key(snapshot.registry_id, snapshot.ref)):
        yield last.get(snapshot.registry_id), snapshot
        last[snapshot.registry_id] = snapshot


def _make_edge(before: Snapshot | None, after: Snapshot, created_utc: str, run_id: str) -> DeltaEdge:
    # The first snapshot of a registry adds all of its files. Without both manifests the changes are unknown.
    before_entries = () if before is None else before.entries
    paths = None
    if before_entries is not None and after.entries is not None:
        paths = find_changed_paths(before_entries, after.entries)
    return DeltaEdge(
        registry_id=after.registry_id,
        from_ref=None if before is None else before.ref,
        to_ref=after.ref,
        basis="unknown" if paths is None else "manifest_diff",
        paths=paths or PathChanges(),
        created_utc=created_utc,
        derivation_run_id=run_id,
    )


MAX_FINDINGS: Final = 1000
"""The largest number of findings that one log gives."""


def check_delta_log(
    log: bytes, previous: bytes | None, *, path: str, run_id: str, created_utc: str, previous_run_id: str | None
) -> tuple[Finding, ...]:
    """Return sorted findings about the log in the run `run_id`, at most MAX_FINDINGS; no manifests are read.

    The log must start with `previous`, link the edges of each registry, list a snapshot once, and append only lines
    of this run in order. `previous_run_id` is None for the first log; `previous` also if that log does not verify.
    """
    findings = _find_violations(log, previous, path, run_id, created_utc, previous_run_id)
    return sorted_findings(islice(findings, MAX_FINDINGS))


def _find_violations(
    log: bytes, previous: bytes | None, path: str, run_id: str, created_utc: str, previous_run_id: str | None
) -> Iterator[Finding]:
    # (1) The beginning: everything that was logged before stays as it is.
    if previous_run_id is not None and previous is None:
        yield finding("DELTA_PREVIOUS_UNKNOWN", path, detail=f"{previous_run_id} is missing or does not verify")
    if previous is not None and not log.startswith(previous):
        location = f"line {_find_first_difference(previous, log)}"
        yield finding("DELTA_PREFIX_BROKEN", path, location=location, previous=previous_run_id or "")
    # (2) All lines: one chain for each registry, and each snapshot once.
    try:
        edges = list(parse_delta_log(log))
    except ValueError as error:
        yield finding("DELTA_LINE", path, detail=str(error))
        return
    yield from _check_sequence(edges, path)
    # (3) The appended lines: they belong to this run and are in order. Older lines were checked with their own log.
    if previous is not None and log.startswith(previous):
        first_new = previous.count(b"\n")
    elif previous_run_id is None:
        first_new = 0
    else:
        # Without the previous log only the lines themselves say which of them this run appended.
        first_new = next((i for i, edge in enumerate(edges) if edge.derivation_run_id == run_id), len(edges))
    yield from _check_appended(edges, log.split(b"\n"), first_new, path, (created_utc, run_id))


def _find_first_difference(previous: bytes, log: bytes) -> int:
    """Return the 1-based number of the first line that differs or that only `previous` has."""
    lines = zip(previous.split(b"\n"), log.split(b"\n"), strict=False)
    return next((number for number, (old, new) in enumerate(lines, 1) if old != new), log.count(b"\n") + 1)


def _check_sequence(edges: Sequence[DeltaEdge], path: str) -> Iterator[Finding]:
    """Yield edges that do not start where the previous edge of their registry ends, and snapshots logged twice."""
    last: dict[str, SealedRef] = {}
    logged: set[tuple[str, str]] = set()
    for number, edge in enumerate(edges, 1):
        location = f"line {number}"
        expected = last.get(edge.registry_id)
        if edge.from_ref != expected:
            got = _format_ref(edge.from_ref)
            yield finding("DELTA_CHAIN", path, location=location, expected=_format_ref(expected), got=got)
        key = edge.to_ref.run_root, edge.to_ref.run_id
        if key in logged:
            yield finding("DELTA_DUPLICATE", path, location=location, got="/".join(key))
        logged.add(key)
        last[edge.registry_id] = edge.to_ref


def _format_ref(ref: SealedRef | None) -> str:
    return "null" if ref is None else ref.path


def _check_appended(
    edges: Sequence[DeltaEdge], lines: Sequence[bytes], first_new: int, path: str, origin: tuple[str, str]
) -> Iterator[Finding]:
    """Yield invalid lines from index `first_new` on, and lines out of order; `origin` is (created_utc, run id)."""
    for number, edge in enumerate(edges[first_new:], first_new + 1):
        for detail in _check_edge(edge, lines[number - 1], origin):
            yield finding("DELTA_LINE", path, location=f"line {number}", detail=detail)
    keys = [_sort_key(edge.registry_id, edge.to_ref) for edge in edges[first_new:]]
    for number, (before, after) in enumerate(pairwise(keys), first_new + 2):
        if not before < after:
            yield finding("DELTA_ORDER", path, location=f"line {number}")


def _sort_key(registry_id: str, ref: SealedRef) -> tuple[str, str, str]:
    # Where two run roots contain one run id, the root decides.
    return registry_id, ref.run_id, ref.run_root


def _check_edge(edge: DeltaEdge, line: bytes, origin: tuple[str, str]) -> Iterator[str]:
    """Yield what is wrong with an edge and its line, each in a sentence."""
    if (edge.created_utc, edge.derivation_run_id) != origin:
        yield "created_utc and derivation_run_id are not those of the run that appended the line"
    # Parsing ignores the stated counts, so comparing the canonical line checks them too.
    if json_line(edge.to_json()) != line + b"\n":
        yield "the line is not in canonical form, or the counts differ from the lists"
    lists = edge.paths.added, edge.paths.removed, edge.paths.modified
    is_sorted = all(list(paths) == sorted(paths) for paths in lists)
    if not is_sorted or len({*lists[0], *lists[1], *lists[2]}) < edge.paths.total:
        yield "a list of paths is not sorted, or a path is listed twice"
    if edge.basis == "unknown" and edge.paths.total:
        yield "the basis is unknown, but paths are listed"
