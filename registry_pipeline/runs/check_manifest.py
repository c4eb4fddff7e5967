"""Check manifest.json, and what the seal requires of run.json: "Manifest" in docs/reference/specification.md. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, is_sha256, parse_strict_json, parse_utc
from registry_pipeline.files.path_policy import bad_characters, find_collisions, path_codes
from registry_pipeline.findings.collector import MAX_OF_A_CODE, FindingCollector
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.values import value_type

_NAME: Final = "manifest.json"
_KEYS: Final = ("relpath", "bytes", "sha256")
_KEY_ORDERS: Final = (_KEYS, tuple(sorted(_KEYS)))
_MAX_SIZE: Final = 2**53 - 1
# The keys and a digest alone have more bytes.
_MIN_ENTRY_BYTES: Final = 90
_MAX_DEPTH: Final = 200
_UNPARSED: Final = object()


@value_type
class ManifestResult:
    """The usable parts of a manifest: every path that it lists, and the entries without an error.

    `by_path` has the first valid entry of each path. `is_valid` is False if any finding was reported.
    """

    listed_paths: frozenset[str]
    valid_entries: Sequence[ManifestEntry]
    by_path: Mapping[str, ManifestEntry]
    is_valid: bool


def check_manifest(data: bytes, collector: FindingCollector) -> ManifestResult | None:
    """Check the bytes of a manifest.json and return its parts; None if it is not a usable JSON array."""
    findings_before = collector.count()
    document = _parse_strict(data, _NAME, "MANIFEST_JSON", collector)
    if not isinstance(document, list):
        if document is not _UNPARSED:
            collector.add("MANIFEST_SHAPE", _NAME, detail=f"the top level is {_type_name(document)}, not an array")
        return None
    # Millions of tiny items are no manifest; checking them one by one would take minutes.
    if len(document) > max(MAX_OF_A_CODE, len(data) // _MIN_ENTRY_BYTES):
        collector.add("MANIFEST_SHAPE", _NAME, detail=f"most of its {len(document)} items are not entries")
        return None
    checked = [_check_entry(index, item, collector) for index, item in enumerate(document)]
    entries = [entry for entry in checked if entry is not None]
    if not _is_canonical(data.decode("utf-8"), document):
        collector.add("MANIFEST_NOT_CANONICAL", _NAME)
    listed = [
        (index, item["relpath"])
        for index, item in enumerate(document)
        if isinstance(item, dict) and isinstance(item.get("relpath"), str)
    ]
    _check_paths(listed, collector)
    by_path: dict[str, ManifestEntry] = {}
    for entry in entries:
        by_path.setdefault(entry.relpath, entry)
    is_valid = collector.count() == findings_before
    return ManifestResult(frozenset(path for _, path in listed), entries, by_path, is_valid)


def check_run_json(data: bytes, folder_name: str, collector: FindingCollector) -> Mapping[str, Any] | None:
    """Report what the seal refuses in a run.json; return its object, even with findings, or None if it is not one."""
    document = _parse_strict(data, "run.json", "RUN_JSON", collector)
    if not isinstance(document, dict):
        if document is not _UNPARSED:
            detail = f"the top level is {_type_name(document)}, not an object"
            collector.add("RUN_JSON_SHAPE", "run.json", detail=detail)
        return None
    run_id = document.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        collector.add("RUN_JSON_SHAPE", "run.json", location="/run_id", detail="run_id is not a non-empty string")
    elif run_id != folder_name:
        collector.add("RUN_ID_FOLDER_MISMATCH", "run.json", location="/run_id", expected=folder_name, got=run_id)
    if parse_utc(document.get("created_utc")) is None:
        detail, got = "created_utc is not YYYY-MM-DDTHH:MM:SSZ", _format_value(document.get("created_utc"))
        collector.add("RUN_JSON_SHAPE", "run.json", location="/created_utc", detail=detail, got=got)
    return document


def _parse_strict(data: bytes, relpath: str, code_prefix: str, collector: FindingCollector) -> Any:
    """Return the value of strict JSON, or `_UNPARSED` after reporting why it cannot be parsed."""
    try:
        document = parse_strict_json(data)
    except StrictJsonError as error:
        collector.add(f"{code_prefix}_{error.kind.upper()}", relpath, detail=error)
        return _UNPARSED
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH and _is_too_deep(document):
        collector.add(f"{code_prefix}_INVALID", relpath, detail=f"nested deeper than {_MAX_DEPTH}")
        return _UNPARSED
    return document


def _is_too_deep(document: Any) -> bool:
    # Level by level without recursion: a document that is too deep would break every recursive reader.
    level = [document]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, (dict, list))
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _format_value(value: Any) -> str:
    return _type_name(value) if isinstance(value, (dict, list)) else json.dumps(value)


def _check_entry(index: int, item: Any, collector: FindingCollector) -> ManifestEntry | None:
    """Return a usable entry, else None; everything invalid is reported. Other keys alone leave it usable."""
    if not isinstance(item, dict):
        collector.add("MANIFEST_SHAPE", _NAME, location=f"/{index}", detail=f"an entry is {_type_name(item)}")
        return None
    if item.keys() != set(_KEYS):
        detail, got = "an entry has other keys than relpath, bytes and sha256", ", ".join(sorted(item))
        collector.add("MANIFEST_SHAPE", _NAME, location=f"/{index}", detail=detail, got=got)
    path, size, digest = item.get("relpath"), item.get("bytes"), item.get("sha256")
    has_path, has_digest = isinstance(path, str) and path != "", is_sha256(digest)
    # True is an int in Python and 1.0 == 1: only the exact type is a whole number.
    has_size = type(size) is int and 0 <= size <= _MAX_SIZE
    if has_path and has_size and has_digest:
        return ManifestEntry(str(path), int(size or 0), str(digest))
    rules = (("relpath", has_path, "PATH_TYPE"), ("bytes", has_size, "BYTES"), ("sha256", has_digest, "SHA256_FORM"))
    for key, is_valid, rule in rules:
        if key in item and not is_valid:
            collector.add(f"MANIFEST_{rule}", _NAME, location=f"/{index}/{key}", got=_format_value(item[key]))
    return None


def _check_paths(listed: list[tuple[int, str]], collector: FindingCollector) -> None:
    """Check order, path rules and collisions of the paths, given with their index in the manifest."""
    for (_, previous), (index, path) in pairwise(listed):
        if not previous < path:
            got = f"{path} after {previous}"
            collector.add("MANIFEST_ORDER", _NAME, location=f"/{index}/relpath", got=got)
            break
    for index, path in listed:
        for code in path_codes(path) if path else ():
            collector.add(code, _NAME, location=f"/{index}/relpath", got=path, detail=bad_characters(path))
    # ASCII names without folders collide only if they are equal when lowered: most manifests end here.
    is_flat = all(path.isascii() and "/" not in path for _, path in listed)
    if is_flat and len({path.lower() for _, path in listed}) == len(listed):
        return
    indexes = {path: index for index, path in listed}
    for path, other in find_collisions(path for _, path in listed):
        collector.add("PATH_COLLISION", _NAME, location=f"/{indexes[path]}/relpath", got=path, detail=other)


def _is_canonical(text: str, document: list[Any]) -> bool:
    """Return whether the text is what this tool or an older one writes."""
    for keys in _KEY_ORDERS:
        ordered = [
            {key: item[key] for key in keys if key in item} | item if isinstance(item, dict) else item
            for item in document
        ]
        for ascii_only in (True, False):
            try:
                if text == json.dumps(ordered, indent=2, ensure_ascii=ascii_only) + "\n":
                    return True
            except RecursionError:
                return False
    return False
