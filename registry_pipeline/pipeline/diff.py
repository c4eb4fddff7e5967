"""Compare two verified runs of one registry (`diff`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, Literal

from registry_pipeline.canonical import json_line, parse_finite_json, parse_strict_csv
from registry_pipeline.config import Repository
from registry_pipeline.errors import ConfigError, EvidenceError, NotFoundError
from registry_pipeline.pointers.find_runs import FoundRun, make_found_run
from registry_pipeline.registries.base.delta import PathChanges, find_changed_paths
from registry_pipeline.registries.base.sealed_input import find_artifacts, find_main_artifact, find_registry
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.scan import find_dated_runs, list_run_folders
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import asdict, field, replace, value_type

_ABSENT: Final = object()
Change = Literal["added", "removed", "changed"]
Record = Any


@value_type
class FieldChange:
    """A difference between two objects; `field` is a JSON pointer, the value of the side without the field is None."""

    field: str
    change: Change
    before: Any
    after: Any


@value_type
class RecordChange:
    """A record that differs, with the same key on both sides."""

    key: Mapping[str, Any]
    fields: tuple[FieldChange, ...]


@value_type
class ArtifactDiff:
    """How one file differs: by records, as one object, or only that its bytes differ."""

    relpath: str
    kind: Literal["records", "object", "bytes"]
    # Empty if the records have no key. A changed record then counts as one removed and one added.
    key: tuple[str, ...] = ()
    added: tuple[Record, ...] = ()
    removed: tuple[Record, ...] = ()
    changed: tuple[RecordChange, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    unchanged: int = 0
    # The runs of this tool among the differing records of a run registry, which are left out.
    own: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the part of the document that describes this file, uncut."""
        content = asdict(self)
        counts = {name: len(content[name]) for name in ("added", "removed", "changed")}
        counts |= {name: content.pop(name) for name in ("unchanged", "own")}
        # The counts come before the records that they count.
        return {"relpath": self.relpath, "kind": self.kind, "key": self.key, "counts": counts} | content


