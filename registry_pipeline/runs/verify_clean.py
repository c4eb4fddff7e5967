"""Verify a run folder that breaks no rule, in one loop.

The rules are those of `runs.verify`, which does the full verification of every other folder; only that one reports
findings. The seal files are not parsed: they are computed again from the files that were read, and must have the same
bytes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import sha256
from stat import S_ISREG
from typing import Any, Final

from registry_pipeline.files.path_policy import SEAL_FILES, path_codes
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.check_manifest import check_run_json
from registry_pipeline.runs.large_files import FILE_FLAGS
from registry_pipeline.runs.tree import CHUNK
from registry_pipeline.values import value_type

# Of a larger file the full verification compares the size before it hashes.
_MAX_BYTES: Final = 2**20
_MANIFEST, _HASH_FILE = SEAL_FILES
_FileFacts = tuple[str, int, str]


@value_type
class CleanFolder:
    """A folder with a valid seal and no finding: its root, its run.json, and (name, size, sha256) of each sealed file.

    `kept` are the bytes of the files that the caller requested, exactly those that were hashed.
    """

    root_sha256: str
    run_json: Mapping[str, Any]
    files: tuple[_FileFacts, ...]
    kept: Mapping[str, bytes]


def verify_clean(folder: int, run_id: str, keep: Collection[str] = ()) -> CleanFolder | None:
    """Return what was verified of an open folder named `run_id`, or None if the full verification must decide."""
    try:
        names = _list_plain_files(folder)
        read = None if names is None else _read_files(folder, names, {"run.json", *SEAL_FILES, *keep})
    except OSError:
        return None
    if read is None:
        return None
    files, contents = read
    root, problems = _match_seal_files(files, contents), FindingCollector("")
    run_json = None if root is None else check_run_json(contents.get("run.json", b""), run_id, problems)
    if root is None or run_json is None or problems.count():
        return None
    sealed = tuple(file for file in files if file[0] not in SEAL_FILES)
    return CleanFolder(root, run_json, sealed, {name: contents[name] for name, _, _ in sealed if name in keep})


def _list_plain_files(folder: int) -> list[str] | None:
    """Return the sorted names; None if one is no regular file, breaks a path rule, or collides with another."""
    with os.scandir(folder) as entries:
        names = sorted([entry.name if entry.is_file(follow_symlinks=False) else "" for entry in entries])
    return names if _are_plain_names(tuple(names)) else None


# Many runs of a repository have the same files.
@lru_cache(maxsize=4096)
def _are_plain_names(names: tuple[str, ...]) -> bool:
    """Return whether sorted names have both seal files, break no path rule and do not collide."""
    if not "".join(names).isascii() or len({name.lower() for name in names}) != len(names):
        return False
    # Of the names that break a rule only those of the seal files are expected: the rules reserve them.
    return [name for name in names if path_codes(name)] == sorted(SEAL_FILES)


def _read_files(
    folder: int, names: list[str], kept: Collection[str]
) -> tuple[list[_FileFacts], dict[str, bytes]] | None:
    """Return name, size and hash of each file, and the bytes of some; None if a file is unusual or changes meanwhile.

    Unusual is a file with a second link, with holes, or with more than _MAX_BYTES.
    """
    files: list[_FileFacts] = []
    contents: dict[str, bytes] = {}
    # Looked up once: the loop runs for every file of a repository.
    open_file, read_status, read, close = os.open, os.fstat, os.read, os.close
    for name in names:
        file = open_file(name, FILE_FLAGS, dir_fd=folder)
        try:
            before = read_status(file)
            size = before.st_size
            has_holes = size > before.st_blocks * 512
            if has_holes or size > _MAX_BYTES or before.st_nlink != 1 or not S_ISREG(before.st_mode):
                return None
            if size <= CHUNK or name in kept:
                data = read(file, size)
                count, digest = len(data), sha256(data)
                if name in kept:
                    contents[name] = data
            else:
                count, digest = 0, sha256()
                while count < size and (data := read(file, CHUNK)):
                    count += len(data)
                    digest.update(data)
            after = read_status(file)
        finally:
            close(file)
        # As in `runs.tree`: the change time moves with every write, truncation, link, unlink and rename over the name.
        is_same = before.st_ctime_ns == after.st_ctime_ns and before.st_mtime_ns == after.st_mtime_ns
        if not is_same or count != size or size != after.st_size:
            return None
        files.append((name, size, digest.hexdigest()))
    return files, contents


def _match_seal_files(files: list[_FileFacts], contents: Mapping[str, bytes]) -> str | None:
    """Return the root if the two seal files are exactly what the other files require, else None."""
    entries: list[str] = []
    lines: list[str] = []
    manifest_at, manifest_line = 0, ""
    for name, size, digest in files:
        if name == _MANIFEST:
            manifest_at, manifest_line = len(lines), f"{digest}  {name}\n"
        elif name != _HASH_FILE:
            # No name that the path rules allow needs an escape in JSON.
            entries.append(f'  {{\n    "relpath": "{name}",\n    "bytes": {size},\n    "sha256": "{digest}"\n  }}')
            lines.append(f"{digest}  {name}\n")
    # (1) manifest.json
    separator = ",\n"
    if contents[_MANIFEST] != f"[\n{separator.join(entries)}\n]\n".encode():
        return None
    # (2) MANIFEST.sha256, in one of the orders that the specification permits: manifest.json last, by path, by line.
    manifest_last = [*lines, manifest_line]
    by_path = [*lines[:manifest_at], manifest_line, *lines[manifest_at:]]
    by_line = sorted(manifest_last)
    root = sha256("".join(by_line).encode()).hexdigest()
    stated, root_line = contents[_HASH_FILE], f"ROOT_SHA256  {root}\n"
    for ordered in (manifest_last, by_path, by_line):
        if stated == f"{''.join(ordered)}{root_line}".encode():
            return root
    return None
