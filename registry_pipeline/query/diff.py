"""What `diff` tells of two sealed runs: the paths that differ, and in them the records, field by field (SPEC 4.5).

Records are told apart by the fields that the registry table names as their key; a single object is compared by JSON
pointer. Bytes that cannot be taken apart are only said to differ. Pure: the runbook hands in verified bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, Literal

from registry_pipeline.canon import json_line, read_finite_json, read_strict_csv
from registry_pipeline.model.delta import PathChanges, changed_paths
from registry_pipeline.model.verdict import SealReport
from registry_pipeline.values import value_type

ENVELOPE: Final = "run.json"
_ABSENT: Final = object()

Change = Literal["added", "removed", "changed"]
Record = Any


@value_type
class FieldChange:
    """One place in which two objects differ, by JSON pointer; `before` and `after` are None where it is absent."""

    field: str
    change: Change
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """Return the change as a document has it."""
        return {"field": self.field, "change": self.change, "before": self.before, "after": self.after}


@value_type
class RecordChange:
    """A record that both sides have under one key, and that differs."""

    key: Mapping[str, Any]
    fields: tuple[FieldChange, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the change as a document has it."""
        return {"key": dict(self.key), "fields": [field.to_json() for field in self.fields]}


@value_type
class ArtifactDiff:
    """How one file differs: by records with a key, by records without one, as one object, or as bytes.

    `key` is empty where records have none: then one that changed is one added and one removed.
    """

    relpath: str
    kind: Literal["records", "object", "bytes"]
    key: tuple[str, ...] = ()
    added: tuple[Record, ...] = ()
    removed: tuple[Record, ...] = ()
    changed: tuple[RecordChange, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    unchanged: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the file's part of the document, nothing cut."""
        return {
            "relpath": self.relpath,
            "kind": self.kind,
            "key": list(self.key),
            "counts": {
                "added": len(self.added),
                "removed": len(self.removed),
                "changed": len(self.changed),
                "unchanged": self.unchanged,
            },
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": [record.to_json() for record in self.changed],
            "fields": [field.to_json() for field in self.fields],
        }


@value_type
class Side:
    """One of the two runs: its folder as it was named, its id, and the root that was verified."""

    path: str
    run_id: str
    root_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the side as the document has it."""
        return {"path": self.path, "run_id": self.run_id, "root_sha256": self.root_sha256}


@value_type
class RunDiff:
    """Two verified runs of one registry, and what leads from the first to the second."""

    registry_id: str | None
    before: Side
    after: Side
    paths: PathChanges
    artifacts: tuple[ArtifactDiff, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `diff --json`."""
        return {
            "registry_id": self.registry_id,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "paths": {
                "added": list(self.paths.added),
                "removed": list(self.paths.removed),
                "modified": list(self.paths.modified),
            },
            "artifacts": [artifact.to_json() for artifact in self.artifacts],
            "findings": [],
        }


def comparable_paths(before: SealReport, after: SealReport) -> tuple[str, ...]:
    """Return the files whose content is worth a look: what differs, but the envelope and the copies of schemas."""
    modified = changed_paths(before.entries, after.entries).modified
    return tuple(path for path in modified if path != ENVELOPE and not path.endswith(".schema.json"))


def compare_artifact(relpath: str, before: bytes, after: bytes, key: Sequence[str]) -> ArtifactDiff:
    """Return how a file differs; `key` names the fields that tell its records apart, none if they have no key."""
    old, new = (_parsed(relpath, data) for data in (before, after))
    if isinstance(old, list) and isinstance(new, list):
        keyed = [_by_key(records, key) for records in (old, new)]
        if keyed[0] is not None and keyed[1] is not None:
            return _compare_keyed(relpath, keyed[0], keyed[1], tuple(key))
        return _compare_unkeyed(relpath, old, new)
    if isinstance(old, dict) and isinstance(new, dict):
        return ArtifactDiff(relpath, "object", fields=tuple(changed_fields(old, new)))
    return ArtifactDiff(relpath, "bytes")


def changed_fields(before: Any, after: Any, place: str = "") -> Iterator[FieldChange]:
    """Yield where two values differ, by JSON pointer, members in the order of the first.

    Lists of objects are compared item by item, any other list as a whole.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            step = f"{place}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from changed_fields(before.get(name, _ABSENT), after.get(name, _ABSENT), step)
    elif _are_lists_of_objects(before, after):
        for index, (old, new) in enumerate(zip_longest(before, after, fillvalue=_ABSENT)):
            yield from changed_fields(old, new, f"{place}/{index}")
    elif before is _ABSENT:
        yield FieldChange(place, "added", None, after)
    elif after is _ABSENT:
        yield FieldChange(place, "removed", before, None)
    elif type(before) is not type(after) or before != after:
        yield FieldChange(place, "changed", before, after)


def _are_lists_of_objects(before: Any, after: Any) -> bool:
    both = isinstance(before, list) and isinstance(after, list)
    return both and all(isinstance(item, dict) for item in (*before, *after))


def _parsed(relpath: str, data: bytes) -> Any:
    """Return the records or the object of a file, None where it is neither."""
    try:
        if relpath.endswith(".jsonl"):
            return [read_finite_json(line) for line in data.splitlines()]
        if relpath.endswith(".json"):
            return read_finite_json(data)
        if relpath.endswith(".csv"):
            (_, header), *rows = read_strict_csv(data)
            return [dict(zip(header, cells, strict=True)) for _, cells in rows]
    except (ValueError, RecursionError):
        return None
    return None


def _by_key(records: Sequence[Record], key: Sequence[str]) -> dict[bytes, Record] | None:
    """Return records by their key; None where there is none, or where it does not tell every record apart."""
    if not key or not all(isinstance(record, dict) and all(name in record for name in key) for record in records):
        return None
    keyed = {json_line([record[name] for name in key]): record for record in records}
    return keyed if len(keyed) == len(records) else None


def _compare_keyed(
    relpath: str, old: Mapping[bytes, Record], new: Mapping[bytes, Record], key: tuple[str, ...]
) -> ArtifactDiff:
    both = [name for name in new if name in old]
    changed = [(new[name], tuple(changed_fields(old[name], new[name]))) for name in both]
    differing = [(record, fields) for record, fields in changed if fields]
    return ArtifactDiff(
        relpath,
        "records",
        key,
        added=tuple(record for name, record in new.items() if name not in old),
        removed=tuple(record for name, record in old.items() if name not in new),
        changed=tuple(RecordChange({name: record[name] for name in key}, fields) for record, fields in differing),
        unchanged=len(both) - len(differing),
    )


def _compare_unkeyed(relpath: str, old: Sequence[Record], new: Sequence[Record]) -> ArtifactDiff:
    """Compare records that nothing but themselves tells apart, as often as each occurs."""
    left, right = (Counter(json_line(record) for record in records) for records in (old, new))
    added, removed = (tuple(json.loads(line) for line in side.elements()) for side in (right - left, left - right))
    return ArtifactDiff(relpath, "records", added=added, removed=removed, unchanged=(left & right).total())
