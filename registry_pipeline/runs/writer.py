"""Publish sealed run folders, complete or not at all, and move what killed writers left behind to quarantine."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from registry_pipeline.errors import DurabilityError, NotFoundError, PublishError
from registry_pipeline.files.atomic_write import write_all_bytes
from registry_pipeline.files.durable import (
    advise_on_write_error,
    make_folders,
    rename_noreplace,
    share_with_group,
    sync_filesystem,
    sync_path,
)
from registry_pipeline.files.path_policy import find_collisions, path_codes
from registry_pipeline.findings.finding import Severity
from registry_pipeline.runs.manifest import ManifestEntry, build_manifest
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import value_type

_STAGED_NAME: Final = re.compile(r".+\.(?P<pid>[0-9]{1,10})\.[0-9a-f]{8}")


def find_leftovers(staging_root: Path) -> tuple[Path, ...]:
    """Return the staging folders whose processes have ended, by name; they were never published."""
    try:
        names = sorted(os.listdir(staging_root))  # noqa: PTH208 - only names are needed
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise NotFoundError(f"{staging_root} cannot be read: {error.strerror}", "check its permissions") from None
    matches = [match for name in names if (match := _STAGED_NAME.fullmatch(name)) is not None]
    # Processes are looked up on this machine only. A writer on another machine that shares the disk looks dead: its
    # folder is kept in quarantine, and its publishing fails without leaving anything behind.
    return tuple(staging_root / match[0] for match in matches if not is_process_alive(int(match["pid"])))


def quarantine_folder(leftover: Path, quarantine_root: Path) -> Path:
    """Move a folder to quarantine, with a number if its name is taken; return its new path, or raise PublishError."""
    name = leftover.name
    try:
        make_folders(quarantine_root)
        for number in count(1):
            target = quarantine_root / (name if number == 1 else f"{name}.{number}")
            with suppress(FileExistsError):
                rename_noreplace(str(leftover), str(target))
                break
    except OSError as error:
        message = f"{name} cannot be moved to quarantine: {error.strerror}"
        raise PublishError(message, advise_on_write_error(error, quarantine_root)) from None
    return target


def is_process_alive(pid: int) -> bool:
    """Return whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


# Returns all files of a run, run.json among them, for the run id under which it is published.
FilesFor = Callable[[RunId], Mapping[str, bytes]]
_MAX_FSYNCS: Final = 16
_MAX_NUMBER: Final = 999
_BLOCK_BYTES: Final = 1 << 20
_READ_ONLY: Final = 0o555
_READ_ONLY_FILE: Final = 0o444
_STAGED_MODE: Final = 0o755
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_ADVICE: Final = {
    errno.EXDEV: "put the staging folder and publish_root on one file system",
    errno.ENOENT: "`registry-pipeline init` makes publish_root",
    errno.ENAMETOOLONG: "use shorter names",
}


@value_type
class PublishedFolder:
    """A run folder that was published, complete, sealed and verified."""

    path: Path
    run_id: RunId
    root_sha256: str


@value_type
class _Staged:
    staging: str
    run_id: RunId
    root_sha256: str


def find_sealed_folder(
    publish_root: Path, run_id: RunId, files_for: FilesFor, *, any_content: Collection[str] = ()
) -> PublishedFolder | None:
    """Return the valid folder under `run_id`, or the next ids after it, that has exactly these files, or None.

    A step that is repeated finds the folder of its first attempt. The search ends at the first free id. Files named in
    `any_content` must exist, with whatever content.
    """
    while (folder := publish_root / str(run_id)).is_dir():
        files = {name: data for name, data in files_for(run_id).items() if name not in any_content}
        report = verify_folder(folder, keep=files)
        names = {entry.relpath for entry in report.entries}
        is_same = report.verdict == "pass" and dict(report.kept) == files and names == {*files, *any_content}
        if is_same and report.root_sha256 is not None:
            return PublishedFolder(folder, run_id, report.root_sha256)
        run_id = run_id.next()
    return None


def seal_folder(publish_root: Path, staging_root: Path, run_id: RunId, files_for: FilesFor) -> PublishedFolder:
    """Publish one sealed run folder under `run_id`, or under the next free id if that name is taken.

    Raises:
        PublishError: it could not be published; the run root contains nothing of it.
        DurabilityError: it is published and complete, but the disk did not confirm it.
    """
    return seal_folders(publish_root, staging_root, [(run_id, files_for)])[0]


