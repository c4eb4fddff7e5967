"""A run folder in staging that another program fills, and that is published when the program has ended."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from registry_pipeline.errors import PublishError
from registry_pipeline.files.atomic_write import write_new_file
from registry_pipeline.files.durable import advise_on_write_error, make_folders
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.display import list_some
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.runs.folder_seal import compute_seal
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import (
    PublishedFolder,
    find_free_run_id,
    make_staging_folder,
    next_run_id,
    publish_staged_folder,
    quarantine_folder,
)

_READ_ONLY_FILE: Final = 0o444
_OWN_FOLDER: Final = stat.S_IRWXU
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RUN_JSON: Final = "run.json"

# Returns the bytes of run.json for the run id and the sorted names of all files, the seal files included.
MakeRunJson = Callable[[RunId, Sequence[str]], bytes]


class StagedRun:
    """A staging folder that one process owns.

    Attributes:
        path: the folder; it has this path until it is published.
    """

    def __init__(self, publish_root: Path, staging_root: Path, run_id: RunId) -> None:
        """Make the folder.

        Raises:
            PublishError: it cannot be made, or publish_root does not exist.
        """
        # The program may run for hours: what can be known now must not fail at its end.
        if not publish_root.is_dir():
            raise PublishError(f"there is no folder {publish_root}", "run `registry-pipeline init`")
        self._publish_root = publish_root
        self._run_id = find_free_run_id(publish_root, run_id)
        try:
            make_folders(staging_root)
            self.path = Path(make_staging_folder(staging_root, str(self._run_id)))
        except OSError as error:
            message = f"{staging_root} cannot be written: {error.strerror}"
            raise PublishError(message, advise_on_write_error(error, staging_root)) from error

    def create_file(self, name: str) -> IO[bytes]:
        """Create a file and open it for unbuffered writing; raise OSError if the disk refuses."""
        return os.fdopen(os.open(self.path / name, _CREATE, 0o644), "wb", buffering=0)

    def discard(self) -> None:
        """Remove the folder: nothing was run."""
        shutil.rmtree(self.path, ignore_errors=True)

    def quarantine(self, quarantine_root: Path) -> Path:
        """Keep the folder of a run that could not be published, and return where it is now."""
        try:
            return quarantine_folder(self.path, quarantine_root)
        except PublishError:
            return self.path  # `doctor` finds it there

    def publish(self, make_run_json: MakeRunJson) -> PublishedFolder:
        """Write run.json and the seal files, and publish the folder under the first free run id.

        Raises:
            PublishError: it cannot be sealed or published; the folder stays in staging, and the error says why.
            DurabilityError: it is published and complete, but the disk did not confirm it.
        """
        try:
            self._prepare()
            while (published := self._publish_once(make_run_json)) is None:
                # A faster writer took the name; run.json contains it.
                for name in (_RUN_JSON, *SEAL_FILES):
                    (self.path / name).unlink()
                self._run_id = next_run_id(self._run_id)
        except OSError as error:
            message = f"{self.path} cannot be sealed: {error.strerror or error}"
            raise PublishError(message, advise_on_write_error(error, self.path)) from error
        return published

    def _prepare(self) -> None:
        """Make every file readable and read-only, and remove empty folders, which a manifest cannot list."""
        self.path.chmod(self.path.stat().st_mode | _OWN_FOLDER)
        for parent, folders, names in os.walk(self.path):
            for name in folders:
                if not (path := Path(parent, name)).is_symlink():
                    path.chmod(path.stat().st_mode | _OWN_FOLDER)
            for name in names:
                status = (path := Path(parent, name)).lstat()
                # A second link is the file of somebody else, whose permissions are not ours to change.
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                    path.chmod(_READ_ONLY_FILE)
        for parent, _, _ in os.walk(self.path, topdown=False):
            if Path(parent) != self.path:
                with suppress(OSError):  # it is not empty
                    Path(parent).rmdir()

    def _publish_once(self, make_run_json: MakeRunJson) -> PublishedFolder | None:
        """Seal and publish the folder under its run id; None if the name is taken."""
        self._run_id = run_id = find_free_run_id(self._publish_root, self._run_id)
        names = [Path(parent, name) for parent, _, files in os.walk(self.path) for name in files]
        relpaths = sorted({*(os.fspath(path.relative_to(self.path)) for path in names), _RUN_JSON, *SEAL_FILES})
        if self.path / _RUN_JSON in names:
            raise PublishError("the run wrote a file run.json, which is reserved", "let it write to another name")
        write_new_file(self.path / _RUN_JSON, make_run_json(run_id, relpaths), _READ_ONLY_FILE)
        seal = compute_seal(self.path, str(run_id), str(run_id))
        if seal.manifest is None or seal.has_manifest:
            raise self._make_unsealable_error(seal.findings)
        for name, data in zip(SEAL_FILES, (seal.manifest.manifest_json, seal.manifest.hash_file), strict=True):
            write_new_file(self.path / name, data, _READ_ONLY_FILE)
        return publish_staged_folder(self._publish_root, os.fspath(self.path), run_id, seal.manifest.root_sha256)

    def _make_unsealable_error(self, findings: Sequence[Finding]) -> PublishError:
        errors = [f"{item.code} {item.path}" for item in findings if item.severity is Severity.ERROR]
        target = self._publish_root / str(self._run_id)
        advice = f"correct that in the folder, move it to {target}, then `registry-pipeline seal --write {target}`"
        return PublishError(f"the run cannot be sealed: {list_some(errors, ', ')}", advice)
