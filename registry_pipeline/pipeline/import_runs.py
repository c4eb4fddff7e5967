"""Bring the run folders of an archive back into the run roots (`import`). No existing folder is changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.config import ARCHIVE_SUFFIXES, Repository
from registry_pipeline.errors import NotFoundError, PublishError
from registry_pipeline.files.durable import advise_on_write_error, make_folders
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pipeline.needed_runs import is_activation_record
from registry_pipeline.registries.base.seal_build import refuse_linked_publish_root
from registry_pipeline.runs.archive import UnpackedArchive, UnpackedRun, make_failed_report, unpack_archive
from registry_pipeline.runs.archive_reader import ArchiveError, is_archive
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import make_staging_folder, publish_named_folder
from registry_pipeline.values import asdict, value_type

ImportState = Literal["importable", "imported", "exists", "refused"]
IMPORT_STATES: Final[tuple[ImportState, ...]] = ("importable", "imported", "exists", "refused")


@value_type
class ImportedRun:
    """One run of the archive, and what was done with it.

    Attributes:
        path: the folder, relative to the repository.
        state: `exists` if the folder has the same root; `importable` only if nothing was written.
        root_sha256: the recomputed one, None if the run does not verify.
    """

    path: str
    run_id: str
    root_sha256: str | None
    state: ImportState


@value_type
class Import:
    """The runs of an archive by path, and every finding; if one is an error, nothing was written."""

    path: str
    runs: tuple[ImportedRun, ...]
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether a finding refuses the import."""
        return has_errors(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `import --json`."""
        return {
            "archive": self.path,
            "runs": [asdict(run) for run in self.runs],
            "findings": [item.to_json() for item in self.findings],
        }


def import_archive(repository: Repository, path: Path, *, write: bool) -> Import:
    """Publish each run folder of an archive that the repository lacks; without `write` return what would be done.

    If anything in the archive is refused, or a folder exists with another root, nothing is written. A folder appears
    complete, verified and read-only, or not at all.

    Raises:
        NotFoundError: the path is no archive. PublishError: the disk refused, or another process made one of the
            folders meanwhile; folders published before it stay.
    """
    if not os.path.lexists(path):
        raise NotFoundError(f"{path} does not exist", "name an archive that `registry-pipeline export` wrote")
    if not is_archive(path):
        raise NotFoundError(f"{path} is no archive", f"name a file that ends in {', '.join(ARCHIVE_SUFFIXES)}")
    refuse_linked_publish_root(repository)
    shown = str(path)
    with _make_folder(repository, write=write) as folder:
        try:
            unpacked = unpack_archive(str(path), folder, shown)
        except (ArchiveError, OSError) as error:
            return Import(shown, (), make_failed_report(str(path), shown, error).findings)
        # (1) Verify every run, and compare it with the folder that exists.
        reports = [run.verify(f"{shown}/{run.relpath}" if run.relpath else shown) for run in unpacked.runs]
        existing = {run.relpath for run in unpacked.runs if os.path.lexists(repository.path(run.relpath))}
        findings = _find_refusals(repository, shown, unpacked, reports, existing)
        refused = has_errors(findings)
        # (2) Only then publish what is missing.
        if write and not refused:
            for run, report in zip(unpacked.runs, reports, strict=True):
                if run.relpath not in existing:
                    _publish(repository, run, report)
        runs = [
            ImportedRun(run.relpath, run.name, report.root_sha256, state)
            for run, report in zip(unpacked.runs, reports, strict=True)
            for state in [_find_state(run.relpath in existing, write=write, refused=refused)]
        ]
    return Import(shown, tuple(runs), findings)


def _find_state(exists: bool, *, write: bool, refused: bool) -> ImportState:
    if refused:
        return "refused"
    if exists:
        return "exists"
    return "imported" if write else "importable"


@contextmanager
def _make_folder(repository: Repository, *, write: bool) -> Iterator[str]:
    """Yield an empty folder, removed at the end: in staging if its content will be renamed into the run roots."""
    if not write:
        with tempfile.TemporaryDirectory(prefix="registry-import-") as folder:
            yield folder
        return
    try:
        make_folders(repository.staging_root)
        staging = make_staging_folder(repository.staging_root, "import")
    except OSError as error:
        message = f"{repository.staging_root} cannot be written: {error.strerror}; nothing was imported"
        raise PublishError(message, advise_on_write_error(error, repository.staging_root)) from error
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _find_refusals(
    repository: Repository,
    shown: str,
    unpacked: UnpackedArchive,
    reports: Sequence[SealReport],
    existing: Collection[str],
) -> tuple[Finding, ...]:
    """Return every finding about the archive, its runs, and the folders that exist under their names."""
    findings = [*unpacked.findings]
    for run, report in zip(unpacked.runs, reports, strict=True):
        findings += report.findings
        if report.verdict != "pass":
            findings += () if has_errors(report.findings) else (_refuse_unsealed(report),)
            continue
        run_root = run.relpath.rpartition("/")[0]
        folder = repository.path(run_root)
        # Nothing verifies what is behind a link.
        if run_root not in repository.config.run_roots or folder.resolve() != folder:
            findings.append(finding("ARCHIVE_OUTSIDE_ROOTS", shown, detail=run.relpath or run.name))
        elif is_activation_record(run.name, report.run_json or {}):
            findings.append(finding("IMPORT_RECORD", run.relpath))
        elif run.relpath in existing:
            findings += _compare_with_folder(repository, run.relpath, report)
    return sorted_findings(findings)


def _compare_with_folder(repository: Repository, path: str, report: SealReport) -> tuple[Finding, ...]:
    """Return a finding if the folder that exists is not the run of the archive."""
    folder = verify_folder(repository.path(path), display_path=path)
    if folder.verdict == "pass" and folder.root_sha256 == report.root_sha256:
        return ()
    got = folder.root_sha256 if folder.verdict == "pass" else folder.verdict
    return (finding("IMPORT_RUN_EXISTS", path, expected=report.root_sha256, got=got),)


def _refuse_unsealed(report: SealReport) -> Finding:
    return finding("EXPORT_NOT_SEALED", report.path, detail=report.verdict)


def _publish(repository: Repository, run: UnpackedRun, report: SealReport) -> None:
    run_root = repository.path(run.relpath).parent
    try:
        make_folders(run_root)
    except OSError as error:
        message = f"{run_root} cannot be written: {error.strerror}"
        raise PublishError(message, advise_on_write_error(error, run_root)) from error
    if not publish_named_folder(run_root, run.folder, run.name, report.root_sha256 or ""):
        message = f"another process made {run.relpath} meanwhile; folders that were imported before it stay"
        raise PublishError(message, "import again: folders that exist with the same root are skipped")