def seal_folders(
    publish_root: Path, staging_root: Path, requests: Sequence[tuple[RunId, FilesFor]]
) -> list[PublishedFolder]:
    """Publish many sealed run folders with one synchronisation of the disk, in the order of `requests`.

    All are staged and verified before the first is renamed. Folders published before a failure stay. Errors are those
    of `seal_folder`.
    """
    published: dict[int, PublishedFolder] = {}
    pending = dict(enumerate(requests))
    while pending:
        stagings: list[str] = []
        try:
            staged = _stage_all(publish_root, staging_root, pending, stagings)
            published |= _publish_all(publish_root, staged)
        except OSError as error:
            raise _make_publish_error(error) from error
        finally:
            # Published folders were renamed; those that still exist here were not published.
            for staging in filter(os.path.lexists, stagings):
                import shutil  # noqa: PLC0415 - 2 ms of every command, and only a failure needs it

                shutil.rmtree(staging, ignore_errors=True)
        # A faster writer took the name: stage again under the next one, because the files contain their run id.
        pending = {
            index: (next_run_id(staged[index].run_id), files_for)
            for index, (_, files_for) in pending.items()
            if index not in published
        }
    return [published[index] for index in range(len(requests))]


def _stage_all(
    publish_root: Path, staging_root: Path, pending: Mapping[int, tuple[RunId, FilesFor]], stagings: list[str]
) -> dict[int, _Staged]:
    """Stage and verify many folders; each staging folder is added to `stagings` as soon as it exists."""
    make_folders(staging_root)
    staged = {}
    for index, (requested_id, files_for) in pending.items():
        run_id = find_free_run_id(publish_root, requested_id)
        files = files_for(run_id)
        _refuse_invalid_paths(files)
        # (1) Stage on the file system of the run roots, in a folder that no other process uses.
        staging = make_staging_folder(staging_root, str(run_id))
        stagings.append(staging)
        staged[index] = _Staged(staging, run_id, _write_sealed_files(staging, files))
    _sync_staged(stagings)
    # (3) Verify with the strict rules, under the final name.
    for folder in staged.values():
        _refuse_unverified(folder.staging, str(folder.run_id), folder.root_sha256)
    return staged


def make_staging_folder(staging_root: Path, name: str) -> str:
    """Make a folder in an existing `staging_root` that no other process uses, and return its path."""
    staging = str(staging_root / f"{name}.{os.getpid()}.{os.urandom(4).hex()}")
    os.mkdir(staging)  # noqa: PTH102 -- one spelling for all calls on a staging folder
    # If this process is killed, `doctor --fix` moves the folder: any member of the group must be able to.
    try:
        share_with_group(staging, staging_root)
    except OSError:
        os.rmdir(staging)  # noqa: PTH106 -- as above
        raise
    return staging


def find_free_run_id(publish_root: Path, run_id: RunId) -> RunId:
    """Return the first id, from this one on, that no folder has; PublishError after number 999."""
    while os.path.lexists(publish_root / str(run_id)):
        run_id = next_run_id(run_id)
    return run_id


def next_run_id(run_id: RunId) -> RunId:
    """Return the next id to try; PublishError after number 999."""
    if run_id.number >= _MAX_NUMBER:
        raise PublishError(f"all names up to {run_id} are taken", "publish with another second or tag")
    return run_id.next()


def _refuse_invalid_paths(files: Mapping[str, bytes]) -> None:
    problems = {path: codes for path in files if (codes := path_codes(path))}
    collisions = {path: (f"PATH_COLLISION with {other}",) for path, other in find_collisions(files)}
    problems |= {path: reason for path, reason in collisions.items() if path not in problems}
    if problems:
        text = "; ".join(f"{path!r}: {', '.join(codes)}" for path, codes in problems.items())
        raise PublishError(f"these paths cannot be sealed: {text}", "rename the files before sealing")


def _write_sealed_files(staging: str, files: Mapping[str, bytes]) -> str:
    """Write the files and the two seal files into a staging folder, and return the root hash."""
    # (2) Write every file once, take the manifest from what the disk returns, write the hash file last.
    for relpath, data in files.items():
        _write_file(staging, relpath, data)
    entries = tuple(_read_entries(staging, files))
    if None in entries or len(entries) != len(files):
        raise PublishError("the disk returned other files than were written", "check the disk and its mount")
    manifest = build_manifest(filter(None, entries))
    _write_file(staging, "manifest.json", manifest.manifest_json)
    _write_file(staging, "MANIFEST.sha256", manifest.hash_file)
    return manifest.root_sha256


def _write_file(staging: str, relpath: str, data: bytes) -> None:
    folder, _, _ = relpath.rpartition("/")
    if folder:
        os.makedirs(f"{staging}/{folder}", exist_ok=True)  # noqa: PTH103 -- as above
    descriptor = os.open(f"{staging}/{relpath}", _CREATE, _READ_ONLY_FILE)
    try:
        os.fchmod(descriptor, _READ_ONLY_FILE)  # whatever the umask took away
        write_all_bytes(descriptor, data)
    finally:
        os.close(descriptor)


def _read_entries(staging: str, files: Mapping[str, bytes]) -> Iterator[ManifestEntry | None]:
    """Yield the entry of each file in a staging folder; None for one that is not as it was written."""
    for folder, _, names in os.walk(staging):
        for name in names:
            path = f"{folder}/{name}"
            relpath = path.removeprefix(f"{staging}/")
            yield _read_entry(path, relpath, files[relpath]) if relpath in files else None


