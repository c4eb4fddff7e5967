"""Read the entries of a tar archive, which may be damaged or hostile, in bounded memory.

`tarfile` reads a header of any stated size, keeps every entry, and takes a damaged header for the end of an archive.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from registry_pipeline.config import ARCHIVE_SUFFIXES
from registry_pipeline.files.read import open_regular_file
from registry_pipeline.runs.tree import CHUNK, MAX_DEPTH

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

MAX_ENTRIES: Final = 1_000_000
"""The most entries of an archive; a manifest of 64 MiB lists fewer files."""
MAX_PARTS: Final = 4 * MAX_DEPTH
"""The most components of a path: more than the verifier of folders follows, and few enough for recursion."""
_MAX_HEADER_BYTES: Final = 2**20
_BLOCK: Final = 512


def is_archive(path: Path | str) -> bool:
    """Return whether a path has the name of an archive and is a regular file, or a link to one."""
    return os.fspath(path).endswith(ARCHIVE_SUFFIXES) and os.path.isfile(path)  # noqa: PTH113 - False for a path with a NUL


def strip_suffix(name: str) -> str:
    """Return the file name of an archive without its suffix."""
    return name.removesuffix(next((suffix for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), ""))


class ArchiveError(Exception):
    """The archive cannot be read to its end; `code` says whether the archive or this machine is the reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def explain_archive_error(error: Exception) -> str:
    """Return the reason of an ArchiveError or of another exception while an archive was read."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def visit_entries(path: str, visit: Callable[[TarFile, TarInfo], None]) -> None:
    """Call `visit` with each entry of an archive, which is open for reading its content, up to the end marker.

    Raises:
        ArchiveError: the archive cannot be read to its end, or `visit` raised it. Also what `visit` raises.
    """
    import gzip  # noqa: PLC0415 - for archives only
    import tarfile  # noqa: PLC0415

    try:
        archive_file = open_regular_file(path)
    except OSError as error:
        raise ArchiveError("UNREADABLE", explain_archive_error(error)) from None
    try:
        with archive_file as file:
            data = file if path.endswith(".tar") else cast("IO[bytes]", gzip.GzipFile(fileobj=file))
            reader = _Reader(data)
            with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r:") as archive:
                _visit_entries(archive, reader, visit)
            _refuse_other_ends(reader)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise ArchiveError("ARCHIVE_INVALID", explain_archive_error(error)) from None


def _visit_entries(archive: TarFile, reader: _Reader, visit: Callable[[TarFile, TarInfo], None]) -> None:
    for _ in range(MAX_ENTRIES):
        reader.left = _MAX_HEADER_BYTES
        member = archive.next()
        # `tarfile` collects the entries, of which a small archive can have very many.
        archive.members.clear()  # type: ignore[attr-defined]  # public, but not in the stubs
        if member is None:
            return
        reader.left = sys.maxsize
        visit(archive, member)
    raise ArchiveError("ARCHIVE_INVALID", f"it has more than {MAX_ENTRIES} entries")


def _refuse_other_ends(reader: _Reader) -> None:
    """Raise ArchiveError unless the end marker was read last and only zeros follow; gzip then checks its CRC."""
    # For `tarfile` a damaged header, and the end of the file, are the end of the archive, too.
    if reader.last != bytes(_BLOCK):
        raise ArchiveError("ARCHIVE_INVALID", "the end marker is missing: it is cut off, or a header is damaged")
    reader.left = sys.maxsize
    while chunk := reader.read(CHUNK):
        if chunk.strip(b"\0"):
            raise ArchiveError("ARCHIVE_INVALID", "other data follows the end marker")


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
            raise ArchiveError("ARCHIVE_INVALID", f"the header of an entry has more than {_MAX_HEADER_BYTES} bytes")
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
            raise ArchiveError("ARCHIVE_INVALID", explain_archive_error(error)) from None


def describe_entry_kind(member: TarInfo) -> str:
    """Return the kind of an entry that is no directory, regular file or hard link, as text."""
    if member.issym():
        return "a symbolic link"
    if member.isfifo():
        return "a FIFO"
    return "a device" if member.isdev() else "an entry of an unknown type"


def parse_entry_path(name: str) -> str | None:
    """Return the path of an entry below the root of the archive, "" for the root; None if it is unsafe."""
    parts = name.split("/")
    # `tar -C FOLDER -cf X.tar .` writes `./run.json`.
    if parts[0] == ".":
        del parts[0]
    is_unsafe = any(part in ("", ".", "..") or "\0" in part for part in parts)
    return None if is_unsafe or len(parts) > MAX_PARTS else "/".join(parts)
