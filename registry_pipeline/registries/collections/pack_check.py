"""Check the files of an evidence pack against its pack_sha256.txt. Pure.

The file has one of two forms: the hash of all files that manifest.json lists, as the builder of packs writes it, or
one line for each file, as sha256sum writes them. Rules: docs/reference/specification.md, "Evidence packs".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, is_sha256, parse_strict_json, sha256_hex
from registry_pipeline.values import value_type

HASH_FILE: Final = "pack_sha256.txt"
MANIFEST: Final = "manifest.json"
# The builder writes these after the manifest that the pack's hash is made of.
_WRITTEN_LATER: Final = frozenset({MANIFEST, "data_manifest.json", "build_manifest.json", "meta.json"})
_HASH_FILE_SUFFIX: Final = "_sha256.txt"
_SEPARATORS: Final = ("  ", " *")
_DIGITS: Final = 64


@value_type
class PackCheck:
    """The result of checking a pack.

    Attributes:
        listed_in: the file that lists the hashes of the others, or None if there is no usable list.
        pack_sha256: the hash that pack_sha256.txt states for all of them, or None if it lists them one by one.
        listed: the paths in the list.
        problems: (code of the finding, detail) for everything that is wrong.
    """

    listed_in: str | None
    pack_sha256: str | None
    listed: frozenset[str]
    problems: tuple[tuple[str, str], ...]


@value_type
class PackInputs:
    """The inputs of `build_pack`: the files of a pack by their path in it, and the result of their check."""

    member_id: str
    # The name of the pack's own folder.
    folder: str
    files: Mapping[str, bytes]
    check: PackCheck


class _InvalidListError(ValueError):
    """pack_sha256.txt, or the manifest.json that it needs, cannot be used."""


def check_pack(files: Mapping[str, bytes]) -> PackCheck:
    """Return the result of comparing the files of a pack, by path, with the hashes that the pack states."""
    try:
        stated, pack_sha256 = _read_hashes(files)
    except _InvalidListError as error:
        return PackCheck(None, None, frozenset(), (("CAPTURE_PACK_HASHES_INVALID", str(error)),))
    listed_in = HASH_FILE if pack_sha256 is None else MANIFEST
    problems = list(_compare(files, stated, is_manifest=pack_sha256 is not None))
    if pack_sha256 is not None:
        lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(stated.items()))
        computed = sha256_hex(lines.encode("utf-8", "surrogatepass"))
        if computed != pack_sha256:
            detail = f"{HASH_FILE} states {pack_sha256}, but the hashes in {MANIFEST} give {computed}"
            problems.append(("CAPTURE_PACK_HASH_MISMATCH", detail))
    return PackCheck(listed_in, pack_sha256, frozenset(stated), tuple(problems))


def _compare(files: Mapping[str, bytes], stated: Mapping[str, str], *, is_manifest: bool) -> Iterator[tuple[str, str]]:
    for path, digest in sorted(stated.items()):
        if path not in files:
            yield "CAPTURE_PACK_FILE_MISSING", path
        elif (actual := sha256_hex(files[path])) != digest:
            yield "CAPTURE_PACK_HASH_MISMATCH", f"{path} has the hash {actual} instead of {digest}"
    for path in sorted(files.keys() - stated.keys()):
        is_later = path in _WRITTEN_LATER or ("/" not in path and path.endswith(_HASH_FILE_SUFFIX))
        if path != HASH_FILE and not (is_manifest and is_later):
            yield "CAPTURE_PACK_FILE_UNLISTED", path


def _read_hashes(files: Mapping[str, bytes]) -> tuple[Mapping[str, str], str | None]:
    """Return the stated hash of each path, and the hash of all of them; None if pack_sha256.txt lists the paths."""
    if HASH_FILE not in files:
        raise _InvalidListError("the file is missing")
    try:
        lines = files[HASH_FILE].decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise _InvalidListError("the file is not UTF-8") from None
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise _InvalidListError("the file is empty")
    if len(lines) == 1 and is_sha256(lines[0].strip()):
        return _read_manifest(files), lines[0].strip()
    stated: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        digest, separator, path = line[:_DIGITS], line[_DIGITS : _DIGITS + 2], line[_DIGITS + 2 :]
        if not is_sha256(digest) or separator not in _SEPARATORS or not path:
            raise _InvalidListError(f"line {number} is neither a hash nor a hash, two blanks and a path")
        # sha256sum in the folder itself may write `./`.
        path = path.removeprefix("./")
        if path in stated:
            raise _InvalidListError(f"line {number} lists {path!r} again")
        stated[path] = digest
    return stated, None


def _read_manifest(files: Mapping[str, bytes]) -> Mapping[str, str]:
    if MANIFEST not in files:
        raise _InvalidListError(f"the file is a hash of what {MANIFEST} lists, and {MANIFEST} is missing")
    try:
        document: Any = parse_strict_json(files[MANIFEST])
    except StrictJsonError as error:
        raise _InvalidListError(f"{MANIFEST} is not valid JSON: {error}") from None
    items = document.get("files") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise _InvalidListError(f"{MANIFEST} has no list `files`")
    stated: dict[str, str] = {}
    for number, item in enumerate(items):
        path, digest = (item.get("relative_path"), item.get("sha256")) if isinstance(item, dict) else (None, None)
        if not isinstance(path, str) or not isinstance(digest, str) or not is_sha256(digest):
            raise _InvalidListError(f"{MANIFEST}: /files/{number} has no relative_path with its sha256")
        if path in stated:
            raise _InvalidListError(f"{MANIFEST}: /files/{number} lists {path!r} again")
        stated[path] = digest
    return stated
