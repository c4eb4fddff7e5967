"""Build the artifacts of a sealed evidence pack and of the index of a collection. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_document, json_line, sha256_hex
from registry_pipeline.capture_table import is_reserved_name
from registry_pipeline.registries.collections import INDEX, PACK_ARTIFACT
from registry_pipeline.registries.collections.pack_check import PackInputs
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import fields, value_type

_VERSION: Final = "0.1"
_REF_KEYS: Final = fields(SealedRef)
_TYPES: Final = (str, str, int, int, str, str)
_KEYS: Final = ("index_version", "member_id", "sealed_ref", "content_sha256", "files", "bytes")


@value_type(order=True)
class IndexEntry:
    """One sealed run of a member. Its line in the index never changes."""

    member_id: str
    ref: SealedRef
    # The hash of the names and hashes of the files that were captured.
    content_sha256: str
    # The number of these files and of their bytes.
    files: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the line of the index as a JSON object."""
        values = (_VERSION, self.member_id, self.ref.to_json(), self.content_sha256, self.files, self.bytes)
        return dict(zip(_KEYS, values, strict=True))

    @classmethod
    def from_json(cls, value: Any) -> IndexEntry:
        """Return the entry of a line; raise ValueError if the line has another shape."""
        if not isinstance(value, dict) or tuple(value) != _KEYS or value["index_version"] != _VERSION:
            raise ValueError("the keys are not exactly those of an entry of version 0.1")
        _, member_id, ref, content, files, size = value.values()
        if not isinstance(ref, dict) or tuple(ref) != _REF_KEYS:
            raise ValueError("sealed_ref is not a reference to a sealed run")
        run_id, run_root, relpath, root_sha256 = ref.values()
        # An index has thousands of lines, so all types of one are compared at once.
        types = (type(member_id), type(content), type(files), type(size), type(run_id), type(run_root))
        if types != _TYPES or type(root_sha256) is not str or not (relpath is None or type(relpath) is str):
            raise ValueError("a value of the entry has another type")
        return cls(member_id, SealedRef(run_id, run_root, relpath, root_sha256), content, files, size)


def make_index_entry(member_id: str, ref: SealedRef, entries: Iterable[ManifestEntry]) -> IndexEntry:
    """Return the entry of a sealed run of a member; `entries` is the manifest of the run, or of its artifacts alone."""
    files = [entry for entry in entries if is_captured_file(entry.relpath)]
    content = hash_files({entry.relpath: entry.sha256 for entry in files})
    return IndexEntry(member_id, ref, content, len(files), sum(entry.bytes for entry in files))


def is_captured_file(relpath: str) -> bool:
    """Return whether a file of a member run was captured, and not made for the run."""
    # The files of a pack are in a folder, so that none of their names is reserved.
    return "/" in relpath or (relpath != PACK_ARTIFACT and not is_reserved_name(relpath))


def hash_files(hashes: Mapping[str, str]) -> str:
    """Return the hash of the names and hashes of captured files."""
    return sha256_hex(json_document(sorted(map(list, hashes.items()))))


def parse_index(data: bytes) -> tuple[IndexEntry, ...]:
    """Return the entries of an index in their order; raise ValueError at the first line that is none."""
    lines = data.decode("utf-8").split("\n")
    if lines.pop():
        raise ValueError(f"line {len(lines) + 1}: the newline is missing")
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(IndexEntry.from_json(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
    return tuple(entries)


def build_index(entries: Iterable[IndexEntry], added: int) -> Artifacts:
    """Return the index: one line for each entry, sorted by member and run id; `added` of them are new."""
    ordered = sorted(entries)
    data = b"".join([json_line(entry.to_json()) for entry in ordered])
    metrics = {
        "members": len({entry.member_id for entry in ordered}),
        "runs": len(ordered),
        "runs_added": added,
        "bytes": sum(entry.bytes for entry in ordered),
    }
    return Artifacts({INDEX: data}, len(ordered), sha256_hex(data), metrics)


def build_pack(inputs: PackInputs, context: BuildContext) -> Artifacts:
    """Return the files of a pack, unchanged, and the record of how they were checked."""
    # A pack has no time of its own.
    del context
    record = {
        "pack_version": _VERSION,
        "member_id": inputs.member_id,
        "pack_sha256": inputs.check.pack_sha256,
        "listed_in": inputs.check.listed_in,
        "files": [
            {
                "path": path,
                "bytes": len(data),
                "sha256": sha256_hex(data),
                "listed": path in inputs.check.listed,
            }
            for path, data in sorted(inputs.files.items())
        ],
    }
    files = {PACK_ARTIFACT: json_document(record)}
    files |= {f"{inputs.folder}/{path}": data for path, data in sorted(inputs.files.items())}
    metrics = {"files": len(inputs.files), "bytes": sum(map(len, inputs.files.values()))}
    return Artifacts(files, len(inputs.files), sha256_hex(files[PACK_ARTIFACT]), metrics)
