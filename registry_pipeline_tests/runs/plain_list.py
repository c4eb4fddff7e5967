"""The second verifier for folders with a list of hashes and no seal (specification, "Lists of hashes")."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from registry_pipeline_tests.runs.plain_paths import path_faults

Findings = set[tuple[str, str]]
NAME = "MANIFEST.sha256"
TOO_LARGE = 64 * 2**20
MOST_HOLES = 2**30


def check_list(folder: Path, files: dict[str, Path], walked: Findings) -> tuple[str, Findings] | None:
    """Return verdict and findings of a folder with a list; None where its hash file is none, but a piece of a seal.

    `files` are the regular files but the list, `walked` the findings of the tree, with PARTIAL.
    """
    list_file = folder / NAME
    if list_file.is_symlink() or not list_file.is_file() or list_file.stat().st_size > TOO_LARGE:
        return None
    try:
        text = list_file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None
    errors: Findings = set()
    warnings: Findings = {("WARN_HARDLINK", NAME)} if list_file.stat().st_nlink > 1 else set()
    if "\r" in text:
        rest = text.replace("\r\n", "")
        (errors if "\r" in rest or "\n" in rest else warnings).add(
            ("HASHFILE_NEWLINES" if "\r" in rest or "\n" in rest else "WARN_CRLF", NAME)
        )
        text = text.replace("\r\n", "\n")
    if not text.endswith("\n") or text.startswith("\n") or "\n\n" in text:
        errors.add(("HASHFILE_NEWLINES", NAME))
    lines = [line for line in text.split("\n") if line]
    pairs = [_pair(line) for line in lines]
    said = [pair for pair in pairs if pair is not None]
    if not said or any(line.startswith("ROOT_SHA256") for line in lines) or "manifest.json" in {p for p, _ in said}:
        return None
    if len(said) < len(lines):
        errors.add(("HASHFILE_LINE_FORM", NAME))
    listed = {path: digest for path, digest in reversed(said) if not list(path_faults(path))}
    errors |= {(f"MANIFEST_PATH_{rule}", NAME) for path, _ in said for rule in path_faults(path)}
    sound = [path for path, _ in said if path in listed]
    if len(sound) > len(set(sound)):
        errors.add(("HASHFILE_DUPLICATE_LINE", NAME))
    _check_tree(files, walked, listed, errors, warnings)
    if errors:
        return "fail", errors | warnings
    return "partial", {("HASHES_VERIFIED", ""), *warnings}


def _pair(line: str) -> tuple[str, str] | None:
    form = re.fullmatch("([0-9a-f]{64}) ([ *])(?s:(.+))", line)
    if form is None:
        return None
    path = form[3].removeprefix("./") if form[3] != "./" else form[3]
    return path, form[1]


def _check_tree(
    files: dict[str, Path], walked: Findings, listed: dict[str, str], errors: Findings, warnings: Findings
) -> None:
    too_deep = tuple(f"{path}/" for code, path in walked if code == "TREE_TOO_DEEP")
    for code, path in walked - {("PARTIAL", "")}:
        is_beside = code == "UNLISTED_DIR" or (code == "NOT_REGULAR" and path not in listed)
        (warnings if is_beside else errors).add((code, path))
    odd = {path for code, path in walked if code == "NOT_REGULAR"}
    warnings |= {("UNLISTED_FILE", path) for path in files if path not in listed}
    errors |= {
        ("FILE_MISSING", path)
        for path in listed
        if path not in files and path not in odd and not path.startswith(too_deep or "\0")
    }
    for path, digest in listed.items():
        if path in files:
            _check_content(files[path], path, digest, errors, warnings)


def _check_content(file: Path, path: str, digest: str, errors: Findings, warnings: Findings) -> None:
    status = file.stat()
    if status.st_nlink > 1:
        warnings.add(("WARN_HARDLINK", path))
    if status.st_size - status.st_blocks * 512 > MOST_HOLES:
        errors.add(("FILE_SPARSE", path))
        return
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() == digest:
        return
    errors.add(("HASH_MISMATCH", path))
    unix = data.replace(b"\r\n", b"\n")
    if digest in {hashlib.sha256(text).hexdigest() for text in (unix, unix.replace(b"\n", b"\r\n"))}:
        warnings.add(("SEAL_BROKEN_EOL", path))
