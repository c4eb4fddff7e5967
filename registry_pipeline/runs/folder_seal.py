"""The seal of a folder that other programs wrote: computed from what is there, and written into that folder.

This is the one exception to "run folders are never written to" (docs/reference/specification.md, "Sealing existing
folders"). Nothing in the folder changes but the two seal files.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry_pipeline.errors import DurabilityError
from registry_pipeline.files.atomic_write import write_new_file
from registry_pipeline.files.durable import advise_on_write_error, make_folders, rename_noreplace, sync_path
from registry_pipeline.files.path_policy import SEAL_FILES, bad_characters, find_collisions, path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.runs.check_manifest import check_run_json
from registry_pipeline.runs.large_files import FileState, state_of
from registry_pipeline.runs.manifest import Manifest, build_manifest
from registry_pipeline.runs.tree import (
    MAX_DOCUMENT_BYTES,
    Tree,
    describe_kind,
    open_directory,
)
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import make_staging_folder
from registry_pipeline.values import replace, value_type

_MODE: Final = 0o444
_MANIFEST: Final = (SEAL_FILES[0], "MANIFEST_JSON")
_AGAIN: Final = "then seal again"
# The hints of the table are about sealed folders, which are never edited. These folders still may be.
_HINTS: Final = {
    "RUN_JSON_MISSING": "write a run.json with `run_id`, the name of the folder, and `created_utc`, as in "
    f"2026-03-01T12:00:00Z, {_AGAIN}",
    "RUN_JSON_TOO_LARGE": f"move what makes it large to another file of the folder, {_AGAIN}",
    "RUN_JSON_INVALID": f"correct run.json, {_AGAIN}",
    "RUN_JSON_DUPLICATE_KEY": f"correct run.json, {_AGAIN}",
    "RUN_JSON_NON_FINITE": f"correct run.json, {_AGAIN}",
    "RUN_JSON_SHAPE": f"correct run.json, {_AGAIN}",
    "RUN_ID_FOLDER_MISMATCH": f"make `run_id` the name of the folder, {_AGAIN}",
    "NOT_REGULAR": f"put the regular file itself there, or move it out of the folder, {_AGAIN}",
    "TREE_TOO_DEEP": f"move the deep directories up, {_AGAIN}",
    "UNLISTED_DIR": f"remove the empty directory, {_AGAIN}",
    "FILE_CHANGED_WHILE_READING": f"wait until the program that writes to it has ended, {_AGAIN}",
    "UNREADABLE": f"make it readable for you, {_AGAIN}",
    "MANIFEST_JSON_TOO_LARGE": f"put the files into an archive, {_AGAIN}",
}


@value_type
class FolderSeal:
    """The seal of a folder as it is now; `manifest` is None if a finding is an error.

    Attributes:
        statuses: the status of each file, taken before the file was read.
        run_json: the object in run.json, or None.
        has_manifest: whether a killed `seal` left the first of the two seal files, with the bytes of `manifest`.
    """

    manifest: Manifest | None
    statuses: Mapping[str, FileState]
    run_json: Mapping[str, Any] | None
    has_manifest: bool
    findings: tuple[Finding, ...]


def compute_seal(folder: Path | str, run_id: str, shown: str) -> FolderSeal:
    """Read a folder that will be verified under the name `run_id`, and return its seal; nothing is written.

    What the verifier would report, and every seal file that exists, is a finding of the result; nothing is raised.
    """
    collector = FindingCollector(shown)
    try:
        descriptor = open_directory(os.fspath(folder))
    except (OSError, ValueError) as error:
        kind = describe_kind(os.fspath(folder))
        if kind == "a directory":
            collector.add("UNREADABLE", detail=getattr(error, "strerror", error))
        else:
            collector.add("FOLDER_NOT_DIRECTORY", expected="a directory", got=kind)
        return FolderSeal(None, {}, None, False, _advise(collector.findings()))
    try:
        return _compute_open_seal(descriptor, run_id, collector)
    except OSError as error:
        collector.add("UNREADABLE", detail=error.strerror)
        return FolderSeal(None, {}, None, False, _advise(collector.findings()))
    finally:
        os.close(descriptor)


def _compute_open_seal(folder: int, run_id: str, collector: FindingCollector) -> FolderSeal:
    tree = Tree(folder, collector)
    seal_files = [name for name in SEAL_FILES if name in tree.top]
    # (1) The second of the two seal files is written last, so no killed `seal` leaves it alone.
    if SEAL_FILES[1] in seal_files:
        return FolderSeal(None, {}, None, False, (_make_exists_finding(collector.shown, " and ".join(seal_files)),))
    # (2) Every file, then the names, as the verifier will check them.
    entries, statuses = tree.read_entries()
    for relpath in statuses:
        for code in path_codes(relpath):
            collector.add(code, relpath, got=relpath, detail=bad_characters(relpath))
    for relpath, other in find_collisions(sorted(statuses)):
        collector.add("PATH_COLLISION", relpath, got=relpath, detail=other)
    run_json = None
    if "run.json" not in tree.top:
        collector.add("RUN_JSON_MISSING", "run.json")
    elif "run.json" in tree.kept:
        run_json = check_run_json(tree.kept["run.json"], run_id, collector)
    findings = collector.findings()
    # (3) The manifest. A name that cannot be encoded has a finding, and no manifest.
    manifest = None if has_errors(findings) else build_manifest(entries)
    if manifest is not None and len(manifest.manifest_json) > MAX_DOCUMENT_BYTES:
        collector.add("MANIFEST_JSON_TOO_LARGE", "manifest.json", got=len(manifest.manifest_json))
        findings, manifest = collector.findings(), None
    if seal_files and (manifest is None or tree.read_document(*_MANIFEST) != manifest.manifest_json):
        detail = f"{SEAL_FILES[0]}, and it does not list what the folder contains"
        findings, manifest = (*findings, _make_exists_finding(collector.shown, detail)), None
    return FolderSeal(manifest, statuses, run_json, bool(seal_files), _advise(findings))


def _make_exists_finding(shown: str, detail: str) -> Finding:
    return finding("SEAL_FILE_EXISTS", shown, detail=detail, folder=shown)


def _advise(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings with hints for a folder that may still be edited, sorted."""
    return sorted_findings(replace(item, hint=_HINTS.get(item.code, item.hint)) for item in findings)


