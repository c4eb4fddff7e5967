"""Fold the findings that a conversion of line endings causes into one finding for each run root. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import SEVERITY_RANK, Finding, Severity, plural
from registry_pipeline.values import replace

CODE: Final = "DOCTOR_LINE_ENDS_CONVERTED"
_MARKS: Final = frozenset({"SEAL_BROKEN_EOL", "WARN_CRLF"})
# Errors about a file that matches after its line endings are converted back.
_OF_FILE: Final = frozenset({"SIZE_MISMATCH", "HASH_MISMATCH", "MANIFEST_NOT_CANONICAL"})
_OF_RECORD: Final = _MARKS | _OF_FILE | {"HASHFILE_CONTENT"}


def make_converted_finding(run_root: str, count: int, severity: Severity | None = None) -> Finding:
    """Return the finding about `count` run folders of a run root whose line endings git converted."""
    return finding(CODE, run_root, severity=severity, detail=plural(count, "run folder"))


def fold_line_end_damage(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with one for each run root in place of those that converted line endings cause.

    A folder with any other error keeps all of its findings.
    """
    findings = list(findings)
    converted = {f.path for f in findings if f.code in _MARKS}
    records = {f.path for f in findings if _is_converted_record(f)}
    reported = {f.path for f in findings if f.code == CODE}
    if not converted and not records and not reported:
        return findings
    # (1) The folders in which nothing else is wrong.
    folders = {folder for f in findings if f.code in _MARKS for folder in _find_run_folder(f, converted)}
    damaged_otherwise = {
        folder
        for f in findings
        if f.severity is Severity.ERROR and not _is_consequence(f, converted)
        for folder in _list_folders(f.path)
    }
    folders -= damaged_otherwise
    folders |= records
    # (2) Leave out what the conversion explains, and report each run root once.
    run_ids = {folder.rpartition("/")[2] for folder in folders}
    run_roots = {folder.rpartition("/")[0] for folder in folders}
    explained = {f for f in findings if _is_explained(f, folders, run_ids, run_roots | reported, converted)}
    severity = min((f.severity for f in explained), key=SEVERITY_RANK.__getitem__, default=Severity.WARNING)
    counts = Counter(folder.rpartition("/")[0] for folder in folders)
    new = [make_converted_finding(root or ".", counts[root], severity) for root in sorted(run_roots - reported)]
    others = (replace(f, severity=severity) if f.code == CODE else f for f in findings if f not in explained)
    return [*new, *others]


def _list_folders(path: str) -> Iterator[str]:
    """Yield a path and the folders above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _find_run_folder(mark: Finding, converted: set[str]) -> Iterator[str]:
    """Yield the run folder of a converted file: the nearest one whose list of hashes or manifest was converted."""
    for folder in _list_folders(mark.path):
        if not converted.isdisjoint((f"{folder}/MANIFEST.sha256", f"{folder}/manifest.json")):
            yield folder
            return


def _is_consequence(f: Finding, converted: set[str]) -> bool:
    if f.code == "HASHFILE_CONTENT":
        return f"{f.path.rpartition('/')[0]}/manifest.json" in converted
    return f.code in _MARKS or (f.code in _OF_FILE and f.path in converted)


def _is_converted_record(f: Finding) -> bool:
    """Return whether an activation record has no errors but those of a conversion; only their codes are known."""
    if f.code != "CHAIN_RECORD_EDITED":
        return False
    codes = set(f.message.rpartition(": ")[2].split(", "))
    return codes <= _OF_RECORD and not codes.isdisjoint(_MARKS)


def _is_explained(f: Finding, folders: set[str], run_ids: set[str], run_roots: set[str], converted: set[str]) -> bool:
    if f.code == "DOCTOR_LINE_ENDS":
        return f.path in run_roots
    if f.code == "POINTER_SEAL_INVALID":
        return f.got in run_ids
    if f.path in folders:
        return _is_converted_record(f)
    return _is_consequence(f, converted) and not folders.isdisjoint(_list_folders(f.path))
