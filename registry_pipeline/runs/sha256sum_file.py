"""Check a folder against a plain list of hashes: a MANIFEST.sha256 as `sha256sum` writes it, without a seal.

Rules: docs/reference/specification.md, "Lists of hashes".
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
# `*` marks a file that was read in binary mode, which makes no difference here.
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", re.DOTALL)
_SEAL_LINE: Final = re.compile(r"ROOT_SHA256.*|[0-9a-f]{64} [ *](?:\./)?manifest\.json", re.DOTALL)
# A list says nothing about other files in the folder, so these codes become warnings for them.
_WARNING_IF_UNLISTED: Final = ("UNLISTED_FILE", "UNLISTED_DIR", "NOT_REGULAR")


def check_sha256sum_file(
    folder: int, entries: Sequence[os.DirEntry[str]], display_path: str
) -> tuple[Finding, ...] | None:
    """Return the findings of a folder whose only seal file is a list of hashes; None if it is part of a seal.

    If no file is missing or different, the last finding says how many files match.

    Args:
        folder: descriptor of the open folder.
        entries: the directory entries of the folder.
        display_path: the folder's path in findings.
    """
    if not any(entry.name == _NAME and entry.is_file(follow_symlinks=False) for entry in entries):
        return None
    collector = FindingCollector(display_path)
    tree = Tree(collector, ())
    data = tree.read_document(folder, _NAME, "MANIFEST_SHA256")
    lines = None if data is None else read_hash_lines(data, collector)
    if not lines or any(map(_SEAL_LINE.fullmatch, lines)) or not any(map(_LINE.fullmatch, lines)):
        return None
    hashes = _parse_lines(lines, collector)
    # The hashes are recomputed within the same limits as those of a seal.
    tree.expect_hashes(hashes)
    tree.walk(folder, list(entries))
    tree.report_missing_files(hashes)
    listed_paths = {f"{collector.shown}/{encodable(relpath)}" for relpath in hashes}
    findings = [
        replace(finding, severity=Severity.WARNING)
        if finding.code in _WARNING_IF_UNLISTED and finding.path not in listed_paths
        else finding
        for finding in collector.findings()
    ]
    if not has_errors(findings):
        summary = FindingCollector(display_path)
        summary.add("HASHES_VERIFIED", detail="1 file matches" if len(hashes) == 1 else f"{len(hashes)} files match")
        findings += summary.findings()
    return sorted_findings(findings)


def _parse_lines(lines: Sequence[str], collector: FindingCollector) -> Mapping[str, str]:
    """Return the first hash of each path that breaks no path rule."""
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match, location = _LINE.fullmatch(line), f"{number}:1"
        if match is None:
            collector.add("HASHFILE_LINE_FORM", _NAME, location=location, got=line)
            continue
        digest, path = match.groups()
        codes = path_codes(path)
        for code in codes:
            collector.add(code, _NAME, location=location, got=path, detail=bad_characters(path))
        if path in hashes:
            collector.add("HASHFILE_DUPLICATE_LINE", _NAME, location=location, got=path)
        elif not codes:
            hashes[path] = digest
    return hashes
