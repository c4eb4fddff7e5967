"""The only writer of run folders: complete and sealed, or absent (SPEC 2.4).

1. Stage beside the run roots, on the same file system, in a folder that nobody else uses.
2. Write every file once, take the manifest from a walk of what was written, the hash file last; make all durable.
3. Verify the staged folder with the strict rules, under the name that it will have.
4. Rename it to that name if nothing bears it; else build and stage it anew under the next name.
5. Make the directories read-only and the new name durable. A failure from here on is told and nothing is deleted.

Leaves to the caller: what the files say, and whether an earlier folder of the same step may be used again.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from registry_pipeline.errors import DurabilityError, PublishError
from registry_pipeline.files.durable import (
    make_folders,
    rename_noreplace,
    share_with_group,
    sync_filesystem,
    sync_path,
    write_advice,
)
from registry_pipeline.files.path_policy import collisions, path_codes
from registry_pipeline.findings.finding import Severity
from registry_pipeline.runs.manifest import ManifestEntry, entry_of, seal_manifest
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import value_type

FilesFor = Callable[[RunId], Mapping[str, bytes]]
"""Gives all files of a run, run.json among them, for the run id under which it will be published."""
_FSYNC_UP_TO: Final = 16
_LAST_NUMBER: Final = 999
_READ_ONLY: Final = 0o555
_READ_ONLY_FILE: Final = 0o444
_STAGED: Final = 0o755
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_ADVICE: Final = {
    errno.EXDEV: "let the staging folder and publish_root be on one file system",
    errno.ENOENT: "`registry-pipeline init` makes publish_root",
    errno.ENAMETOOLONG: "use shorter names",
}


@value_type
class PublishedFolder:
    """A run folder that exists, complete, sealed and verified."""

    path: Path
    run_id: RunId
    root_sha256: str


@value_type
class _Staged:
    place: int
    staging: str
    run_id: RunId
    root_sha256: str


def seal_folder(publish_root: Path, staging_root: Path, run_id: RunId, files_for: FilesFor) -> PublishedFolder:
    """Publish one sealed run folder under `run_id`, or under the next free id where that name is taken.

    Raises:
        PublishError: it could not be published; nothing of it stands in the run root.
        DurabilityError: it is published and complete, but the disk did not confirm it.
    """
    return seal_folders(publish_root, staging_root, [(run_id, files_for)])[0]


def seal_folders(
    publish_root: Path, staging_root: Path, wanted: Sequence[tuple[RunId, FilesFor]]
) -> list[PublishedFolder]:
    """Publish many sealed run folders with one synchronisation of the disk, in the order of `wanted`.

    All are staged and verified before the first is renamed, and each is published whole or not at all: what stands
    after a failure stays.

    Raises:
        PublishError: one could not be published; nothing of it stands in the run root.
        DurabilityError: those that it names are published and complete, but the disk did not confirm it.
    """
    published: dict[int, PublishedFolder] = {}
    waiting = [(place, run_id, files_for) for place, (run_id, files_for) in enumerate(wanted)]
    while waiting:
        stagings: list[str] = []
        try:
            staged = _stage_all(publish_root, staging_root, waiting, stagings)
            done = _publish_all(publish_root, staged)
        except OSError as error:
            raise _publish_error(error) from error
        finally:
            # What was renamed is no longer there; what stands here was not published.
            for staging in stagings:
                shutil.rmtree(staging, ignore_errors=True)
        published |= done
        taken = {folder.place: folder.run_id for folder in staged if folder.place not in done}
        waiting = [(place, _next(taken[place]), files_for) for place, _, files_for in waiting if place in taken]
    return [published[place] for place in range(len(wanted))]


def _stage_all(
    publish_root: Path, staging_root: Path, waiting: Sequence[tuple[int, RunId, FilesFor]], stagings: list[str]
) -> list[_Staged]:
    """Do steps 1 to 3 for many folders; `stagings` receives each staging folder as soon as it exists."""
    make_folders(staging_root)
    staged = []
    for place, wanted_id, files_for in waiting:
        run_id = wanted_id
        while os.path.lexists(publish_root / str(run_id)):
            run_id = _next(run_id)
        files = files_for(run_id)
        _refuse_bad_paths(files)
        staging = str(staging_root / f"{run_id}.{os.getpid()}.{secrets.token_hex(4)}")
        os.mkdir(staging)  # noqa: PTH102 -- one spelling for all calls on a staging folder
        stagings.append(staging)
        # Killed, this leaves a folder that `doctor --fix` moves: whoever of the group runs it must be able to.
        share_with_group(staging, staging_root)
        staged.append(_Staged(place, staging, run_id, _write_sealed(staging, files)))
    _make_durable(stagings)
    for folder in staged:
        _refuse_unverified(folder)
    return staged


def _next(run_id: RunId) -> RunId:
    if run_id.number >= _LAST_NUMBER:
        raise PublishError(f"all names up to {run_id} are taken", "publish under another second or tag")
    return run_id.next()


def _refuse_bad_paths(files: Mapping[str, bytes]) -> None:
    bad = {path: codes for path in files if (codes := path_codes(path))}
    bad |= {path: (f"PATH_COLLISION with {other}",) for path, other in collisions(files) if path not in bad}
    if bad:
        told = "; ".join(f"{path!r}: {', '.join(codes)}" for path, codes in bad.items())
        raise PublishError(f"these paths may not be sealed: {told}", "rename the files before sealing")


def _write_sealed(staging: str, files: Mapping[str, bytes]) -> str:
    for relpath, data in files.items():
        _write(staging, relpath, data)
    manifest = seal_manifest(_walk(staging))
    if set(manifest.entries) != {entry_of(relpath, data) for relpath, data in files.items()}:
        raise PublishError("the disk did not give back the files that were written", "check the disk and its mount")
    _write(staging, "manifest.json", manifest.manifest_json)
    _write(staging, "MANIFEST.sha256", manifest.hash_file)
    return manifest.root_sha256


def _write(staging: str, relpath: str, data: bytes) -> None:
    folder, _, _ = relpath.rpartition("/")
    if folder:
        os.makedirs(f"{staging}/{folder}", exist_ok=True)  # noqa: PTH103 -- as above
    descriptor = os.open(f"{staging}/{relpath}", _CREATE, _READ_ONLY_FILE)
    try:
        os.fchmod(descriptor, _READ_ONLY_FILE)  # whatever the umask took away
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _walk(staging: str) -> Iterator[ManifestEntry]:
    for folder, _, names in os.walk(staging):
        for name in names:
            path = f"{folder}/{name}"
            yield entry_of(path.removeprefix(f"{staging}/"), Path(path).read_bytes())


def _make_durable(stagings: Sequence[str]) -> None:
    """Sync the files one by one where they are few, else all with one call; then the directories, deepest first.

    The directories get their permissions here, so that a kill right after the rename leaves a folder that all can read
    and verify. They stay writable until then: a writer that fails must be able to remove them.
    """
    found = [list(os.walk(staging, topdown=False)) for staging in stagings]
    for folder in [folder for levels in found for folder, _, _ in levels]:
        mode = stat.S_IMODE(os.stat(folder).st_mode)  # noqa: PTH116 -- as above
        if mode & _STAGED != _STAGED:
            os.chmod(folder, mode | _STAGED)  # noqa: PTH101 -- as above
    files = [f"{folder}/{name}" for levels in found for folder, _, names in levels for name in names]
    if len(files) > _FSYNC_UP_TO:
        sync_filesystem(stagings[0])
        return
    for path in files:
        sync_path(path)
    for levels in found:
        for folder, _, _ in levels:
            sync_path(folder)


def _refuse_unverified(folder: _Staged) -> None:
    report = verify_folder(folder.staging, shown=str(folder.run_id), expect_run_id=str(folder.run_id))
    if report.verdict != "pass" or report.root_sha256 != folder.root_sha256:
        broken = [f"{f.code} {f.path}: {f.message}" for f in report.findings if f.severity is Severity.ERROR]
        told = "; ".join(broken) or "the root hash is another"
        raise PublishError(f"the new folder does not verify: {told}", "nothing was published; mend what made the files")


def _publish_all(publish_root: Path, staged: Sequence[_Staged]) -> dict[int, PublishedFolder]:
    """Do steps 4 and 5; left out is what found its name taken by a faster writer."""
    published: dict[int, PublishedFolder] = {}
    try:
        for folder in staged:
            target = publish_root / str(folder.run_id)
            try:
                rename_noreplace(folder.staging, str(target))
            except FileExistsError:
                continue
            published[folder.place] = PublishedFolder(target, folder.run_id, folder.root_sha256)
    finally:
        # After a failed rename too: what was renamed before it stands and is to stay.
        if published:
            _confirm(publish_root, [folder.path for folder in published.values()])
    return published


def _confirm(publish_root: Path, folders: Sequence[Path]) -> None:
    try:
        for path in folders:
            for folder, _, _ in os.walk(path, topdown=False):
                os.chmod(folder, _READ_ONLY)  # noqa: PTH101 -- as above
        sync_path(str(publish_root))
    except OSError as error:
        names = ", ".join(path.name for path in folders)
        message = f"published, durability unknown: {names} ({error.strerror})"
        raise DurabilityError(message, "the folder is complete; check the disk, then verify it") from error


def _publish_error(error: OSError) -> PublishError:
    place = f" ({error.filename})" if error.filename else ""
    folder = Path(error.filename).parent if isinstance(error.filename, str) else Path("publish_root")
    advice = _ADVICE.get(error.errno or 0) or write_advice(error, folder)
    return PublishError(f"the run could not be published: {error.strerror or error}{place}", advice)
