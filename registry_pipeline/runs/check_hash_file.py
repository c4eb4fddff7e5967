"""What MANIFEST.sha256 must say (SPEC 2.2, rows "MANIFEST.sha256" and "root"). Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.findings.collector import MOST_OF_A_CODE, FindingCollector
from registry_pipeline.runs.check_manifest import ManifestResult
from registry_pipeline.values import value_type

_NAME: Final = "MANIFEST.sha256"
_FILE_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)", re.DOTALL)
_ROOT_LINE: Final = re.compile(r"ROOT_SHA256  ([0-9a-f]{64})")
_ROOT_WORD: Final = "ROOT_SHA256"
# A digest, two spaces, one character and a newline.
_SMALLEST_LINE: Final = 68


@value_type
class HashFileResult:
    """What a hash file says: the root recomputed from its file lines, and the hash that it gives manifest.json.

    Each is None where there is no line for it.
    """

    root_sha256: str | None
    manifest_sha256: str | None


def check_hash_file(
    data: bytes, manifest: ManifestResult | None, manifest_sha256: str | None, told: FindingCollector
) -> HashFileResult:
    """Judge the bytes of a MANIFEST.sha256.

    `manifest` and `manifest_sha256` are None where manifest.json could not be parsed or read.
    """
    if manifest is not None and manifest.is_sound and manifest_sha256 is not None:
        root = _root_if_exact(data, manifest, manifest_sha256)
        if root is not None:
            return HashFileResult(root, manifest_sha256)
    lines = read_hash_lines(data, told)
    if lines is None:
        return HashFileResult(None, None)
    files = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith(_ROOT_WORD)]
    claimed = _judge_root_line(lines, told)
    pairs = []
    for number, line in files:
        match = _FILE_LINE.fullmatch(line)
        if match is None:
            told.tell("HASHFILE_LINE_FORM", _NAME, location=f"{number}:1", got=line)
        else:
            pairs.append((match[2], match[1]))
    _judge_pairs(pairs, told)
    _compare(frozenset(pairs), manifest, manifest_sha256, told)
    root = sha256_hex("".join(sorted(f"{line}\n" for _, line in files)).encode()) if files else None
    if claimed is not None and claimed != root:
        told.tell("ROOT_MISMATCH", _NAME, expected=root, got=claimed)
    return HashFileResult(root, dict(reversed(pairs)).get("manifest.json"))


def _root_if_exact(data: bytes, manifest: ManifestResult, manifest_sha256: str) -> str | None:
    """Return the root if these are the bytes that the manifest asks for, in one of the three orders; else None.

    Then no other rule can be broken; only where they are not the rules have to be gone through one by one.
    """
    lines = {path: f"{entry.sha256}  {path}\n" for path, entry in manifest.entries.items()}
    lines["manifest.json"] = f"{manifest_sha256}  manifest.json\n"
    by_line = sorted(lines.values())
    root = sha256_hex("".join(by_line).encode())
    by_path = [lines[path] for path in sorted(lines)]
    root_line = f"ROOT_SHA256  {root}\n".encode()
    orders = (by_path, lines.values(), by_line)
    return root if any(data == "".join(order).encode() + root_line for order in orders) else None


def read_hash_lines(data: bytes, told: FindingCollector) -> list[str] | None:
    """Return the lines of a MANIFEST.sha256 without blank ones; None where it is no text, or not worth reading."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        told.tell("HASHFILE_NOT_UTF8", _NAME, detail=error)
        return None
    number = text.count("\n")
    if number > max(MOST_OF_A_CODE, len(data) // _SMALLEST_LINE):
        told.tell("HASHFILE_LINE_FORM", _NAME, got=f"most of {number} lines are too short")
        return None
    if "\r" in text:
        if text.count("\r") == text.count("\r\n") == text.count("\n"):
            told.tell("WARN_CRLF", _NAME)
        else:
            told.tell("HASHFILE_NEWLINES", _NAME, detail="line ends are neither all LF nor all CRLF")
        text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        told.tell("HASHFILE_NEWLINES", _NAME, detail="there is no final newline" if text else "it is empty")
    lines = text.removesuffix("\n").split("\n") if text else []
    if "" in lines:
        told.tell("HASHFILE_NEWLINES", _NAME, location=f"{lines.index('') + 1}:1", detail="there is a blank line")
    return [line for line in lines if line]


def _judge_root_line(lines: list[str], told: FindingCollector) -> str | None:
    """Return the root that the last ROOT_SHA256 line claims, or None."""
    numbers = [number for number, line in enumerate(lines, 1) if line.startswith(_ROOT_WORD)]
    if len(numbers) != 1:
        told.tell("HASHFILE_ROOT_LINE", _NAME, expected=1, got=len(numbers), detail=f"there are {len(numbers)}")
    elif numbers[0] != len(lines):
        detail = "it is not the last line"
        told.tell("HASHFILE_ROOT_LINE", _NAME, location=f"{numbers[0]}:1", detail=detail)
    matches = [(number, _ROOT_LINE.fullmatch(lines[number - 1])) for number in numbers]
    for number, match in matches:
        if match is None:
            detail, got = "it is not `ROOT_SHA256  <sha256>`", lines[number - 1]
            told.tell("HASHFILE_ROOT_LINE", _NAME, location=f"{number}:1", detail=detail, got=got)
    claims = [match[1] for _, match in matches if match is not None]
    return claims[-1] if claims else None


def _judge_pairs(pairs: list[tuple[str, str]], told: FindingCollector) -> None:
    """Judge the file lines, as path and digest, among themselves."""
    paths = [path for path, _ in pairs]
    for path, number in Counter(paths).items():
        if number > 1:
            told.tell("HASHFILE_DUPLICATE_LINE", _NAME, got=path)
    if not _is_in_known_order(pairs, paths):
        told.tell("HASHFILE_ORDER", _NAME)


def _is_in_known_order(pairs: list[tuple[str, str]], paths: list[str]) -> bool:
    by_path = sorted(paths)
    if paths == by_path:
        return True
    manifest_last = sorted(paths, key=lambda path: (path == "manifest.json", path))
    # The digests have one length, so that whole lines sort as pairs of digest and path.
    return paths == manifest_last or [(d, p) for p, d in pairs] == sorted((d, p) for p, d in pairs)


def _compare(
    pairs: frozenset[tuple[str, str]],
    manifest: ManifestResult | None,
    manifest_sha256: str | None,
    told: FindingCollector,
) -> None:
    """Compare the set of paths with their hashes both ways; of an entry that is not whole, the path alone."""
    said = {path for path, _ in pairs}
    if "manifest.json" not in said:
        told.tell("HASHFILE_CONTENT", _NAME, detail="the line of manifest.json is missing")
    for path, digest in sorted(pairs):
        if path == "manifest.json" and manifest_sha256 not in (None, digest):
            detail = "manifest.json has another content"
            told.tell("HASHFILE_CONTENT", _NAME, detail=detail, expected=digest, got=manifest_sha256)
    if manifest is None:
        return
    for path in sorted(manifest.listed - said):
        told.tell("HASHFILE_CONTENT", _NAME, detail=f"the line of {path} is missing")
    for path in sorted(said - manifest.listed - {"manifest.json"}):
        told.tell("HASHFILE_CONTENT", _NAME, detail=f"{path} is not in manifest.json")
    sealed = {(entry.relpath, entry.sha256) for entry in manifest.whole}
    for path, digest in sorted(pairs - sealed):
        if path in manifest.entries:
            detail, expected = f"another hash for {path}", manifest.entries[path].sha256
            told.tell("HASHFILE_CONTENT", _NAME, detail=detail, expected=expected, got=digest)
