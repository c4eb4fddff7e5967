"""What MANIFEST.sha256 must say (SPEC 2.2, rows "MANIFEST.sha256" and "root"). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from registry_pipeline.canon import sha256_hex
from registry_pipeline.seal.manifest_rules import JudgedManifest
from registry_pipeline.seal.telling import Telling

_NAME: Final = "MANIFEST.sha256"
_FILE_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)", re.DOTALL)
_ROOT_LINE: Final = re.compile(r"ROOT_SHA256  ([0-9a-f]{64})")
_ROOT_WORD: Final = "ROOT_SHA256"


@dataclass(frozen=True, slots=True)
class JudgedHashFile:
    """What a hash file says: the root recomputed from its file lines, and the hash that it gives manifest.json.

    Each is None where there is no line for it.
    """

    root_sha256: str | None
    manifest_sha256: str | None


def judge_hash_file(
    data: bytes, manifest: JudgedManifest | None, manifest_sha256: str | None, told: Telling
) -> JudgedHashFile:
    """Judge the bytes of a MANIFEST.sha256.

    `manifest` and `manifest_sha256` are None where manifest.json could not be parsed or read.
    """
    lines = _lines(data, told)
    if lines is None:
        return JudgedHashFile(None, None)
    files = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith(_ROOT_WORD)]
    claimed = _judge_root_line(lines, told)
    pairs = []
    for number, line in files:
        match = _FILE_LINE.fullmatch(line)
        if match is None:
            told.tell("HASHFILE_LINE_FORM", _NAME, location=f"{number}:1", got=line)
        else:
            pairs.append((match[2], match[1]))
    said = _judge_pairs(pairs, told)
    _compare(said, manifest, manifest_sha256, told)
    root = sha256_hex("".join(sorted(f"{line}\n" for _, line in files)).encode()) if files else None
    if claimed is not None and claimed != root:
        told.tell("ROOT_MISMATCH", _NAME, expected=root, got=claimed)
    return JudgedHashFile(root, said.get("manifest.json"))


def _lines(data: bytes, told: Telling) -> list[str] | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        told.tell("HASHFILE_NOT_UTF8", _NAME, detail=error)
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


def _judge_root_line(lines: list[str], told: Telling) -> str | None:
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


def _judge_pairs(pairs: list[tuple[str, str]], told: Telling) -> dict[str, str]:
    """Judge the file lines among themselves and return the hash of each path, of the first line where it has two."""
    paths = [path for path, _ in pairs]
    said: dict[str, str] = {}
    for path, digest in pairs:
        if path in said:
            told.tell("HASHFILE_DUPLICATE_LINE", _NAME, got=path)
        said.setdefault(path, digest)
    if not _is_in_known_order(pairs, paths):
        told.tell("HASHFILE_ORDER", _NAME)
    return said


def _is_in_known_order(pairs: list[tuple[str, str]], paths: list[str]) -> bool:
    by_path = sorted(paths)
    if paths == by_path:
        return True
    manifest_last = sorted(paths, key=lambda path: (path == "manifest.json", path))
    # The digests have one length, so that whole lines sort as pairs of digest and path.
    return paths == manifest_last or [(d, p) for p, d in pairs] == sorted((d, p) for p, d in pairs)


def _compare(said: dict[str, str], manifest: JudgedManifest | None, manifest_sha256: str | None, told: Telling) -> None:
    listed_hash = said.get("manifest.json")
    if listed_hash is None:
        told.tell("HASHFILE_CONTENT", _NAME, detail="the line of manifest.json is missing")
    elif manifest_sha256 is not None and listed_hash != manifest_sha256:
        detail = "manifest.json has another content"
        told.tell("HASHFILE_CONTENT", _NAME, detail=detail, expected=listed_hash, got=manifest_sha256)
    if manifest is None:
        return
    if said == {**{path: entry.sha256 for path, entry in manifest.entries.items()}, "manifest.json": listed_hash}:
        return
    for path in sorted(manifest.listed - said.keys()):
        told.tell("HASHFILE_CONTENT", _NAME, detail=f"the line of {path} is missing")
    for path in sorted(said.keys() - manifest.listed - {"manifest.json"}):
        told.tell("HASHFILE_CONTENT", _NAME, detail=f"{path} is not in manifest.json")
    for path, entry in manifest.entries.items():
        digest = said.get(path)
        if digest is not None and digest != entry.sha256:
            detail = f"another hash for {path}"
            told.tell("HASHFILE_CONTENT", _NAME, detail=detail, expected=entry.sha256, got=digest)
