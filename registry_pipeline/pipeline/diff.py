"""Two sealed runs side by side, both verified on read (SPEC 4.5 and 8, `diff`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, Literal

from registry_pipeline.canonical import json_line, read_finite_json, read_strict_csv
from registry_pipeline.config import Repository
from registry_pipeline.errors import ConfigError, EvidenceError, NotFoundError
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.registries.base.claims import main_artifact, registry_of
from registry_pipeline.registries.base.delta import PathChanges, changed_paths
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs.listing import dated_runs, list_run_folders
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import value_type


def compare_runs(before: FoundRun, after: FoundRun) -> RunDiff:
    """Return what leads from one run to another of the same registry.

    Raises:
        EvidenceError: one of them does not verify; it is named.
        ConfigError: they belong to different registries, so that nothing leads from one to the other.
    """
    sides = tuple(_verified(found) for found in (before, after))
    names = tuple(_registry_of(report) for report in sides)
    if names[0] != names[1]:
        told = [f"{side.run_id} is of {name or 'no registry'}" for side, name in zip(sides, names, strict=True)]
        raise ConfigError(" and ".join(told), "compare two runs of one registry")
    paths = comparable_paths(*sides)
    old, new = (verify_folder(found.path, shown=found.shown, keep=paths).kept for found in (before, after))
    keys = _record_keys(names[0], [entry.relpath for entry in sides[1].entries])
    return RunDiff(
        registry_id=names[0],
        before=Side(before.shown, before.run_id, sides[0].root_sha256 or ""),
        after=Side(after.shown, after.run_id, sides[1].root_sha256 or ""),
        paths=changed_paths(sides[0].entries, sides[1].entries),
        artifacts=tuple(_compared(path, old.get(path), new.get(path), keys.get(path, ())) for path in paths),
    )


def _record_keys(registry_id: str | None, relpaths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the record key by artifact name, the registry's own whatever its artifact is called."""
    keys = {spec.relpath: spec.record_key for spec in REGISTRIES.values() if spec.relpath and spec.record_key}
    spec = REGISTRIES.get(registry_id or "")
    main = None if spec is None else main_artifact(spec, relpaths)
    return keys | ({main: spec.record_key} if spec is not None and main is not None and spec.record_key else {})


def _verified(found: FoundRun) -> SealReport:
    report = verify_folder(found.path, shown=found.shown)
    if report.verdict != "pass":
        codes = ", ".join(sorted({f.code for f in report.findings}))
        message = f"{found.shown} does not verify ({codes}); what it holds is not compared"
        raise EvidenceError(message, f"see `registry-pipeline verify {found.run_id}`")
    return report


def _registry_of(report: SealReport) -> str | None:
    return registry_of(report.run_json, (entry.relpath for entry in report.entries), REGISTRIES)[0]


def _compared(path: str, before: bytes | None, after: bytes | None, key: Sequence[str]) -> ArtifactDiff:
    if before is None or after is None:
        raise EvidenceError(f"{path} changed while it was read", "run it again")
    return compare_artifact(path, before, after, key)


def registry_of_run(found: FoundRun) -> str | None:
    """Return the registry that a run belongs to, None for a run of none.

    Raises:
        EvidenceError: it does not verify.
    """
    return _registry_of(_verified(found))


def counterpart(repository: Repository, found: FoundRun, registry_id: str) -> FoundRun:
    """Return what a run is compared with where nothing else is named.

    That is the active run of its registry; for the active run itself, or where none is active, the sealed run of its
    registry that its name stands next behind.

    Raises:
        NotFoundError: there is none.
    """
    ref = read_pointers(repository).active(registry_id)
    if ref is not None and ref.run_id != found.run_id and run_folder(repository, ref).is_dir():
        return _found(repository, ref.run_root, ref.run_id)
    listing = list_run_folders(repository.root, repository.config.run_roots)
    older = [
        folder
        for _, folder in dated_runs(listing, {spec_of(registry_id).tag or registry_id})
        if folder.run_id < found.run_id and folder.seal == "sealed"
    ]
    if not older:
        raise NotFoundError(f"no run of {registry_id} precedes {found.run_id}", "name the run to compare it with")
    return _found(repository, older[-1].run_root, older[-1].run_id)


def _found(repository: Repository, run_root: str, run_id: str) -> FoundRun:
    return FoundRun(repository.path(run_root) / run_id, f"{run_root}/{run_id}", run_root, run_id)


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