def write_seal(folder: Path, shown: str, seal: FolderSeal, staging_root: Path) -> tuple[Finding, ...]:
    """Write the two seal files of a computed seal into its folder; return why the folder is not sealed, or ().

    The files are staged, and manifest.json gets its name first. Neither replaces a file. If the folder changed since it
    was read, or the disk refuses, the files that were written are removed, and the folder is as it was.
    """
    manifest = seal.manifest
    if manifest is None:
        raise ValueError("a folder with an error has no seal")
    contents = dict(zip(SEAL_FILES, (manifest.manifest_json, manifest.hash_file), strict=True))
    if seal.has_manifest:
        del contents[SEAL_FILES[0]]
    staging, written = "", []
    try:
        # (1) Both files are complete on the disk before the folder changes.
        make_folders(staging_root)
        # The name of the folder may be as long as a name can be, so it is not part of this one.
        staging = make_staging_folder(staging_root, "seal")
        for name, data in contents.items():
            write_new_file(Path(staging, name), data, _MODE)
        changes = _find_changes(folder, shown, seal)
        if changes:
            return changes
        # (2) One name after the other: a crash leaves at most manifest.json, which says what the second would say.
        for name in contents:
            rename_noreplace(f"{staging}/{name}", str(folder / name))
            written.append(name)
            sync_path(folder)
        # (3) What the verifier reads now must be what was read before.
        report = verify_folder(folder, display_path=shown)
        changes = _find_changes(folder, shown, seal)
        if report.verdict == "pass" and report.root_sha256 == manifest.root_sha256 and not changes:
            written.clear()
            return ()
        return _advise((*report.findings, *changes))
    except FileExistsError as error:
        return (_make_exists_finding(shown, f"{os.path.basename(error.filename)}, which another program just wrote"),)  # noqa: PTH119 - a text path
    except OSError as error:
        advice = advise_on_write_error(error, folder)
        if error.errno == errno.EXDEV:
            advice = f"put {staging_root.parent} and the run root on one file system"
        return (replace(finding("SEAL_NOT_WRITTEN", shown, detail=error.strerror or str(error)), hint=advice),)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_written(folder, written)


def _find_changes(folder: Path, shown: str, seal: FolderSeal) -> tuple[Finding, ...]:
    """Return a finding for each file that was changed, added or removed since the seal was computed."""
    statuses: dict[str, FileState] = {}
    for parent, _, names, descriptor in os.fwalk(folder):
        prefix = f"{os.path.relpath(parent, folder)}/".removeprefix("./")
        for name in names:
            if prefix or name not in SEAL_FILES:
                statuses[prefix + name] = state_of(os.stat(name, dir_fd=descriptor, follow_symlinks=False))
    collector = FindingCollector(shown)
    for relpath in sorted({path for path, _ in statuses.items() ^ seal.statuses.items()}):
        collector.add("FILE_CHANGED_WHILE_READING", relpath)
    return _advise(collector.findings())


def _remove_written(folder: Path, names: list[str]) -> None:
    """Remove seal files that this process wrote, the last one first; DurabilityError if the disk refuses."""
    try:
        for name in reversed(names):
            (folder / name).unlink()
        if names:
            sync_path(folder)
    except OSError as error:
        message = f"{folder}: {' and '.join(names)} could not be removed: {error.strerror}"
        raise DurabilityError(message, "verify the folder; if it fails, remove these files by hand") from error
