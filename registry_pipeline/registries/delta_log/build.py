"""registry_delta_log: the previous log as it is, and an edge to each snapshot sealed since (SPEC 4.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.registries.base.delta import LOG_FILE, DeltaEdge, PathChanges, Snapshot, changed_paths
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

# The two fields that a rebuild alone would change stand last in a line.
_OF_THE_BUILD: Final = b',"created_utc":'


def build_delta_log(inputs: DeltaLogInputs, context: BuildContext) -> Artifacts:
    """Return the log: the previous bytes unchanged, then the new edges by registry and run id.

    A line names the run that it was derived in, so that the log of another run id is another log; `content_sha256`
    leaves that and the moment of the build out, of every line.
    """
    steps = list(_steps(inputs))

    def files_for(run_id: str) -> Mapping[str, bytes]:
        edges = (_edge(before, after, context.generated_utc, run_id) for before, after in steps)
        return {LOG_FILE: inputs.previous + b"".join([json_line(edge.to_json()) for edge in edges])}

    files = files_for(context.run_id)
    lines = files[LOG_FILE].splitlines()
    timeless = b"\n".join([line.rpartition(_OF_THE_BUILD)[0] or line for line in lines])
    metrics = {"edges_added": len(steps), "registries_changed": len({after.registry_id for _, after in steps})}
    return Artifacts(files, len(lines), sha256_hex(timeless), metrics, files_for)


def _steps(inputs: DeltaLogInputs) -> Iterator[tuple[Snapshot | None, Snapshot]]:
    """Yield each new snapshot with the one before it, by registry and run id; the first follows the last logged one."""
    before: dict[str, Snapshot] = dict(inputs.last)
    for snapshot in in_order(inputs.new):
        yield before.get(snapshot.registry_id), snapshot
        before[snapshot.registry_id] = snapshot


def in_order(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Return snapshots as a log appends them; where two run roots have one run id, the root decides."""
    return sorted(snapshots, key=lambda each: (each.registry_id, each.ref.run_id, each.ref.run_root))


def _edge(before: Snapshot | None, after: Snapshot, created_utc: str, run_id: str) -> DeltaEdge:
    entries = () if before is None else before.entries
    known = entries is not None and after.entries is not None
    return DeltaEdge(
        registry_id=after.registry_id,
        from_ref=None if before is None else before.ref,
        to_ref=after.ref,
        basis="manifest_diff" if known else "unknown",
        paths=changed_paths(entries or (), after.entries or ()) if known else PathChanges(),
        created_utc=created_utc,
        derivation_run_id=run_id,
    )


@value_type
class DeltaLogInputs:
    """For `build_delta_log`: the bytes of the previous log (none at first) and what was sealed since.

    `last` are the last logged snapshots of the registries that have new ones; `new` may come in any order.
    """

    previous: bytes
    last: Mapping[str, Snapshot]
    new: tuple[Snapshot, ...]
