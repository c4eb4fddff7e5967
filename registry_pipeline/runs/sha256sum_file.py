"""Judges a folder that carries a list of hashes and no seal: a MANIFEST.sha256 as `sha256sum` writes it (SPEC 2.2).

Such a list has no ROOT_SHA256 line and no manifest.json beside it, and does not name one. Its hashes are recomputed
from the disk, by the same walk and within the same bounds as a seal's. Of what it does not list it says nothing, which
is told and is no error. The folder stays `partial`: nothing tells whether the list itself was changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from registry_pipeline.files.path_policy import SEAL_FILES, bad_characters, path_codes
from registry_pipeline.findings.collector import FindingCollector, encodable
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.runs.check_hash_file import read_hash_lines
from registry_pipeline.runs.tree import Tree
from registry_pipeline.values import replace

_NAME: Final = SEAL_FILES[1]
# The star says that the file was read in binary mode, which makes no difference here.
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", re.DOTALL)
_SEAL_LINE: Final = re.compile(r"ROOT_SHA256.*|[0-9a-f]{64} [ *](?:\./)?manifest\.json", re.DOTALL)
_BESIDE: Final = ("UNLISTED_FILE", "UNLISTED_DIR", "NOT_REGULAR")


def check_sha256sum_file(folder: int, entries: Sequence[os.DirEntry[str]], shown: str) -> tuple[Finding, ...] | None:
    """Return what is wrong with an open directory, whose only seal file is MANIFEST.sha256, by its list of hashes.

    None where that is no list, but what is left of a seal. Without an error the findings say how many files match.
    """
    if not any(entry.name == _NAME and entry.is_file(follow_symlinks=False) for entry in entries):
        return None
    told = FindingCollector(shown)
    data = Tree(told, ()).read_document(folder, _NAME, "MANIFEST_SHA256")
    lines = None if data is None else read_hash_lines(data, told)
    if not lines or any(map(_SEAL_LINE.fullmatch, lines)) or not any(map(_LINE.fullmatch, lines)):
        return None
    listed = _judge_lines(lines, told)
    tree = Tree(told, ())
    tree.expect_hashes(listed)
    tree.walk(folder, list(entries))
    unvisited = tuple(tree.unvisited)
    for relpath in sorted(listed.keys() - tree.seen):
        if not relpath.startswith(unvisited):
            told.tell("FILE_MISSING", relpath)
    places = {f"{told.shown}/{encodable(relpath)}" for relpath in listed}
    findings = [
        replace(found, severity=Severity.WARNING) if found.code in _BESIDE and found.path not in places else found
        for found in told.findings()
    ]
    if not has_errors(findings):
        said = FindingCollector(shown)
        said.tell("HASHES_VERIFIED", detail="1 file matches" if len(listed) == 1 else f"{len(listed)} files match")
        findings += said.findings()
    return sorted_findings(findings)


def _judge_lines(lines: Sequence[str], told: FindingCollector) -> Mapping[str, str]:
    """Return the hash of each path that may be looked at; of a path that stands twice the first."""
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match, place = _LINE.fullmatch(line), f"{number}:1"
        if match is None:
            told.tell("HASHFILE_LINE_FORM", _NAME, location=place, got=line)
            continue
        digest, path = match.groups()
        for code in path_codes(path):
            told.tell(code, _NAME, location=place, got=path, detail=bad_characters(path))
        if path in listed:
            told.tell("HASHFILE_DUPLICATE_LINE", _NAME, location=place, got=path)
        elif not path_codes(path):
            listed[path] = digest
    return listed
