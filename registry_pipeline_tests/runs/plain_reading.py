"""A second verifier: the rules of the specification one by one, slow and simple, without the code of the product.

It imports nothing of registry_pipeline and keeps to the words of the table, so that a mistake of the real verifier is
not repeated here. What it leaves out: files that change meanwhile or cannot be read, and the cap on findings.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from registry_pipeline_tests.runs.plain_json import read_document
from registry_pipeline_tests.runs.plain_list import check_list
from registry_pipeline_tests.runs.plain_paths import collide, path_faults

SEAL_FILES = ("manifest.json", "MANIFEST.sha256")
KEYS = ("relpath", "bytes", "sha256")
TOO_LARGE = 64 * 2**20
MOST_HOLES = 2**30
WARNINGS = {"WARN_HARDLINK", "WARN_CRLF", "SEAL_BROKEN_EOL", "UNSEALED"}

Findings = set[tuple[str, str]]
"""Pairs of code and relpath; the folder itself has the empty relpath."""


def read_plainly(folder: Path) -> tuple[str, Findings]:
    """Return the verdict on a folder and its findings."""
    verdict, findings = _verify(folder)
    return verdict, {(code, path.encode("utf-8", "backslashreplace").decode()) for code, path in findings}


def _verify(folder: Path) -> tuple[str, Findings]:
    if folder.is_symlink() or not folder.is_dir():
        return "fail", {("FOLDER_NOT_DIRECTORY", "")}
    present = [name for name in SEAL_FILES if _exists(folder / name)]
    if not present:
        return "unsealed", {("UNSEALED", "")}
    findings: Findings = set() if len(present) == 2 else {("PARTIAL", "")}
    files = dict(_walk(folder, "", 0, findings))
    of_list = check_list(folder, files, findings) if present == ["MANIFEST.sha256"] else None
    if of_list is not None:
        return of_list
    manifest = _read_seal_file(folder, "manifest.json", "MANIFEST_JSON", findings)
    document = None if manifest is None else read_document(manifest, "manifest.json", "MANIFEST_JSON", list, findings)
    listed = entries = None
    if manifest is not None and document is not None:
        listed = [
            item["relpath"] for item in document if isinstance(item, dict) and isinstance(item.get("relpath"), str)
        ]
        entries = [item for index, item in enumerate(document) if _is_whole(item, findings)]
        _check_manifest(manifest, document, listed, findings)
        _check_tree(files, listed, entries, findings)
    else:
        findings |= {("WARN_HARDLINK", path) for path, file in files.items() if file.stat().st_nlink > 1}
    _check_run_json(folder, listed, findings)
    _check_hash_file(folder, manifest, listed, entries, findings)
    if len(present) < 2:
        return "partial", findings
    return ("fail" if {code for code, _ in findings} - WARNINGS else "pass"), findings


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _walk(folder: Path, prefix: str, depth: int, findings: Findings) -> Iterator[tuple[str, Path]]:
    """Row "tree": yield the regular files but the two top-level seal files."""
    for path in folder.iterdir():
        relpath = prefix + path.name
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            if relpath not in SEAL_FILES:
                yield relpath, path
        elif not stat.S_ISDIR(mode):
            findings.add(("NOT_REGULAR", relpath))
        elif depth == 64:
            findings.add(("TREE_TOO_DEEP", relpath))
        else:
            if not any(path.iterdir()):
                findings.add(("UNLISTED_DIR", relpath))
            yield from _walk(path, f"{relpath}/", depth + 1, findings)


def _read_seal_file(folder: Path, name: str, family: str, findings: Findings) -> bytes | None:
    path = folder / name
    if not _exists(path):
        findings.add((f"{family}_MISSING", name))
    elif not stat.S_ISREG(path.lstat().st_mode):
        findings.add((f"{family}_NOT_REGULAR", name))
    else:
        if path.stat().st_nlink > 1:
            findings.add(("WARN_HARDLINK", name))
        if path.stat().st_size <= TOO_LARGE:
            return path.read_bytes()
        findings.add((f"{family}_TOO_LARGE", name))
    return None


def _is_whole(item: Any, findings: Findings) -> bool:
    """Row "entries": tell what is wrong with one, and whether its three values can be used."""
    if not isinstance(item, dict):
        findings.add(("MANIFEST_SHAPE", "manifest.json"))
        return False
    if set(item) != set(KEYS):
        findings.add(("MANIFEST_SHAPE", "manifest.json"))
    path, size, digest = (item.get(key) for key in KEYS)
    sound = {
        "PATH_TYPE": isinstance(path, str) and path != "",
        "BYTES": isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**53,
        "SHA256_FORM": isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) is not None,
    }
    findings |= {
        (f"MANIFEST_{rule}", "manifest.json")
        for (rule, is_sound), key in zip(sound.items(), KEYS, strict=True)
        if key in item and not is_sound
    }
    return all(sound.values())


def _check_manifest(data: bytes, document: list[Any], listed: list[str], findings: Findings) -> None:
    """Rows "strictly ascending", "canonical dump" and "relpath"."""
    rules = {
        "MANIFEST_ORDER": listed != sorted(set(listed)),
        "MANIFEST_NOT_CANONICAL": data.decode("utf-8") not in _dumps(document),
        "PATH_COLLISION": collide(listed),
    }
    findings |= {(code, "manifest.json") for code, is_broken in rules.items() if is_broken}
    findings |= {(f"MANIFEST_PATH_{rule}", "manifest.json") for path in listed if path for rule in path_faults(path)}


def _dumps(document: list[Any]) -> Iterator[str]:
    ours = [
        {key: item[key] for key in KEYS if key in item} | item if isinstance(item, dict) else item for item in document
    ]
    alphabetical = [dict(sorted(item.items())) if isinstance(item, dict) else item for item in document]
    for ascii_only in (True, False):
        yield json.dumps(ours, indent=2, ensure_ascii=ascii_only) + "\n"
        yield json.dumps(alphabetical, indent=2, ensure_ascii=ascii_only) + "\n"


def _check_tree(files: dict[str, Path], listed: list[str], entries: list[dict[str, Any]], findings: Findings) -> None:
    """Rows "nothing unlisted", "hard link" and "content"."""
    present = set(files) | {path for code, path in findings if code == "NOT_REGULAR"} | set(SEAL_FILES)
    too_deep = tuple(f"{path}/" for code, path in findings if code == "TREE_TOO_DEEP")
    findings |= {("UNLISTED_FILE", path) for path in files if path not in listed}
    findings |= {
        ("FILE_MISSING", path) for path in listed if path not in present and not path.startswith(too_deep or "\0")
    }
    findings |= {
        ("WARN_HARDLINK", path)
        for path, file in files.items()
        if file.stat().st_nlink > 1 and (path in listed or path == "run.json")
    }
    first: dict[str, dict[str, Any]] = {}
    for entry in entries:
        first.setdefault(entry["relpath"], entry)
    for path, entry in first.items():
        if path in files:
            _check_content(files[path], entry, findings)


def _check_content(file: Path, entry: dict[str, Any], findings: Findings) -> None:
    path, status = entry["relpath"], file.stat()
    if path == "run.json" and status.st_size > TOO_LARGE and status.st_size == entry["bytes"]:
        return
    if status.st_size != entry["bytes"]:
        findings.add(("SIZE_MISMATCH", path))
        if status.st_size <= TOO_LARGE and _matches_other_line_ends(file.read_bytes(), entry["sha256"]):
            findings.add(("SEAL_BROKEN_EOL", path))
    elif status.st_size - status.st_blocks * 512 > MOST_HOLES:
        findings.add(("FILE_SPARSE", path))
    elif hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
        findings.add(("HASH_MISMATCH", path))


def _matches_other_line_ends(data: bytes, digest: str) -> bool:
    unix = data.replace(b"\r\n", b"\n")
    converted = {unix, unix.replace(b"\n", b"\r\n")} - {data}
    return digest in {hashlib.sha256(text).hexdigest() for text in converted}


def _check_run_json(folder: Path, listed: list[str] | None, findings: Findings) -> None:
    """Rows "run.json"."""
    path = folder / "run.json"
    if listed is not None and "run.json" not in listed:
        findings.add(("RUN_JSON_NOT_SEALED", "run.json"))
    if not _exists(path):
        findings.add(("RUN_JSON_MISSING", "run.json"))
    elif not stat.S_ISREG(path.lstat().st_mode):
        findings.add(("RUN_JSON_NOT_REGULAR", "run.json"))
    elif path.stat().st_size > TOO_LARGE:
        findings.add(("RUN_JSON_TOO_LARGE", "run.json"))
    else:
        document = read_document(path.read_bytes(), "run.json", "RUN_JSON", dict, findings)
        if document is None:
            return
        run_id = document.get("run_id")
        if not isinstance(run_id, str) or run_id == "":
            findings.add(("RUN_JSON_SHAPE", "run.json"))
        elif run_id != folder.name:
            findings.add(("RUN_ID_FOLDER_MISMATCH", "run.json"))
        if not _is_instant(document.get("created_utc")):
            findings.add(("RUN_JSON_SHAPE", "run.json"))


def _is_instant(value: Any) -> bool:
    if not isinstance(value, str) or re.fullmatch("....-..-..T..:..:..Z", value) is None or not value.isascii():
        return False
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20) == value  # noqa: DTZ007
    except ValueError:
        return False


def _check_hash_file(
    folder: Path,
    manifest: bytes | None,
    listed: list[str] | None,
    entries: list[dict[str, Any]] | None,
    findings: Findings,
) -> None:
    """Rows "MANIFEST.sha256" and "root"."""
    data = _read_seal_file(folder, "MANIFEST.sha256", "MANIFEST_SHA256", findings)
    if data is None:
        return
    codes = set[str]()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        findings.add(("HASHFILE_NOT_UTF8", "MANIFEST.sha256"))
        return
    if "\r" in text:
        all_crlf = "\r" not in text.replace("\r\n", "") and "\n" not in text.replace("\r\n", "")
        codes.add("WARN_CRLF" if all_crlf else "HASHFILE_NEWLINES")
        text = text.replace("\r\n", "\n")
    if not text.endswith("\n") or text.startswith("\n") or "\n\n" in text:
        codes.add("HASHFILE_NEWLINES")
    lines = [line for line in text.split("\n") if line]
    roots = [line for line in lines if line.startswith("ROOT_SHA256")]
    files = [line for line in lines if not line.startswith("ROOT_SHA256")]
    claims = [line[13:] for line in roots if re.fullmatch("ROOT_SHA256  [0-9a-f]{64}", line)]
    if len(roots) != 1 or len(claims) != 1 or lines[-1] != roots[0]:
        codes.add("HASHFILE_ROOT_LINE")
    root = hashlib.sha256(("\n".join(sorted(files)) + "\n").encode()).hexdigest()
    if claims and (claims[-1] != root or not files):
        codes.add("ROOT_MISMATCH")
    well_formed = [line for line in files if re.fullmatch("[0-9a-f]{64}  (?s:.+)", line)]
    if well_formed != files:
        codes.add("HASHFILE_LINE_FORM")
    pairs = [(line[66:], line[:64]) for line in well_formed]
    codes.update(_pair_faults(pairs, manifest, listed, entries))
    findings |= {(code, "MANIFEST.sha256") for code in codes}
    said = dict(reversed(pairs)).get("manifest.json")
    if manifest is not None and said is not None and _matches_other_line_ends(manifest, said):
        findings.add(("SEAL_BROKEN_EOL", "manifest.json"))


def _pair_faults(
    pairs: list[tuple[str, str]], manifest: bytes | None, listed: list[str] | None, entries: list[dict[str, Any]] | None
) -> Iterator[str]:
    paths = [path for path, _ in pairs]
    if len(set(paths)) < len(paths):
        yield "HASHFILE_DUPLICATE_LINE"
    by_path = sorted(pairs, key=lambda pair: pair[0])
    manifest_last = sorted(by_path, key=lambda pair: pair[0] == "manifest.json")
    by_line = sorted(pairs, key=lambda pair: f"{pair[1]}  {pair[0]}")
    if paths not in ([path for path, _ in by_path], [path for path, _ in manifest_last]) and pairs != by_line:
        yield "HASHFILE_ORDER"
    # An entry that is broken elsewhere has no hash to compare; its path is asked for all the same.
    wanted = {(entry["relpath"], entry["sha256"]) for entry in entries or ()}
    broken = set(listed or ()) - {path for path, _ in wanted}
    said = {pair for pair in pairs if pair[0] not in broken or pair[0] == "manifest.json"}
    if manifest is None:
        differs = "manifest.json" not in paths
    elif listed is None:
        differs = {pair for pair in said if pair[0] == "manifest.json"} != {_own_pair(manifest)}
    else:
        differs = said != {pair for pair in wanted if pair[0] != "manifest.json"} | {_own_pair(manifest)}
    if differs or not broken <= set(paths):
        yield "HASHFILE_CONTENT"


def _own_pair(manifest: bytes) -> tuple[str, str]:
    return "manifest.json", hashlib.sha256(manifest).hexdigest()
