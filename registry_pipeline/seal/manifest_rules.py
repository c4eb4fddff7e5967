"""What manifest.json and run.json must say (SPEC 2.2, rows "manifest.json", "relpath", "run.json"). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from registry_pipeline.canon import StrictJsonError, parse_utc, read_strict_json
from registry_pipeline.model.ids import is_sha256
from registry_pipeline.model.manifest import ManifestEntry
from registry_pipeline.seal.path_policy import bad_characters, collisions, path_codes
from registry_pipeline.seal.telling import Telling

_KEYS: Final = ("relpath", "bytes", "sha256")
_KEY_SET: Final = frozenset(_KEYS)
_ALPHABETICAL: Final = tuple(sorted(_KEYS))
_LARGEST: Final = 2**53 - 1
_DEEPEST: Final = 200


@dataclass(frozen=True, slots=True)
class JudgedManifest:
    """A manifest as far as it can be used: every path that it lists, and the entries that are whole, by path."""

    listed: frozenset[str]
    entries: Mapping[str, ManifestEntry]


def judge_manifest(data: bytes, told: Telling) -> JudgedManifest | None:
    """Judge the bytes of a manifest.json; None where they are not a JSON array, so that nothing can be compared."""
    document = _strict_json(data, "manifest.json", "MANIFEST_JSON", told)
    if not isinstance(document, list):
        if document is not _UNPARSED:
            told.tell("MANIFEST_SHAPE", "manifest.json", detail=f"the top level is {_kind(document)}, not an array")
        return None
    entries = [_judge_entry(index, item, told) for index, item in enumerate(document)]
    listed = [(i, item["relpath"]) for i, item in enumerate(document) if _has_path(item)]
    for (_, before), (index, path) in pairwise(listed):
        if not before < path:
            told.tell("MANIFEST_ORDER", "manifest.json", location=f"/{index}/relpath", got=f"{path} after {before}")
            break
    whole = [entry for entry in entries if entry is not None]
    if not _is_canonical(data.decode("utf-8"), document, whole):
        told.tell("MANIFEST_NOT_CANONICAL", "manifest.json")
    _judge_paths(listed, told)
    by_path: dict[str, ManifestEntry] = {}
    for entry in whole:
        by_path.setdefault(entry.relpath, entry)
    return JudgedManifest(frozenset(path for _, path in listed), by_path)


def judge_run_json(data: bytes, folder_name: str, told: Telling) -> Mapping[str, Any] | None:
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


def _strict_json(data: bytes, relpath: str, family: str, told: Telling) -> Any:
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


def _judge_entry(index: int, item: Any, told: Telling) -> ManifestEntry | None:
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


def _judge_paths(listed: list[tuple[int, str]], told: Telling) -> None:
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


def _is_canonical(text: str, document: list[Any], whole: list[ManifestEntry]) -> bool:
    """Compare with the dumps that old and new tools write; `whole` is `document` where every entry is sound."""
    if len(whole) == len(document) and text == _our_dump(whole):
        return True
    for keys in (_KEYS, _ALPHABETICAL):
        ordered = [_with_keys(item, keys) for item in document]
        for ascii_only in (True, False):
            try:
                if text == json.dumps(ordered, indent=2, ensure_ascii=ascii_only) + "\n":
                    return True
            except RecursionError:
                return False
    return False


def _our_dump(entries: list[ManifestEntry]) -> str:
    """Spell out json.dumps(indent=2), whose indented form has no C encoder and would cost more than the hashing."""
    if not entries:
        return "[]\n"
    items = (
        f'  {{\n    "relpath": {encode_basestring_ascii(e.relpath)},\n    "bytes": {e.bytes},\n'
        f'    "sha256": "{e.sha256}"\n  }}'
        for e in entries
    )
    return "[\n" + ",\n".join(items) + "\n]\n"


def _with_keys(item: Any, keys: tuple[str, ...]) -> Any:
    if not isinstance(item, dict):
        return item
    return {key: item[key] for key in keys if key in item} | item
