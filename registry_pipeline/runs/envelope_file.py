"""Read run.json: of a run that nothing verified, and of a sealed run with its verified bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, parse_strict_json, sha256_hex
from registry_pipeline.config import Adapter
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.check_manifest import check_manifest
from registry_pipeline.runs.envelope import AdaptedBy
from registry_pipeline.runs.manifest import ManifestEntry

_FIELDS: Final = (
    "created_utc",
    "created_at",
    "run_type",
    "option",
    "operation_id",
    "git_commit",
    "working_tree_state",
    "dagster_run_id",
)


def read_run_json(folder: Path) -> dict[str, Any] | None:
    """Return the object in a folder's run.json, without a seal check; None if it is not one strict JSON object.

    A missing, unreadable or too large file gives None too. Links are followed.
    """
    try:
        value = parse_strict_json(read_regular_file(folder / "run.json"))
    except (OSError, StrictJsonError):
        return None
    return value if isinstance(value, dict) else None


def parse_registry_run_json(data: bytes | None) -> dict[str, Any] | None:
    """Return the object of a run.json that names a registry, else None; it need not be strict JSON."""
    # A substring search rules out nearly every other run, so that its run.json is not parsed.
    if data is None or (b"registry_id" not in data and b"\\u" not in data):
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    name = value.get("registry_id") if isinstance(value, dict) else None
    return value if isinstance(name, str) and name else None


def parse_run_json(data: bytes | str | None) -> tuple[Mapping[str, Any], str | None]:
    """Return the run.json fields that the run registry uses, and the warning text if there are none.

    `data` is None if there is no run.json, and a text with the reason if it cannot be read. The JSON value null has
    neither fields nor a warning.
    """
    if data is None:
        return {}, "missing run.json"
    value, problem = _parse_json(data, "run.json")
    if isinstance(value, dict):
        return {name: value[name] for name in _FIELDS if name in value}, None
    # The text `null` gives no warning: published run registries have none for it.
    return {}, problem if value is None else "run.json top-level is not an object"


def parse_adapted_file(data: bytes | str, adapter: Adapter) -> tuple[Mapping[str, Any], AdaptedBy]:
    """Return the fields that an adapter finds in its file, under their run.json names, and how they were read."""
    fields = adapter.fields()
    value, problem = _parse_json(data, adapter.file)
    if not isinstance(value, dict):
        problem = problem or f"{adapter.file} top-level is not an object"
        return {}, AdaptedBy(adapter.file, fields, problem, path_pattern=adapter.path_pattern)
    envelope = {name: field for name, path in fields.items() if (field := _get_nested(value, path)) is not None}
    return envelope, AdaptedBy(adapter.file, fields, None, frozenset(envelope), adapter.path_pattern)


def _get_nested(value: Any, dotted_keys: str) -> Any:
    for key in dotted_keys.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _parse_json(data: bytes | str, name: str) -> tuple[Any, str | None]:
    """Return the JSON value of a file, or None and the warning text."""
    if isinstance(data, str):
        return None, f"Failed to parse {name}: {data}"
    try:
        return json.loads(decode_text(data)), None
    except (ValueError, RecursionError) as error:
        return None, f"Failed to parse {name}: {error}"


def decode_text(data: bytes) -> str:
    """Return UTF-8 text with every line end as a line feed, as Python reads a text file."""
    text = data.decode("utf-8")
    # The warnings keep Python's messages, which count lines.
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_entries_for_root(folder: Path, root_sha256: str) -> tuple[ManifestEntry, ...] | None:
    """Return the entries of manifest.json if they hash to this root, else None."""
    root, entries = _read_manifest(folder)
    return entries if root == root_sha256 else None


def read_stated_root(folder: Path) -> str | None:
    """Return the root computed from manifest.json alone, or None if it is missing, unreadable or invalid."""
    return _read_manifest(folder)[0]


def _read_manifest(folder: Path) -> tuple[str | None, tuple[ManifestEntry, ...]]:
    """Return the root and the entries of manifest.json; None and () if it cannot be read or has a finding."""
    try:
        data = read_regular_file(folder / "manifest.json", follow_links=False)
    except (OSError, ValueError):  # a name in a record may contain a NUL
        return None, ()
    manifest = check_manifest(data, FindingCollector("manifest.json"))
    if manifest is None or not manifest.is_valid:
        return None, ()
    # The hash file's lines follow from the manifest, so the root does too.
    lines = [f"{entry.sha256}  {entry.relpath}\n" for entry in manifest.valid_entries]
    lines.append(f"{sha256_hex(data)}  manifest.json\n")
    return sha256_hex("".join(sorted(lines)).encode()), tuple(manifest.valid_entries)
