"""Verify a run folder that is packed in a tar archive: "Archives" in docs/reference/specification.md.

The archive is unpacked into a private temporary folder, and the verifier of folders reads that. Only directories,
regular files and hard links between these files are made, so no entry of an archive can lead out of the folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import zlib
from collections.abc import Collection
from io import BufferedIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from registry_pipeline.files.read import open_regular_file
from registry_pipeline.findings.collector import FindingCollector, encodable
from registry_pipeline.findings.finding import has_errors, sorted_findings
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.tree import CHUNK, MAX_DEPTH
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import replace

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

SUFFIXES: Final = (".tar.gz", ".tgz", ".tar")
"""How the name of an archive ends."""
# A manifest of 64 MiB lists fewer files.
_MAX_ENTRIES: Final = 1_000_000
_MAX_HEADER_BYTES: Final = 2**20
_BLOCK: Final = 512
# More than the verifier of folders follows, and few enough to remove the temporary folder by recursion.
_MAX_PARTS: Final = 4 * MAX_DEPTH
# What a file system needs for an entry, beside its bytes.
_ENTRY_BYTES: Final = 4096
# Errors of the file system that a path of an entry causes, and not the state of this machine.
_PATH_ERRORS: Final = (errno.ENAMETOOLONG, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


def is_archive(path: Path | str) -> bool:
    """Return whether a path has the name of an archive and is a regular file, or a link to one."""
    return os.fspath(path).endswith(SUFFIXES) and os.path.isfile(path)  # noqa: PTH113 - False for a path with a NUL


def verify_run(path: Path | str, *, display_path: str | None = None, keep: Collection[str] = ()) -> SealReport:
    """Verify a run folder, or an archive of one, and return every finding; the arguments are those of `verify_folder`.

    The folder of an archive is the one that contains all its entries, or else has the name of the archive.
    """
    if not is_archive(path):
        return verify_folder(path, display_path=display_path, keep=keep)
    import tempfile  # noqa: PLC0415 - for archives only

    text = os.fspath(path)
    collector = FindingCollector(text if display_path is None else display_path)
    name = os.path.basename(text)  # noqa: PTH119 - as in `runs.verify`
    name = name.removesuffix(next(suffix for suffix in SUFFIXES if name.endswith(suffix)))
    try:
        with tempfile.TemporaryDirectory(prefix="registry-verify-") as scratch:
            _unpack(text, scratch, collector)
            inner = _find_run_folder(scratch)
            name = os.path.basename(inner) if inner else name  # noqa: PTH119
            folder = f"{scratch}/{inner}"
            report = verify_folder(folder, display_path=collector.shown, expect_run_id=name, keep=keep)
    except (_ArchiveError, OSError) as error:
        # Of a part of an archive no other finding would be certain.
        code = error.code if isinstance(error, _ArchiveError) else "ARCHIVE_NOT_UNPACKED"
        alone = FindingCollector(collector.shown)
        alone.add(code, detail=_explain(error))
        return SealReport(alone.shown, encodable(name), "fail", None, (), None, alone.findings())
    findings = collector.findings()
    verdict = "fail" if report.verdict == "pass" and has_errors(findings) else report.verdict
    return replace(report, verdict=verdict, findings=sorted_findings((*report.findings, *findings)))


class _ArchiveError(Exception):
    """The archive cannot be unpacked to its end; `code` says whether the archive or this machine is the reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def _explain(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


class _Reader(BufferedIOBase):
    """Reads the bytes of an archive for `tarfile`, which reads a header of any stated size into memory.

    `left` is the number of bytes that may be read until it is set again. `last` is what was read last.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.left = _MAX_HEADER_BYTES
        self.last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise _ArchiveError("ARCHIVE_INVALID", f"the header of an entry has more than {_MAX_HEADER_BYTES} bytes")
        self.left -= size
        self.last = self._call("read", size)
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        position: int = self._call("seek", offset, whence)
        return position

    def tell(self) -> int:
        return self._file.tell()

    def _call(self, method: str, *arguments: int) -> Any:
        # Errors of reading become another type here, so that an OSError elsewhere is one of writing.
        try:
            return getattr(self._file, method)(*arguments)
        except (OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
            raise _ArchiveError("ARCHIVE_INVALID", _explain(error)) from None


def _unpack(path: str, folder: str, collector: FindingCollector) -> None:
    """Unpack an archive into an empty folder, and report each entry that is left out.

    Raises:
        _ArchiveError: it cannot be read to its end. OSError: this machine cannot write it.
    """
    import gzip  # noqa: PLC0415 - for archives only
    import tarfile  # noqa: PLC0415

    try:
        archive_file = open_regular_file(path)
    except OSError as error:
        raise _ArchiveError("UNREADABLE", _explain(error)) from None
    try:
        with archive_file as file:
            data = file if path.endswith(".tar") else cast("IO[bytes]", gzip.GzipFile(fileobj=file))
            reader = _Reader(data)
            with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r:") as archive:
                _unpack_entries(archive, reader, _Unpacked(folder, collector))
            _refuse_other_ends(reader)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise _ArchiveError("ARCHIVE_INVALID", _explain(error)) from None


def _unpack_entries(archive: TarFile, reader: _Reader, unpacked: _Unpacked) -> None:
    for _ in range(_MAX_ENTRIES):
        reader.left = _MAX_HEADER_BYTES
        member = archive.next()
        # `tarfile` collects the entries, of which a small archive can have very many.
        archive.members.clear()  # type: ignore[attr-defined]  # public, but not in the stubs
        if member is None:
            return
        reader.left = sys.maxsize
        unpacked.add(archive, member)
    raise _ArchiveError("ARCHIVE_INVALID", f"it has more than {_MAX_ENTRIES} entries")


def _refuse_other_ends(reader: _Reader) -> None:
    """Raise _ArchiveError unless the end marker was read last and only zeros follow; gzip then checks its CRC."""
    # For `tarfile` a damaged header, and the end of the file, are the end of the archive, too.
    if reader.last != bytes(_BLOCK):
        raise _ArchiveError("ARCHIVE_INVALID", "the end marker is missing: it is cut off, or a header is damaged")
    reader.left = sys.maxsize
    while chunk := reader.read(CHUNK):
        if chunk.strip(b"\0"):
            raise _ArchiveError("ARCHIVE_INVALID", "other data follows the end marker")


class _Unpacked:
    """The entries of an archive that were unpacked into `folder`; the others are reported."""

    def __init__(self, folder: str, collector: FindingCollector) -> None:
        self._folder = folder
        self._collector = collector
        # Whether it is a directory, by path.
        self._made = {"": True}
        # Some space is left to other programs.
        self._space = shutil.disk_usage(folder).free // 10 * 9

    def add(self, archive: TarFile, member: TarInfo) -> None:
        """Unpack an entry, or report why it is left out; OSError if this machine cannot write it."""
        relpath = _parse_path(member.name)
        if relpath is None:
            detail = f"absolute, has an empty, `.` or `..` component, or more than {_MAX_PARTS} components"
            self._report("ARCHIVE_PATH", member, detail)
            return
        if not (member.isdir() or member.isreg() or member.islnk()):
            self._report("NOT_REGULAR", member, _describe_kind(member))
            return
        # `tarfile` would read an entry of a negative size again and again.
        if member.size < 0:
            raise _ArchiveError("ARCHIVE_INVALID", f"the size of {member.name!r} is {member.size}")
        self._space -= member.size + _ENTRY_BYTES
        if self._space < 0:
            detail = f"its files need more than the free space of {os.path.dirname(self._folder)}"  # noqa: PTH120
            raise _ArchiveError("ARCHIVE_NOT_UNPACKED", detail)
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
            self._report("ARCHIVE_PATH", member, f"refused by this file system: {_explain(error)}")

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
        target = _parse_path(member.linkname)
        # Unpacked files only: the link of a hostile archive could name any file of this machine.
        if target is None or self._made.get(target, True):
            self._report("NOT_REGULAR", member, "a hard link to no earlier file of the archive")
            return
        os.link(f"{self._folder}/{target}", f"{self._folder}/{relpath}")
        self._made[relpath] = False

    def _write_file(self, archive: TarFile, relpath: str, member: TarInfo) -> None:
        source = archive.extractfile(member)
        if source is None:
            raise _ArchiveError("ARCHIVE_INVALID", f"{member.name!r} has no content")
        with open(f"{self._folder}/{relpath}", "xb") as target:  # noqa: PTH123
            shutil.copyfileobj(source, target, CHUNK)
        self._made[relpath] = False


def _describe_kind(member: TarInfo) -> str:
    if member.issym():
        return "a symbolic link"
    if member.isfifo():
        return "a FIFO"
    return "a device" if member.isdev() else "an entry of an unknown type"


def _parse_path(name: str) -> str | None:
    """Return the path of an entry below the root of the archive, "" for the root; None if it is unsafe."""
    parts = name.split("/")
    # `tar -C FOLDER -cf X.tar .` writes `./run.json`.
    if parts[0] == ".":
        del parts[0]
    is_unsafe = any(part in ("", ".", "..") or "\0" in part for part in parts)
    return None if is_unsafe or len(parts) > _MAX_PARTS else "/".join(parts)


def _find_run_folder(scratch: str) -> str:
    """Return the path of the run folder below the root of an unpacked archive: "" if it is the root.

    Raises:
        _ArchiveError: there is no folder, or there are several.
    """
    inner = ""
    while True:
        with os.scandir(f"{scratch}/{inner}") as entries:
            folders = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        # An empty folder is a run folder without a seal.
        if not all(is_folder for _, is_folder in folders) or (inner and not folders):
            return inner
        if len(folders) != 1:
            number = f"{len(folders)} folders" if folders else "nothing"
            raise _ArchiveError("ARCHIVE_INVALID", f"it contains {number} instead of one run folder")
        inner = f"{inner}/{folders[0][0]}" if inner else folders[0][0]
