"""Read the inputs of the captured registries.

A source that is missing, malformed or breaks its schema is refused: a finding, and inputs without files, so that
nothing is built. Other findings do not prevent the capture.
"""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISLNK
from typing import Any, Final

from registry_pipeline.canonical import parse_strict_csv, try_parse_strict_json
from registry_pipeline.config import OwnRegistry, Repository
from registry_pipeline.findings.display import printable
from registry_pipeline.registries.base.capture import LATEST, CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext

_REPORT: Final = "derived_validation_report.json"
_MIGRATION_NAME_KEYS: Final = ("file", "filename", "migration", "id", "name", "version")
_MAX_NAME_LENGTH: Final = 255
_MAX_DISPLAY_LENGTH: Final = 80


def read_expected_versions_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the expected-versions document; one that changed without a new version is a finding."""
    capture = CaptureReader("expected_versions", repository, context)
    path = repository.config.expected_versions
    # This document has a key of its own in the toml, because drift_signals needs its path too.
    capture.capture_file(path, capture.artifact)
    capture.check_version_bump(path, capture.artifact)
    return capture.make_build_inputs()


def read_migration_ledger_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the ledger of applied migrations; entries of the active snapshot that it lacks are one finding."""
    capture = CaptureReader("migration_ledger", repository, context)
    capture.capture_file(capture.source, capture.artifact)
    data, previous = capture.files.get(capture.artifact), capture.find_previous_main_artifact()
    # A malformed ledger is refused already; comparing it would report every entry as removed.
    if data is not None and previous is not None and not capture.refused:
        names = set(_parse_migration_names(data))
        removed = [name for name in _parse_migration_names(previous) if name not in names]
        if removed:
            # A ledger may have hundreds of entries; three names show which ones are meant.
            more = f" and {len(removed) - 3} more" if len(removed) > 3 else ""
            detail = ", ".join(map(_format_name, removed[:3])) + more
            capture.add_finding("CAPTURE_ENTRY_REMOVED", capture.source, detail=detail)
    return capture.make_build_inputs()


def read_fingerprint_index_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the index of fingerprints; each row but the header is a record."""
    capture = CaptureReader("fingerprint_index", repository, context)
    capture.capture_file(capture.source, capture.artifact)
    data = capture.files.get(capture.artifact)
    # The header is a row, but no record.
    return capture.make_build_inputs(
        None if data is None or capture.refused else sum(1 for _ in parse_strict_csv(data)) - 1
    )


def read_threshold_packs_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture all packs of the folder (`*.json`) under their own names; a malformed pack, or no pack, refuses all."""
    capture = CaptureReader("threshold_packs_file", repository, context)
    names = capture.list_capturable(capture.source, lambda name: name.endswith(".json"))
    # One malformed pack refuses the whole capture: packs of different states must not be sealed together.
    for name in names or ():
        capture.capture_file(f"{capture.source}/{name}", name)
        capture.check_version_bump(f"{capture.source}/{name}", name, only_stated=True)
    if names == []:
        capture.refuse_missing(capture.source, "the folder contains no pack (*.json)")
    return capture.make_build_inputs()


def read_derived_validation_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the report in the folder that LATEST.txt names, and the files beside it; only the report has a schema."""
    capture = CaptureReader("derived_validation_reports", repository, context)
    latest = f"{capture.source}/{LATEST}"
    data = capture.read(latest)
    if data is None:
        return capture.make_build_inputs()
    # LATEST.txt is input, not authority: it only says which folder is captured.
    name, problem = _parse_latest(repository, capture.source, data)
    if problem:
        capture.refuse("CAPTURE_LATEST_INVALID", latest, detail=problem)
        return capture.make_build_inputs()
    folder = f"{capture.source}/{name}"
    names = capture.list_capturable(folder, lambda _name: True)
    if names is not None and _REPORT not in names:
        capture.refuse_missing(f"{folder}/{_REPORT}", "the file does not exist")
    # Only the report has a schema; the other files are evidence for it.
    for file_name in names or ():
        capture.capture_file(f"{folder}/{file_name}", file_name, check_schema=file_name == _REPORT)
    return capture.make_build_inputs()


def read_own_inputs(registry_id: str, own: OwnRegistry, repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the files of a registry of the repository's own."""
    capture = CaptureReader(registry_id, repository, context, own)
    capture.capture_matches(own.sources)
    data = None if capture.refused or not capture.artifact else capture.files.get(capture.artifact)
    return capture.make_build_inputs(None if data is None else _count_records(capture.artifact, data))


def _count_records(name: str, data: bytes) -> int:
    """Return the number of records of a captured file: lines, rows, the items of a list; else 1, the document."""
    if name.endswith(".jsonl"):
        return data.count(b"\n")
    if name.endswith(".csv"):
        return sum(1 for _ in parse_strict_csv(data)) - 1
    document = None if name.endswith(".yaml") else try_parse_strict_json(data)
    return len(document) if isinstance(document, list) else 1


def _parse_latest(repository: Repository, source: str, data: bytes) -> tuple[str, str]:
    """Return the folder name in LATEST.txt, and why it names no folder beside the file ("" if it does)."""
    try:
        name = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return "", "the file is not UTF-8"
    if not name:
        return "", "the file is empty"
    # A path would allow a capture from outside the configured folder.
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable() or len(name) > _MAX_NAME_LENGTH:
        return "", f"{_format_name(name)} is not the plain name of a folder"
    try:
        mode = os.lstat(repository.path(f"{source}/{name}")).st_mode
    except OSError as error:
        return "", f"{_format_name(name)}: {error.strerror}"
    if S_ISDIR(mode):
        return name, ""
    return name, f"{_format_name(name)} is {'a link' if S_ISLNK(mode) else 'not a folder'}"


def _format_name(name: str) -> str:
    return printable(repr(name[:_MAX_DISPLAY_LENGTH]))


def _parse_migration_names(data: bytes) -> list[str]:
    """Return the names of the entries of a ledger that have one, in order; none if the ledger cannot be parsed."""
    document = try_parse_strict_json(data)
    stated = document.get("migrations") if isinstance(document, dict) else document
    entries = stated if isinstance(stated, list) else []
    names = [entry if isinstance(entry, str) else _find_migration_name(entry) for entry in entries]
    return [name for name in names if name]


def _find_migration_name(entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    return next((str(entry[key]) for key in _MIGRATION_NAME_KEYS if isinstance(entry.get(key), str | int)), "")