def _read_entry(path: str, relpath: str, written: bytes) -> ManifestEntry | None:
    digest, size = hashlib.sha256(), 0
    # In blocks, because the registry of many runs may have a hundred megabytes.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- as above
        while block := file.read(_BLOCK_BYTES):
            if block != written[size : size + len(block)]:
                return None
            digest.update(block)
            size += len(block)
    return ManifestEntry(relpath, size, digest.hexdigest()) if size == len(written) else None


def _sync_staged(stagings: Sequence[str]) -> None:
    """Make staged folders readable for all, and sync their files; many files with the whole file system."""
    levels = [level for staging in stagings for level in os.walk(staging, topdown=False)]
    # The permissions are set here, so that a kill right after the rename leaves a folder that all can verify. The
    # directories stay writable until then, because a writer that fails removes them.
    for folder, _, _ in levels:
        mode = stat.S_IMODE(os.stat(folder).st_mode)  # noqa: PTH116 -- as above
        if mode & _STAGED_MODE != _STAGED_MODE:
            os.chmod(folder, mode | _STAGED_MODE)  # noqa: PTH101 -- as above
    files = [f"{folder}/{name}" for folder, _, names in levels for name in names]
    if len(files) > _MAX_FSYNCS:
        sync_filesystem(stagings[0])
        return
    # Files before directories, and directories deepest first.
    for path in [*files, *(folder for folder, _, _ in levels)]:
        sync_path(path)


def publish_staged_folder(publish_root: Path, staging: str, run_id: RunId, root_sha256: str) -> PublishedFolder | None:
    """Verify and publish a staging folder that has its seal files; return None if its name was taken meanwhile.

    Errors are those of `seal_folder`; the staging folder stays if it is not published.
    """
    staged = _Staged(staging, run_id, root_sha256)
    try:
        _sync_staged([staging])
        _refuse_unverified(staging, str(run_id), root_sha256)
        return _publish_all(publish_root, {0: staged}).get(0)
    except OSError as error:
        raise _make_publish_error(error) from error


def publish_named_folder(run_root: Path, staging: str, name: str, root_sha256: str) -> bool:
    """Make a staged sealed folder read-only, verify and publish it; return False if its name was taken meanwhile.

    Errors are those of `seal_folder`; the staging folder stays if it is not published.
    """
    try:
        for folder, _, names in os.walk(staging):
            for file_name in names:
                os.chmod(f"{folder}/{file_name}", _READ_ONLY_FILE)  # noqa: PTH101 -- as above
        _sync_staged([staging])
        _refuse_unverified(staging, name, root_sha256)
        with suppress(FileExistsError):
            rename_noreplace(staging, str(run_root / name))
            _finish_published(run_root, [run_root / name])
            return True
    except OSError as error:
        raise _make_publish_error(error) from error
    return False


def _refuse_unverified(staging: str, name: str, root_sha256: str) -> None:
    """Raise PublishError if a staged folder does not verify, or with another root hash than when it was written."""
    report = verify_folder(staging, display_path=name, expect_run_id=name)
    if report.verdict != "pass" or report.root_sha256 != root_sha256:
        errors = [f"{f.code} {f.path}: {f.message}" for f in report.findings if f.severity is Severity.ERROR]
        reason = "; ".join(errors) or "the root hash differs"
        raise PublishError(f"the new folder does not verify: {reason}", "nothing was published; fix the builder")


def _publish_all(publish_root: Path, staged: Mapping[int, _Staged]) -> dict[int, PublishedFolder]:
    """Rename the staged folders, and return the published ones; a folder whose name was taken is left out."""
    published: dict[int, PublishedFolder] = {}
    try:
        for index, folder in staged.items():
            target = publish_root / str(folder.run_id)
            # (4) The rename replaces nothing: a folder with this name stays.
            with suppress(FileExistsError):
                rename_noreplace(folder.staging, str(target))
                published[index] = PublishedFolder(target, folder.run_id, folder.root_sha256)
    finally:
        # After a failed rename too: the folders that were renamed before it stay.
        if published:
            _finish_published(publish_root, [folder.path for folder in published.values()])
    return published


def _finish_published(publish_root: Path, folders: Sequence[Path]) -> None:
    """Make published folders read-only and their names durable; DurabilityError if the disk refuses."""
    # (5) Make the directories read-only and the new names durable. From here on nothing is deleted.
    try:
        for path in folders:
            for folder, _, _ in os.walk(path, topdown=False):
                os.chmod(folder, _READ_ONLY)  # noqa: PTH101 -- as above
        sync_path(str(publish_root))
    except OSError as error:
        names = ", ".join(path.name for path in folders)
        message = f"published, durability unknown: {names} ({error.strerror})"
        raise DurabilityError(message, "the folder is complete; check the disk, then verify it") from error


def _make_publish_error(error: OSError) -> PublishError:
    location = f" ({error.filename})" if error.filename else ""
    folder = Path(error.filename).parent if isinstance(error.filename, str) else Path("publish_root")
    advice = _ADVICE.get(error.errno or 0) or advise_on_write_error(error, folder)
    return PublishError(f"the run could not be published: {error.strerror or error}{location}", advice)
