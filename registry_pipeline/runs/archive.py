"""Verify the run folders that are packed in a tar archive: "Archives" in docs/reference/specification.md.

The archive is unpacked into a private temporary folder, and the verifier of folders reads that. Only directories,
regular files and hard links between these files are made, so no entry of an archive can lead out of the folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry_pipeline.findings.collector import FindingCollector, encodable
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.runs.archive_reader import (
    MAX_PARTS,
    ArchiveError,
    describe_entry_kind,
    explain_archive_error,
    is_archive,
    parse_entry_path,
    strip_suffix,
    visit_entries,
)
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.tree import CHUNK
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import replace, value_type

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

# What a file system needs for an entry, beside its bytes.
_ENTRY_BYTES: Final = 4096
# Returns the report of a second reading if the first lacks the bytes of a file: (report, folder, run id or None).
CompleteReport = Callable[[SealReport, str, str | None], SealReport]
# Errors of the file system that a path of an entry causes, and not the state of this machine.
_PATH_ERRORS: Final = (errno.ENAMETOOLONG, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


def keep_report(report: SealReport, _folder: str, _run_id: str | None) -> SealReport:
    """Return the report as it is."""
    return report


def verify_runs(
    path: Path | str,
    *,
    display_path: str | None = None,
    keep: Collection[str] = (),
    complete: CompleteReport = keep_report,
) -> tuple[SealReport, ...]:
    """Verify a run folder, or each run folder of an archive, and return a report for each, by path.

    `complete` is called with each report while its folder exists; the other arguments are those of `verify_folder`. If
    entries of an archive of several runs are left out, the first report is about the archive itself.
    """
    text = os.fspath(path)
    if not is_archive(path):
        return (complete(verify_folder(path, display_path=display_path, keep=keep), text, None),)
    import tempfile  # noqa: PLC0415 - for archives only

    shown = text if display_path is None else display_path
    try:
        with tempfile.TemporaryDirectory(prefix="registry-verify-") as scratch:
            unpacked = unpack_archive(text, scratch, shown)
            # One run has the path of its archive, as it would have that of its folder.
            is_one = len(unpacked.runs) == 1
            reports = [
                run.verify(shown if is_one else f"{shown}/{run.relpath}", keep, complete) for run in unpacked.runs
            ]
    except (ArchiveError, OSError) as error:
        return (make_failed_report(text, shown, error),)
    findings = unpacked.findings
    if not is_one:
        whole = SealReport(shown, encodable(_name_archive(text)), "fail", None, (), None, findings)
        return (whole, *reports) if findings else tuple(reports)
    verdict = "fail" if reports[0].verdict == "pass" and has_errors(findings) else reports[0].verdict
    return (replace(reports[0], verdict=verdict, findings=sorted_findings((*reports[0].findings, *findings))),)


def make_failed_report(path: str, shown: str, error: ArchiveError | OSError) -> SealReport:
    """Return the report of an archive that `unpack_archive` could not unpack; `shown` is its path in the finding."""
    # Of a part of an archive no other finding would be certain.
    collector = FindingCollector(shown)
    code = error.code if isinstance(error, ArchiveError) else "ARCHIVE_NOT_UNPACKED"
    collector.add(code, detail=explain_archive_error(error))
    return SealReport(shown, encodable(_name_archive(path)), "fail", None, (), None, collector.findings())


def _name_archive(path: str) -> str:
    return strip_suffix(os.path.basename(path))  # noqa: PTH119 - as in `runs.verify`


@value_type
class UnpackedRun:
    """A run folder of an archive: where it was unpacked, its path in the archive ("" for the root), and its name."""

    folder: str
    relpath: str
    name: str

    def verify(self, shown: str, keep: Collection[str] = (), complete: CompleteReport = keep_report) -> SealReport:
        """Verify the folder; `shown` is its path in findings."""
        report = verify_folder(self.folder, display_path=shown, expect_run_id=self.name, keep=keep)
        return complete(report, self.folder, self.name)


@value_type
class UnpackedArchive:
    """The run folders of an archive by path, at least one, and a finding for each entry that was left out."""

    runs: tuple[UnpackedRun, ...]
    findings: tuple[Finding, ...]


def unpack_archive(path: str, folder: str, shown: str) -> UnpackedArchive:
    """Unpack an archive into an empty folder; `shown` is the path of the archive in findings.

    Raises:
        ArchiveError: it cannot be read to its end, or contains no folder. OSError: this machine cannot write it.
    """
    collector = FindingCollector(shown)
    visit_entries(path, _Unpacked(folder, collector).add)
    relpaths = list(_find_run_folders(folder, ""))
    if not relpaths:
        raise ArchiveError("ARCHIVE_INVALID", "it contains nothing instead of one run folder")
    runs = [
        UnpackedRun(f"{folder}/{relpath}", relpath, relpath.rpartition("/")[2] or _name_archive(path))
        for relpath in relpaths
    ]
    return UnpackedArchive(tuple(runs), collector.findings())


def _find_run_folders(folder: str, relpath: str) -> Iterator[str]:
    """Yield the path of each topmost folder with a file: "" for the root; an empty folder is an unsealed run."""
    with os.scandir(f"{folder}/{relpath}") as entries:
        folders = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    if not all(folders.values()) or (relpath and not folders):
        yield relpath
        return
    for name in sorted(folders):
        yield from _find_run_folders(folder, f"{relpath}/{name}" if relpath else name)


class _Unpacked:
    """The entries of an archive that were unpacked into `folder`; the others are reported."""

    def __init__(self, folder: str, collector: FindingCollector) -> None:
        self._folder = folder
        self._collector = collector
        # Whether it is a directory, by path.
        self._made = {"": True}
        import shutil  # noqa: PLC0415 - 2 ms of most commands, and few of them unpack

        # Some space is left to other programs.
        self._space = shutil.disk_usage(folder).free // 10 * 9

    def add(self, archive: TarFile, member: TarInfo) -> None:
        """Unpack an entry, or report why it is left out; OSError if this machine cannot write it."""
        relpath = parse_entry_path(member.name)
        if relpath is None:
            detail = f"absolute, has an empty, `.` or `..` component, or more than {MAX_PARTS} components"
            self._report("ARCHIVE_PATH", member, detail)
            return
        if not (member.isdir() or member.isreg() or member.islnk()):
            self._report("NOT_REGULAR", member, describe_entry_kind(member))
            return
        # `tarfile` would read an entry of a negative size again and again.
        if member.size < 0:
            raise ArchiveError("ARCHIVE_INVALID", f"the size of {member.name!r} is {member.size}")
        self._space -= member.size + _ENTRY_BYTES
        if self._space < 0:
            detail = f"its files need more than the free space of {os.path.dirname(self._folder)}"  # noqa: PTH120
            raise ArchiveError("ARCHIVE_NOT_UNPACKED", detail)
        try:
            # A directory may be listed several times, any other path only once.
            is_free = self._make_directories(relpath if member.isdir() else relpath.rpartition("/")[0])
            if not is_free or (not member.isdir() and relpath in self._made):
                self._report("ARCHIVE_DUPLICATE", member)
            elif member.islnk():
                self._link(relpath, member)
            elif not member.isdir():
                self._write_file(archive, relpath, member)
        except OSError as error:
            if error.errno not in _PATH_ERRORS:
                raise
            self._report("ARCHIVE_PATH", member, f"refused by this file system: {explain_archive_error(error)}")

    def _report(self, code: str, member: TarInfo, detail: str = "") -> None:
        self._collector.add(code, got=member.name, detail=detail)

    def _make_directories(self, relpath: str) -> bool:
        """Make a directory and those above it; return False if one of them is a file of the archive."""
        parts = relpath.split("/") if relpath else []
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in self._made:
                os.mkdir(f"{self._folder}/{path}", 0o700)  # noqa: PTH102 - as everywhere here
                self._made[path] = True
            if not self._made[path]:
                return False
        return True

    def _link(self, relpath: str, member: TarInfo) -> None:
        target = parse_entry_path(member.linkname)
        # Unpacked files only: the link of a hostile archive could name any file of this machine.
        if target is None or self._made.get(target, True):
            self._report("NOT_REGULAR", member, "a hard link to no earlier file of the archive")
            return
        os.link(f"{self._folder}/{target}", f"{self._folder}/{relpath}")
        self._made[relpath] = False

    def _write_file(self, archive: TarFile, relpath: str, member: TarInfo) -> None:
        source = archive.extractfile(member)
        if source is None:
            raise ArchiveError("ARCHIVE_INVALID", f"{member.name!r} has no content")
        import shutil  # noqa: PLC0415 - as above

        with open(f"{self._folder}/{relpath}", "xb") as target:  # noqa: PTH123
            shutil.copyfileobj(source, target, CHUNK)
        self._made[relpath] = False
