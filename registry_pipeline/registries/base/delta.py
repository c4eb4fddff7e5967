"""Lines of the registry delta log, and the difference of two manifests. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, cast

from registry_pipeline.canonical import is_sha256
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type

DELTA_LOG: Final = "registry_delta_log"
"""The registry id of the log."""
LOG_FILE: Final = "REGISTRY_DELTA_LOG_v0_1.jsonl"
DELTA_VERSION: Final = "0.1"
_KEYS: Final = frozenset(
    (
        "delta_version",
        "registry_id",
        "from_ref",
        "to_ref",
        "delta_basis",
        "added_paths",
        "removed_paths",
        "modified_paths",
        "counts",
        "created_utc",
        "derivation_run_id",
    )
)
# One decoder for all lines: `json.loads` of bytes detects the encoding of every line again.
_DECODER: Final = json.JSONDecoder()


@value_type
class PathChanges:
    """The paths in which two manifests differ, each kind sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The number of paths that differ."""
        return len(self.added) + len(self.removed) + len(self.modified)


def find_changed_paths(before: Iterable[ManifestEntry], after: Iterable[ManifestEntry]) -> PathChanges:
    """Return the changes from one manifest to another; a path is modified if its hash differs."""
    old, new = ({entry.relpath: entry.sha256 for entry in entries} for entries in (before, after))
    return PathChanges(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(path for path in old.keys() & new.keys() if old[path] != new[path])),
    )


@value_type
class Snapshot:
    """A sealed run of a registry with its manifest entries; None if they can no longer be read."""

    registry_id: str
    ref: SealedRef
    entries: tuple[ManifestEntry, ...] | None


@value_type
class DeltaEdge:
    """One line of the log: the step from one snapshot of a registry to the next."""

    registry_id: str
    # None for the first snapshot.
    from_ref: SealedRef | None
    to_ref: SealedRef
    # `unknown`, without any path, if one of the two manifests cannot be read.
    basis: Literal["manifest_diff", "unknown"]
    paths: PathChanges
    created_utc: str
    derivation_run_id: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the line."""
        kinds = {"added": self.paths.added, "removed": self.paths.removed, "modified": self.paths.modified}
        return {
            "delta_version": DELTA_VERSION,
            "registry_id": self.registry_id,
            "from_ref": None if self.from_ref is None else self.from_ref.to_json(),
            "to_ref": self.to_ref.to_json(),
            "delta_basis": self.basis,
            **{f"{kind}_paths": list(paths) for kind, paths in kinds.items()},
            "counts": {kind: len(paths) for kind, paths in kinds.items()},
            "created_utc": self.created_utc,
            "derivation_run_id": self.derivation_run_id,
        }

    @classmethod
    def from_json(cls, value: Any) -> DeltaEdge:
        """Return the edge that a JSON object states, `counts` not read; raise ValueError if it states none."""
        if not isinstance(value, dict) or value.keys() != _KEYS or value["delta_version"] != DELTA_VERSION:
            raise ValueError("the keys are not exactly those of an edge of version 0.1")
        before, basis = value["from_ref"], value["delta_basis"]
        texts = value["registry_id"], value["created_utc"], value["derivation_run_id"]
        if not _are_texts(*texts) or basis not in ("manifest_diff", "unknown"):
            raise ValueError("registry_id, delta_basis, created_utc or derivation_run_id has an invalid value")
        lists = value["added_paths"], value["removed_paths"], value["modified_paths"]
        if not all(isinstance(paths, list) and _are_texts(*paths) for paths in lists):
            raise ValueError("added_paths, removed_paths and modified_paths must be lists of text")
        return cls(
            registry_id=texts[0],
            from_ref=None if before is None else _parse_ref(before),
            to_ref=_parse_ref(value["to_ref"]),
            basis=cast("Literal['manifest_diff', 'unknown']", basis),
            paths=PathChanges(tuple(lists[0]), tuple(lists[1]), tuple(lists[2])),
            created_utc=texts[1],
            derivation_run_id=texts[2],
        )


def parse_delta_log(data: bytes) -> Iterator[DeltaEdge]:
    """Yield the edges of a log in order; raise ValueError at the first line that is no edge.

    If the log is not UTF-8, or its last newline is missing, that is raised before any edge.
    """
    lines = data.decode("utf-8").split("\n")
    if lines.pop():
        raise ValueError(f"line {len(lines) + 1}: the newline is missing")
    for number, line in enumerate(lines, 1):
        try:
            yield DeltaEdge.from_json(_DECODER.decode(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None


def _parse_ref(value: Any) -> SealedRef:
    ref = SealedRef.from_json(value)
    if ref is None or not is_sha256(ref.manifest_sha256):
        raise ValueError("from_ref or to_ref is not a sealed reference")
    return ref


def _are_texts(*values: Any) -> bool:
    return {*map(type, values)} <= {str}
