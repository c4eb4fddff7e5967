"""What captured registries are given: the bytes of governed documents, judged before anything is sealed (SPEC 3).

A source that is missing or malformed gives no inputs and a CAPTURE_ finding: its registry stays on its active snapshot.
What a folder holds and a capture does not is told too, and recorded by its hash.
"""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISLNK
from typing import Any, Final

from registry_pipeline.canonical import read_strict_csv
from registry_pipeline.config import Repository
from registry_pipeline.findings.display import printable
from registry_pipeline.registries.base.capture import LATEST, CaptureReader, parse_or_none
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext

_REPORT: Final = "derived_validation_report.json"
_NAMES_OF_A_MIGRATION: Final = ("file", "filename", "migration", "id", "name", "version")
_LONGEST_NAME: Final = 255
_SHOWN: Final = 80


def read_expected_versions_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the configured expected-versions document; one that changed states another version."""
    taking = CaptureReader("expected_versions", repository, context)
    path = repository.config.expected_versions
    taking.take(path, taking.artifact)
    taking.tell_unbumped(path, taking.artifact)
    return taking.gathered()


def read_migration_ledger_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the ledger of applied migrations; an entry that the active snapshot lists is to stay in it."""
    taking = CaptureReader("migration_ledger", repository, context)
    taking.take(taking.source, taking.artifact)
    now, before = taking.files.get(taking.artifact), taking.before_main()
    if now is not None and before is not None and not taking.refused:
        kept = set(_migrations(now))
        gone = [name for name in _migrations(before) if name not in kept]
        if gone:
            more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
            detail = ", ".join(printable(repr(name[:_SHOWN])) for name in gone[:3]) + more
            taking.tell("CAPTURE_ENTRY_REMOVED", taking.source, detail=detail)
    return taking.gathered()


def read_fingerprint_index_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the index of fingerprints, whose rows are judged one by one."""
    taking = CaptureReader("fingerprint_index", repository, context)
    taking.take(taking.source, taking.artifact)
    data = taking.files.get(taking.artifact)
    return taking.gathered(None if data is None or taking.refused else sum(1 for _ in read_strict_csv(data)) - 1)


def read_threshold_packs_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture every pack, `*.json` directly in the folder, under its own name; all of them or none."""
    taking = CaptureReader("threshold_packs_file", repository, context)
    names = taking.names_in(taking.source, lambda name: name.endswith(".json"))
    for name in names or ():
        taking.take(f"{taking.source}/{name}", name)
        taking.tell_unbumped(f"{taking.source}/{name}", name, only_stated=True)
    if names == []:
        taking.tell_missing(taking.source, "there is no pack (*.json) in it")
    return taking.gathered()


def read_derived_validation_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the report in the folder that LATEST.txt names, and the files beside it.

    LATEST.txt is input, never authority: it tells which folder is captured, and nothing else.
    """
    taking = CaptureReader("derived_validation_reports", repository, context)
    latest = f"{taking.source}/{LATEST}"
    data = taking.read(latest)
    if data is None:
        return taking.gathered()
    name, problem = _named_folder(repository, taking.source, data)
    if problem:
        taking.refuse("CAPTURE_LATEST_INVALID", latest, detail=problem)
        return taking.gathered()
    folder = f"{taking.source}/{name}"
    names = taking.names_in(folder, lambda _name: True)
    if names is not None and _REPORT not in names:
        taking.tell_missing(f"{folder}/{_REPORT}", "there is no such file")
    for each in names or ():
        taking.take(f"{folder}/{each}", each, judged=each == _REPORT)
    return taking.gathered()


def _named_folder(repository: Repository, source: str, data: bytes) -> tuple[str, str]:
    """Return the folder that LATEST.txt names, and what is wrong with it ("": nothing)."""
    try:
        name = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return "", "it is not UTF-8"
    if not name:
        return "", "it is empty"
    shown = printable(repr(name[:_SHOWN]))
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable() or len(name) > _LONGEST_NAME:
        return "", f"{shown} is not the plain name of a folder"
    try:
        mode = os.lstat(repository.path(f"{source}/{name}")).st_mode
    except OSError as error:
        return "", f"{shown}: {error.strerror}"
    return name, "" if S_ISDIR(mode) else f"{shown} is a link" if S_ISLNK(mode) else f"{shown} is no folder"


def _migrations(data: bytes) -> list[str]:
    """Return what identifies each entry of a ledger: a text itself, an object by the first of its names."""
    document = parse_or_none(data)
    stated = document.get("migrations") if isinstance(document, dict) else document
    entries = stated if isinstance(stated, list) else []
    names = [entry if isinstance(entry, str) else _name_of(entry) for entry in entries]
    return [name for name in names if name]


def _name_of(entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    return next((str(entry[key]) for key in _NAMES_OF_A_MIGRATION if isinstance(entry.get(key), str | int)), "")
