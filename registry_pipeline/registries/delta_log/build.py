"""Build registry_delta_log: the previous log unchanged, and an edge to each snapshot that was sealed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.registries.base.delta import LOG_FILE, DeltaEdge, PathChanges, Snapshot, changed_paths
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

# The last two fields of a line, created_utc and derivation_run_id, differ in every build.
_TIME_FIELDS: Final = b',"created_utc":'


@value_type
class DeltaLogInputs:
    """The inputs of `build_delta_log`.

    Attributes:
        previous: the bytes of the previous log; empty for the first log.
        last: the last logged snapshot of each registry that has new ones.
        new: the snapshots that were sealed since, in any order.
    """

    previous: bytes
    last: Mapping[str, Snapshot]
    new: tuple[Snapshot, ...]


def build_delta_log(inputs: DeltaLogInputs, context: BuildContext) -> Artifacts:
    """Return the previous bytes, followed by the new edges sorted by registry, run id and run root."""
    pairs = list(_pair_snapshots(inputs))

    # A line names the run that appended it, and the writer may give the run another id than planned.
    def files_for(run_id: str) -> Mapping[str, bytes]:
        edges = (_edge(before, after, context.generated_utc, run_id) for before, after in pairs)
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
    # Where two run roots contain one run id, the root decides.
    for snapshot in sorted(inputs.new, key=lambda s: (s.registry_id, s.ref.run_id, s.ref.run_root)):
        yield last.get(snapshot.registry_id), snapshot
        last[snapshot.registry_id] = snapshot


def _edge(before: Snapshot | None, after: Snapshot, created_utc: str, run_id: str) -> DeltaEdge:
    # The first snapshot of a registry adds all of its files. Without both manifests the changes are unknown.
    before_entries = () if before is None else before.entries
    paths = None
    if before_entries is not None and after.entries is not None:
        paths = changed_paths(before_entries, after.entries)
    return DeltaEdge(
        registry_id=after.registry_id,
        from_ref=None if before is None else before.ref,
        to_ref=after.ref,
        basis="unknown" if paths is None else "manifest_diff",
        paths=paths or PathChanges(),
        created_utc=created_utc,
        derivation_run_id=run_id,
    )