@value_type
class Side:
    """One of the two runs: the path that the user named, the run id, the verified root, and run.json."""

    path: str
    run_id: str
    root_sha256: str
    envelope: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the part of the document that describes this run."""
        return {"path": self.path, "run_id": self.run_id, "root_sha256": self.root_sha256}


@value_type
class RunDiff:
    """The differences between two runs of one registry."""

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
            "paths": asdict(self.paths),
            "artifacts": [artifact.to_json() for artifact in self.artifacts],
            "findings": [],
        }


def compare_runs(catalog: Catalog, before: FoundRun, after: FoundRun, *, without_own: str | None = None) -> RunDiff:
    """Return the differences between two runs; run.json and schemas are compared by path only.

    Records about own runs of this tool in the publish root `without_own` are only counted.

    EvidenceError: a run does not verify or changed meanwhile. ConfigError: the runs are of two registries.
    """
    runs = (before, after)
    # (1) Verify both and compare the manifests.
    old_report, new_report = (_verify_or_raise(run) for run in runs)
    registry_id, other_id = (_find_registry_id(catalog, report) for report in (old_report, new_report))
    if registry_id != other_id:
        old_side = f"{before.run_id} is of {registry_id or 'no registry'}"
        new_side = f"{after.run_id} is of {other_id or 'no registry'}"
        raise ConfigError(f"{old_side} and {new_side}", "compare two runs of one registry")
    paths = find_changed_paths(old_report.entries, new_report.entries)
    # (2) Read the files that differ, verified again, and compare their content. The envelope always differs, and a
    # changed schema is visible in the records.
    compared = [path for path in paths.modified if path != "run.json" and not path.endswith(".schema.json")]
    old, new = (verify_folder(run.path, display_path=run.shown, keep=compared).kept for run in runs)
    for path in compared:
        if path not in old or path not in new:
            raise EvidenceError(f"{path} changed while it was read", "run the command again")
    keys = _find_record_keys(catalog, registry_id, [entry.relpath for entry in new_report.entries])
    artifacts = [compare_artifact(path, old[path], new[path], keys.get(path, ())) for path in compared]
    if without_own is not None and registry_id == "run_registry":
        artifacts = [_leave_out_own(catalog, artifact, without_own) for artifact in artifacts]
    return RunDiff(
        registry_id=registry_id,
        before=Side(before.shown, before.run_id, old_report.root_sha256 or "", old_report.run_json or {}),
        after=Side(after.shown, after.run_id, new_report.root_sha256 or "", new_report.run_json or {}),
        paths=paths,
        artifacts=tuple(artifacts),
    )


def _leave_out_own(catalog: Catalog, artifact: ArtifactDiff, publish_root: str) -> ArtifactDiff:
    def is_other(record: Any) -> bool:
        key = record.get("run_key") if isinstance(record, dict) else None
        run_root, _, run_id = str(key).partition("::")
        return not catalog.is_own_run(publish_root, run_root, run_id)

    added, removed = (tuple(filter(is_other, records)) for records in (artifact.added, artifact.removed))
    changed = tuple(change for change in artifact.changed if is_other(change.key))
    kept, all_changes = len(added) + len(removed) + len(changed), (artifact.added, artifact.removed, artifact.changed)
    own = sum(map(len, all_changes)) - kept
    return replace(artifact, added=added, removed=removed, changed=changed, own=own)


def find_registry_of_run(catalog: Catalog, run: FoundRun) -> str | None:
    """Return the registry of a run, or None if it has none; raise EvidenceError if the run does not verify."""
    return _find_registry_id(catalog, _verify_or_raise(run))


def _verify_or_raise(run: FoundRun) -> SealReport:
    report = verify_folder(run.path, display_path=run.shown)
    if report.verdict != "pass":
        codes = ", ".join(sorted({f.code for f in report.findings}))
        message = f"{run.shown} does not verify ({codes}), so it is not compared"
        raise EvidenceError(message, f"see `registry-pipeline verify {run.run_id}`")
    return report


def _find_registry_id(catalog: Catalog, report: SealReport) -> str | None:
    return find_registry(report.run_json, (entry.relpath for entry in report.entries), catalog.registries)[0]


def _find_record_keys(catalog: Catalog, registry_id: str | None, relpaths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the key fields by artifact, for all artifacts whose records have a key."""
    # A run may also contain an artifact of another registry: its name identifies its key.
    specs = catalog.registries
    rows = (spec for spec in specs.values() if spec.record_key and not spec.is_own)
    keys = {spec.relpath: spec.record_key for spec in rows if spec.relpath}
    spec = specs.get(registry_id or "")
    if spec is not None and spec.record_key:
        # A captured registry may keep the file name of its source, which the table cannot know.
        artifact = find_main_artifact(spec, relpaths)
        if artifact is not None:
            keys[artifact] = spec.record_key
        if spec.is_own and spec.multi_file:
            keys |= dict.fromkeys(find_artifacts(spec, relpaths), spec.record_key)
    return keys


def find_pair(repository: Repository, run: FoundRun, registry_id: str) -> tuple[FoundRun, FoundRun]:
    """Return a run and the one to compare it with, the older run id first.

    That is the active run of the registry, or if it is missing or `run` itself, the newest older sealed run.

    Raises:
        NotFoundError: there is none.
    """
    before, after = sorted([run, _find_counterpart(repository, run, registry_id)], key=lambda run: run.run_id)
    return before, after


def _find_counterpart(repository: Repository, run: FoundRun, registry_id: str) -> FoundRun:
    # (1) The active run, if it is another one.
    ref = read_pointers(repository).active(registry_id)
    if ref is not None and ref.run_id != run.run_id and run_folder(repository, ref).is_dir():
        return make_found_run(repository, ref.run_root, ref.run_id)
    # (2) The next older run by its run id, which starts with the time of its build.
    tags = {catalog_of(repository).spec_of(registry_id).tag or registry_id}
    listing = list_run_folders(repository, repository.config.run_roots, tags)
    older = [
        folder for _, folder in find_dated_runs(listing, tags) if folder.run_id < run.run_id and folder.seal == "sealed"
    ]
    if not older:
        raise NotFoundError(f"no run of {registry_id} is older than {run.run_id}", "name the run to compare with")
    return make_found_run(repository, older[-1].run_root, older[-1].run_id)


def count_fields(changed: Iterable[RecordChange]) -> Counter[str]:
    """Return in how many records each field changed."""
    return Counter(field.field for record in changed for field in record.fields)


def order_by_rarity(changed: Sequence[RecordChange]) -> list[RecordChange]:
    """Return records with a rare change first: a field that changed in all of them is mostly a timestamp."""
    counts = count_fields(changed)
    return sorted(changed, key=lambda record: min(counts[field.field] for field in record.fields))


