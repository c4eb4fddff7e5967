"""What manifest.json and run.json must say (SPEC 2.2, rows "manifest.json", "relpath", "run.json"). Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, is_sha256, parse_utc, read_strict_json
from registry_pipeline.files.path_policy import bad_characters, collisions, path_codes
from registry_pipeline.findings.collector import MOST_OF_A_CODE, FindingCollector
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.values import value_type

_KEYS: Final = ("relpath", "bytes", "sha256")
_KEY_SET: Final = frozenset(_KEYS)
_ALPHABETICAL: Final = tuple(sorted(_KEYS))
_LARGEST: Final = 2**53 - 1
# The keys and a digest alone have more bytes.
_SMALLEST_ENTRY: Final = 90
# Of sizes below 10^15, and of paths that JSON writes as they are; others are left to the parser.
_PLAIN_ENTRY: Final = re.compile(
    r' "relpath": "([ !#-\[\]-~]+)",\n    "bytes": (0|[1-9][0-9]{0,14}),\n    "sha256": "([0-9a-f]{64})"\n'
)
_DEEPEST: Final = 200


@value_type
class ManifestResult:
    """A manifest as far as it can be used: every path that it lists, and the entries that are whole.

    `entries` has the first whole entry of each path. `is_sound` tells that nothing was found wrong with the manifest.
    """

    listed: frozenset[str]
    whole: Sequence[ManifestEntry]
    entries: Mapping[str, ManifestEntry]
    is_sound: bool


def check_manifest(data: bytes, told: FindingCollector) -> ManifestResult | None:
    """Judge the bytes of a manifest.json; None where they are not a JSON array, so that nothing can be compared."""
    before = told.count()
    entries = _entries_of_our_dump(data)
    if entries is not None:
        listed = [(index, entry.relpath) for index, entry in enumerate(entries)]
    else:
        document = _strict_json(data, "manifest.json", "MANIFEST_JSON", told)
        if not isinstance(document, list):
            if document is not _UNPARSED:
                told.tell("MANIFEST_SHAPE", "manifest.json", detail=f"the top level is {_kind(document)}, not an array")
            return None
        if len(document) > max(MOST_OF_A_CODE, len(data) // _SMALLEST_ENTRY):
            told.tell("MANIFEST_SHAPE", "manifest.json", detail=f"most of its {len(document)} items are no entries")
            return None
        entries = _judge_document(data, document, told)
        listed = [(index, item["relpath"]) for index, item in enumerate(document) if _has_path(item)]
    _judge_paths(listed, told)
    by_path: dict[str, ManifestEntry] = {}
    for entry in entries:
        by_path.setdefault(entry.relpath, entry)
    return ManifestResult(frozenset(path for _, path in listed), entries, by_path, told.count() == before)


def check_run_json(data: bytes, folder_name: str, told: FindingCollector) -> Mapping[str, Any] | None:
    """Judge what the seal asks of a run.json; None where it is not a JSON object."""
    document = _strict_json(data, "run.json", "RUN_JSON", told)
    if not isinstance(document, dict):
        if document is not _UNPARSED:
            told.tell("RUN_JSON_SHAPE", "run.json", detail=f"the top level is {_kind(document)}, not an object")
        return None
    run_id = document.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        told.tell("RUN_JSON_SHAPE", "run.json", location="/run_id", detail="run_id is not a non-empty string")
    elif run_id != folder_name:
        told.tell("RUN_ID_FOLDER_MISMATCH", "run.json", location="/run_id", expected=folder_name, got=run_id)
    if parse_utc(document.get("created_utc")) is None:
        detail, got = "created_utc is not YYYY-MM-DDTHH:MM:SSZ", _quoted(document.get("created_utc"))
        told.tell("RUN_JSON_SHAPE", "run.json", location="/created_utc", detail=detail, got=got)
    return document


_UNPARSED: Final = object()


def _strict_json(data: bytes, relpath: str, family: str, told: FindingCollector) -> Any:
    try:
        document = read_strict_json(data)
    except StrictJsonError as error:
        told.tell(f"{family}_{error.kind.upper()}", relpath, detail=error)
        return _UNPARSED
    if data.count(b"[") + data.count(b"{") > _DEEPEST and _depth(document) > _DEEPEST:
        told.tell(f"{family}_INVALID", relpath, detail=f"nested deeper than {_DEEPEST}")
        return _UNPARSED
    return document


def _depth(document: Any) -> int:
    """Count levels without recursion: what is too deep here would break every reader that recurses."""
    depth, level = 0, [document]
    while level and depth <= _DEEPEST:
        level = [
            child
            for value in level
            if isinstance(value, (dict, list))
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        depth += 1
    return depth


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _quoted(value: Any) -> str:
    return _kind(value) if isinstance(value, (dict, list)) else json.dumps(value)


def _has_path(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("relpath"), str)


def _judge_document(data: bytes, document: list[Any], told: FindingCollector) -> list[ManifestEntry]:
    entries = [_judge_entry(index, item, told) for index, item in enumerate(document)]
    if not _is_canonical(data.decode("utf-8"), document):
        told.tell("MANIFEST_NOT_CANONICAL", "manifest.json")
    return [entry for entry in entries if entry is not None]


def _judge_entry(index: int, item: Any, told: FindingCollector) -> ManifestEntry | None:
    if not isinstance(item, dict):
        told.tell("MANIFEST_SHAPE", "manifest.json", location=f"/{index}", detail=f"an entry is {_kind(item)}")
        return None
    if item.keys() != _KEY_SET:
        detail, got = "an entry has other keys than relpath, bytes and sha256", ", ".join(sorted(item))
        told.tell("MANIFEST_SHAPE", "manifest.json", location=f"/{index}", detail=detail, got=got)
    path, size, digest = item.get("relpath"), item.get("bytes"), item.get("sha256")
    has_path, has_digest = isinstance(path, str) and path != "", is_sha256(digest)
    # True is an int in Python and 1.0 == 1: only the exact type is a whole number.
    has_size = type(size) is int and 0 <= size <= _LARGEST
    if has_path and has_size and has_digest:
        return ManifestEntry(str(path), int(size or 0), str(digest))
    rules = (("relpath", has_path, "PATH_TYPE"), ("bytes", has_size, "BYTES"), ("sha256", has_digest, "SHA256_FORM"))
    for key, is_sound, rule in rules:
        if key in item and not is_sound:
            told.tell(f"MANIFEST_{rule}", "manifest.json", location=f"/{index}/{key}", got=_quoted(item[key]))
    return None


def _judge_paths(listed: list[tuple[int, str]], told: FindingCollector) -> None:
    for (_, before), (index, path) in pairwise(listed):
        if not before < path:
            told.tell("MANIFEST_ORDER", "manifest.json", location=f"/{index}/relpath", got=f"{path} after {before}")
            break
    for index, path in listed:
        for code in path_codes(path) if path else ():
            told.tell(code, "manifest.json", location=f"/{index}/relpath", got=path, detail=bad_characters(path))
    if len({path.lower() for _, path in listed}) == len(listed) and all(
        p.isascii() and "/" not in p for _, p in listed
    ):
        return
    places = {path: index for index, path in listed}
    for path, other in collisions(path for _, path in listed):
        told.tell("PATH_COLLISION", "manifest.json", location=f"/{places[path]}/relpath", got=path, detail=other)


def _entries_of_our_dump(data: bytes) -> list[ManifestEntry] | None:
    """Return the entries of a manifest in the exact form that we write, or None: then a JSON parser has to look.

    The pattern only proposes; what is dumped from its entries must be the very bytes, which proves all but the paths.
    It takes 0.6 of the time of the parser and of a judgement key by key.
    """
    if not data.isascii():
        return None
    text = data.decode("ascii")
    entries = [ManifestEntry(path, int(size), digest) for path, size, digest in _PLAIN_ENTRY.findall(text)]
    return entries if text == _our_dump(entries) else None


def _our_dump(entries: list[ManifestEntry]) -> str:
    """Spell out json.dumps(indent=2) for paths that need no escape."""
    if not entries:
        return "[]\n"
    items = ",\n".join(
        f'  {{\n    "relpath": "{e.relpath}",\n    "bytes": {e.bytes},\n    "sha256": "{e.sha256}"\n  }}'
        for e in entries
    )
    return f"[\n{items}\n]\n"


def _is_canonical(text: str, document: list[Any]) -> bool:
    """Compare with the dumps that old and new tools write."""
    for keys in (_KEYS, _ALPHABETICAL):
        ordered = [_with_keys(item, keys) for item in document]
        for ascii_only in (True, False):
            try:
                if text == json.dumps(ordered, indent=2, ensure_ascii=ascii_only) + "\n":
                    return True
            except RecursionError:
                return False
    return False


def _with_keys(item: Any, keys: tuple[str, ...]) -> Any:
    if not isinstance(item, dict):
        return item
    return {key: item[key] for key in keys if key in item} | item
