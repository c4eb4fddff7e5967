"""Check MANIFEST.sha256: the one of a seal, and a plain list of hashes as `sha256sum` writes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.path_policy import bad_characters, path_codes
from registry_pipeline.findings.collector import MAX_OF_A_CODE, FindingCollector, encodable
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.runs.check_manifest import ManifestResult
from registry_pipeline.runs.tree import Tree
from registry_pipeline.values import replace

_HASH_FILE: Final = "MANIFEST.sha256"
# `*` marks a file that was read in binary mode, which makes no difference here.
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", re.DOTALL)
_SEAL_LINE: Final = re.compile(r"ROOT_SHA256.*|[0-9a-f]{64} [ *](?:\./)?manifest\.json", re.DOTALL)
# A list says nothing about other files in the folder, so these codes become warnings for them.
_WARNING_IF_UNLISTED: Final = ("UNLISTED_FILE", "UNLISTED_DIR", "NOT_REGULAR")


def check_sha256sum_file(folder: int, display_path: str) -> tuple[Finding, ...] | None:
    """Return the findings of an open folder whose only seal file is a list of hashes; None if it is part of a seal.

    If no file is missing or different, the last finding says how many files match.
    """
    collector = FindingCollector(display_path)
    tree = Tree(folder, collector)
    data = tree.read_document(_HASH_FILE, "MANIFEST_SHA256")
    lines = None if data is None else parse_hash_lines(data, collector)
    if not lines or any(map(_SEAL_LINE.fullmatch, lines)) or not any(map(_LINE.fullmatch, lines)):
        return None
    hashes = _parse_lines(lines, collector)
    # The hashes are recomputed within the same limits as those of a seal.
    tree.compare_hashes(hashes)
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
    """Return the hash by path of each valid line, the first of duplicates; report the other lines."""
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match, location = _LINE.fullmatch(line), f"{number}:1"
        if match is None:
            collector.add("HASHFILE_LINE_FORM", _HASH_FILE, location=location, got=line)
            continue
        digest, path = match.groups()
        codes = path_codes(path)
        for code in codes:
            collector.add(code, _HASH_FILE, location=location, got=path, detail=bad_characters(path))
        if path in hashes:
            collector.add("HASHFILE_DUPLICATE_LINE", _HASH_FILE, location=location, got=path)
        elif not codes:
            hashes[path] = digest
    return hashes


_ROOT_KEYWORD: Final = "ROOT_SHA256"
_FILE_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)", re.DOTALL)
_ROOT_LINE: Final = re.compile(r"ROOT_SHA256  ([0-9a-f]{64})")
# A digest, two spaces, one character and a newline.
_MIN_LINE_BYTES: Final = 68


def check_hash_file(
    data: bytes, manifest: ManifestResult | None, manifest_sha256: str | None, collector: FindingCollector
) -> tuple[str | None, str | None]:
    """Check the bytes of MANIFEST.sha256 against manifest.json (None if unusable).

    Returns the root recomputed from the file lines, and the listed hash of manifest.json; None without such lines.
    """
    lines = parse_hash_lines(data, collector)
    if lines is None:
        return None, None
    # (1) the ROOT_SHA256 line
    claimed_root = _check_root_line(lines, collector)
    # (2) the form of the file lines
    file_lines = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith(_ROOT_KEYWORD)]
    pairs = []
    for number, line in file_lines:
        match = _FILE_LINE.fullmatch(line)
        if match is None:
            collector.add("HASHFILE_LINE_FORM", _HASH_FILE, location=f"{number}:1", got=line)
        else:
            pairs.append((match[2], match[1]))
    # (3) duplicates, order and agreement with manifest.json
    _check_pairs(pairs, collector)
    _compare_with_manifest(frozenset(pairs), manifest, manifest_sha256, collector)
    # (4) the root, recomputed over all file lines
    root = sha256_hex("".join(sorted(f"{line}\n" for _, line in file_lines)).encode()) if file_lines else None
    if claimed_root is not None and claimed_root != root:
        collector.add("ROOT_MISMATCH", _HASH_FILE, expected=root, got=claimed_root)
    return root, dict(reversed(pairs)).get("manifest.json")


def parse_hash_lines(data: bytes, collector: FindingCollector) -> list[str] | None:
    """Return the lines that are not blank, and report wrong text; None if it is not UTF-8 or most are too short."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        collector.add("HASHFILE_NOT_UTF8", _HASH_FILE, detail=error)
        return None
    count = text.count("\n")
    if count > max(MAX_OF_A_CODE, len(data) // _MIN_LINE_BYTES):
        collector.add("HASHFILE_LINE_FORM", _HASH_FILE, got=f"most of {count} lines are too short")
        return None
    if "\r" in text:
        if text.count("\r") == text.count("\r\n") == count:
            collector.add("WARN_CRLF", _HASH_FILE)
        else:
            collector.add("HASHFILE_NEWLINES", _HASH_FILE, detail="line ends are neither all LF nor all CRLF")
        text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        collector.add("HASHFILE_NEWLINES", _HASH_FILE, detail="there is no final newline" if text else "it is empty")
    lines = text.removesuffix("\n").split("\n") if text else []
    if "" in lines:
        location = f"{lines.index('') + 1}:1"
        collector.add("HASHFILE_NEWLINES", _HASH_FILE, location=location, detail="there is a blank line")
    return [line for line in lines if line]


def _check_root_line(lines: list[str], collector: FindingCollector) -> str | None:
    """Return the root of the last well-formed ROOT_SHA256 line, or None; report unless it is one, and the last line."""
    numbers = [number for number, line in enumerate(lines, 1) if line.startswith(_ROOT_KEYWORD)]
    if len(numbers) != 1:
        detail = f"there are {len(numbers)}"
        collector.add("HASHFILE_ROOT_LINE", _HASH_FILE, expected=1, got=len(numbers), detail=detail)
    elif numbers[0] != len(lines):
        collector.add("HASHFILE_ROOT_LINE", _HASH_FILE, location=f"{numbers[0]}:1", detail="it is not the last line")
    claimed = None
    for number in numbers:
        match = _ROOT_LINE.fullmatch(lines[number - 1])
        if match is None:
            detail, got = "it is not `ROOT_SHA256  <sha256>`", lines[number - 1]
            collector.add("HASHFILE_ROOT_LINE", _HASH_FILE, location=f"{number}:1", detail=detail, got=got)
        else:
            claimed = match[1]
    return claimed


def _check_pairs(pairs: list[tuple[str, str]], collector: FindingCollector) -> None:
    """Report duplicates of file lines, as (path, digest), and an order that is none of the three permitted."""
    paths = [path for path, _ in pairs]
    for path, count in Counter(paths).items():
        if count > 1:
            collector.add("HASHFILE_DUPLICATE_LINE", _HASH_FILE, got=path)
    manifest_last = sorted(paths, key=lambda path: (path == "manifest.json", path))
    # Digests have one length, so whole lines sort like pairs of digest and path.
    by_line = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    if paths not in (sorted(paths), manifest_last) and pairs != by_line:
        collector.add("HASHFILE_ORDER", _HASH_FILE)


def _compare_with_manifest(
    pairs: frozenset[tuple[str, str]],
    manifest: ManifestResult | None,
    manifest_sha256: str | None,
    collector: FindingCollector,
) -> None:
    """Report paths and hashes that differ from manifest.json; if that is unusable, only its own line is compared."""
    paths = {path for path, _ in pairs}
    if "manifest.json" not in paths:
        collector.add("HASHFILE_CONTENT", _HASH_FILE, detail="the line of manifest.json is missing")
    for path, digest in sorted(pairs):
        if path == "manifest.json" and manifest_sha256 not in (None, digest):
            detail = "manifest.json has another content"
            collector.add("HASHFILE_CONTENT", _HASH_FILE, detail=detail, expected=digest, got=manifest_sha256)
    if manifest is None:
        return
    for path in sorted(manifest.listed_paths - paths):
        collector.add("HASHFILE_CONTENT", _HASH_FILE, detail=f"the line of {path} is missing")
    for path in sorted(paths - manifest.listed_paths - {"manifest.json"}):
        collector.add("HASHFILE_CONTENT", _HASH_FILE, detail=f"{path} is not in manifest.json")
    # An invalid entry has no usable hash: only its path was compared above.
    valid_pairs = {(entry.relpath, entry.sha256) for entry in manifest.valid_entries}
    for path, digest in sorted(pairs - valid_pairs):
        if path in manifest.by_path:
            detail, expected = f"another hash for {path}", manifest.by_path[path].sha256
            collector.add("HASHFILE_CONTENT", _HASH_FILE, detail=detail, expected=expected, got=digest)