def find_key_text(key: Any) -> str | None:
    """Return the values of a key, a reference by its run id; None if one is no text."""
    values = key.values() if isinstance(key, dict) else ()
    texts = [value.get("run_id") if isinstance(value, dict) else value for value in values]
    strings = [text for text in texts if isinstance(text, str)]
    return ", ".join(strings) if strings and len(strings) == len(texts) else None


def compare_artifact(relpath: str, before: bytes, after: bytes, key: Sequence[str]) -> ArtifactDiff:
    """Return how a file differs: by record if both versions are lists, by field if both are objects, else by bytes.

    `key` names the fields that identify a record; without a key, or if it is not unique, whole records are compared.
    """
    # A file of another format, or one that cannot be parsed, is None: then only its bytes are compared.
    old, new = _parse_artifact(relpath, before), _parse_artifact(relpath, after)
    if isinstance(old, list) and isinstance(new, list):
        old_by_key, new_by_key = _index_by_key(old, key), _index_by_key(new, key)
        if old_by_key is not None and new_by_key is not None:
            return _compare_by_key(relpath, old_by_key, new_by_key, tuple(key))
        return _compare_whole_records(relpath, old, new)
    if isinstance(old, dict) and isinstance(new, dict):
        return ArtifactDiff(relpath, "object", fields=tuple(find_field_changes(old, new)))
    return ArtifactDiff(relpath, "bytes")


def find_field_changes(before: Any, after: Any, pointer: str = "") -> Iterator[FieldChange]:
    """Yield the differences between two JSON values at `pointer`; only lists of objects are compared item by item."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            member = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from find_field_changes(before.get(name, _ABSENT), after.get(name, _ABSENT), member)
    elif _are_lists_of_objects(before, after):
        for index, (old, new) in enumerate(zip_longest(before, after, fillvalue=_ABSENT)):
            yield from find_field_changes(old, new, f"{pointer}/{index}")
    elif before is _ABSENT:
        yield FieldChange(pointer, "added", None, after)
    elif after is _ABSENT:
        yield FieldChange(pointer, "removed", before, None)
    # Python counts 1, 1.0 and True as equal; in JSON they are different.
    elif type(before) is not type(after) or before != after:
        yield FieldChange(pointer, "changed", before, after)


def _are_lists_of_objects(before: Any, after: Any) -> bool:
    are_lists = isinstance(before, list) and isinstance(after, list)
    return are_lists and all(isinstance(item, dict) for item in (*before, *after))


def _parse_artifact(relpath: str, data: bytes) -> Any:
    """Return the records (JSON lines, CSV) or the JSON value of a file; None if it has another format or is invalid."""
    try:
        if relpath.endswith(".jsonl"):
            return [parse_finite_json(line) for line in data.splitlines()]
        if relpath.endswith(".json"):
            return parse_finite_json(data)
        if relpath.endswith(".csv"):
            (_, header), *rows = parse_strict_csv(data)
            return [dict(zip(header, cells, strict=True)) for _, cells in rows]
    except (ValueError, RecursionError):
        return None
    return None


def _index_by_key(records: Sequence[Record], key: Sequence[str]) -> dict[bytes, Record] | None:
    """Return the records by key, or None if a record has no key or two records have the same."""
    if not key or not all(isinstance(record, dict) and all(name in record for name in key) for record in records):
        return None
    by_key = {json_line([record[name] for name in key]): record for record in records}
    return by_key if len(by_key) == len(records) else None


def _compare_by_key(
    relpath: str, old: Mapping[bytes, Record], new: Mapping[bytes, Record], key: tuple[str, ...]
) -> ArtifactDiff:
    common = [name for name in new if name in old]
    differences = [(new[name], tuple(find_field_changes(old[name], new[name]))) for name in common]
    changed = [RecordChange({name: record[name] for name in key}, fields) for record, fields in differences if fields]
    return ArtifactDiff(
        relpath,
        "records",
        key,
        added=tuple(record for name, record in new.items() if name not in old),
        removed=tuple(record for name, record in old.items() if name not in new),
        changed=tuple(changed),
        unchanged=len(common) - len(changed),
    )


def _compare_whole_records(relpath: str, old: Sequence[Record], new: Sequence[Record]) -> ArtifactDiff:
    # A record may occur several times, so count the occurrences.
    old_count, new_count = (Counter(json_line(record) for record in records) for records in (old, new))
    added, removed = (
        tuple(json.loads(line) for line in lines.elements()) for lines in (new_count - old_count, old_count - new_count)
    )
    return ArtifactDiff(relpath, "records", added=added, removed=removed, unchanged=(old_count & new_count).total())
