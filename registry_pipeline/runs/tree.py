"""Reads a run folder from the disk once, by descriptors, and compares each file with what was sealed.

Nothing is opened by its path: every name is resolved in an open directory, links are not followed, and what is no
regular file is not opened. A file whose size is wrong is not read, so that a sparse terabyte costs one system call;
the only exception is a size that a conversion of line ends could explain.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from operator import attrgetter
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.check_manifest import ManifestResult
from registry_pipeline.runs.manifest import ManifestEntry

MAX_DEPTH: Final = 64
MAX_DOCUMENT_BYTES: Final = 64 * 2**20
MOST_HOLE_BYTES: Final = 2**30
"""So much of a folder may be holes; hashing that many zeros takes about a second."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# Larger buffers are slower: each is a new mapping of zeroed pages (measured: 256 KiB costs 2.3 times as much).
_CHUNK: Final = 32 * 2**10
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


def open_directory(name: str, parent: int | None = None) -> int:
    """Return a descriptor of a real directory, resolved in `parent` where it is given.

    Raises:
        OSError: it is not there, not a directory, a link, or may not be read.
    """
    return os.open(name, _DIRECTORY, dir_fd=parent)


def kind_of(name: str, parent: int | None = None) -> str:
    """Return in words what stands under a name, without following a link; a name that none can have is nothing."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except (OSError, ValueError):
        return "nothing"
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "an unknown kind")


def read_names(folder: int) -> list[os.DirEntry[str]]:
    """Return the entries of an open directory, by name: a file system gives them in an order of its own."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=attrgetter("name"))


class Tree:
    """One walk over one folder: findings go to `told`, the bytes of `keep` to `kept`, visited paths to `seen`.

    Until `expect` names a manifest nothing is known to be sealed, and nothing counts as unlisted. What lies under
    `unvisited` could not be looked at, so that it cannot be called missing.
    """

    __slots__ = ("_entries", "_hashes", "_holes_left", "_keep", "_listed", "_told", "kept", "seen", "unvisited")

    def __init__(self, told: FindingCollector, keep: Collection[str]) -> None:
        self._told = told
        self._keep = keep
        self._listed: Collection[str] | None = None
        self._entries: Mapping[str, ManifestEntry] = {}
        self._hashes: Mapping[str, str] | None = None
        self._holes_left = MOST_HOLE_BYTES
        self.kept: dict[str, bytes] = {}
        self.seen: set[str] = set()
        self.unvisited: list[str] = []

    def expect(self, manifest: ManifestResult | None) -> None:
        """Compare from now on with the entries of a manifest."""
        if manifest is not None:
            self._listed, self._entries = manifest.listed, manifest.entries

    def expect_hashes(self, hashes: Mapping[str, str]) -> None:
        """Compare from now on with a list of hashes by relpath, which knows no sizes."""
        self._listed = self._hashes = hashes

    def read_document(self, folder: int, name: str, family: str) -> bytes | None:
        """Return the bytes of a top-level seal file; None where it is no regular file, too large or unreadable."""

        def read(file: int, status: os.stat_result, name: str) -> bytes | None:
            if status.st_size > MAX_DOCUMENT_BYTES:
                self._told.tell(f"{family}_TOO_LARGE", name, got=status.st_size)
                return None
            return _read(file, status.st_size)

        try:
            return self._visit_file(folder, name, name, read)
        except OSError as error:
            self._told.tell("UNREADABLE", name, detail=error.strerror)
            return None

    def walk(self, folder: int, entries: list[os.DirEntry[str]], prefix: str = "", depth: int = 0) -> None:
        """Visit everything under an open directory whose entries were read."""
        for entry in entries:
            name = entry.name
            relpath = prefix + name
            try:
                if entry.is_dir(follow_symlinks=False):
                    self._walk_directory(folder, name, relpath, depth + 1)
                    continue
                self.seen.add(relpath)
                if not entry.is_file(follow_symlinks=False):
                    self._told.tell("NOT_REGULAR", relpath, detail=kind_of(name, folder))
                elif (depth or name not in SEAL_FILES) and self._is_wanted(relpath):
                    self._visit_file(folder, name, relpath, self._compare if self._hashes is None else self._match)
            except OSError as error:
                self._told.tell("UNREADABLE", relpath, detail=error.strerror)

    def _walk_directory(self, parent: int, name: str, relpath: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._told.tell("TREE_TOO_DEEP", relpath)
            self.unvisited.append(f"{relpath}/")
            return
        self.unvisited.append(f"{relpath}/")
        folder = open_directory(name, parent)
        try:
            entries = read_names(folder)
            self.unvisited.pop()
            if not entries:
                self._told.tell("UNLISTED_DIR", relpath)
            self.walk(folder, entries, f"{relpath}/", depth)
        finally:
            os.close(folder)

    def _is_wanted(self, relpath: str) -> bool:
        if self._listed is None or relpath in self._listed:
            return True
        self._told.tell("UNLISTED_FILE", relpath)
        return relpath == "run.json" and self._hashes is None

    def _visit_file(
        self, folder: int, name: str, relpath: str, read: Callable[[int, os.stat_result, str], bytes | None]
    ) -> bytes | None:
        """Open a file, let `read` have its descriptor and status, and tell whether it changed meanwhile."""
        file = os.open(name, _FILE, dir_fd=folder)
        try:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode):
                self._told.tell("NOT_REGULAR", relpath, detail="it was replaced while the folder was read")
                return None
            if before.st_nlink > 1:
                self._told.tell("WARN_HARDLINK", relpath, expected=1, got=before.st_nlink)
            data = read(file, before, relpath)
            after = os.fstat(file)
            # The change time moves with every write, truncation, link, unlink and rename over the name.
            if (
                before.st_ctime_ns != after.st_ctime_ns
                or before.st_mtime_ns != after.st_mtime_ns
                or before.st_size != after.st_size
            ):
                self._told.tell("FILE_CHANGED_WHILE_READING", relpath)
            return data
        finally:
            os.close(file)

    def _compare(self, file: int, status: os.stat_result, relpath: str) -> None:
        entry = self._entries.get(relpath)
        size, is_run_json = status.st_size, relpath == "run.json"
        is_whole = entry is not None and size == entry.bytes
        data = None
        if is_run_json and size > MAX_DOCUMENT_BYTES:
            self._told.tell("RUN_JSON_TOO_LARGE", relpath, got=size)
            if is_whole:
                return
        elif is_run_json:
            data = self.kept[relpath] = _read(file, size)
        if entry is None:
            return
        if not is_whole:
            self._told.tell("SIZE_MISMATCH", relpath, expected=entry.bytes, got=size)
            # A line end grows or shrinks by one byte: outside these bounds no conversion explains the size.
            if size > min(2 * entry.bytes, MAX_DOCUMENT_BYTES) or entry.bytes > 2 * size:
                return
        if self._is_hollow(file, status, relpath):
            return
        if data is None and is_whole and relpath in self._keep:
            data = self.kept[relpath] = _read(file, size)
        if not is_whole:
            check_line_ends(_read(file, size) if data is None else data, entry.sha256, relpath, self._told)
            return
        digest = _digest(file, size) if data is None else sha256_hex(data)
        if digest != entry.sha256:
            self._told.tell("HASH_MISMATCH", relpath, expected=entry.sha256, got=digest)

    def _match(self, file: int, status: os.stat_result, relpath: str) -> None:
        """Compare a file with the list of hashes; of any size, for the list knows none."""
        size, listed = status.st_size, (self._hashes or {})[relpath]
        if self._is_hollow(file, status, relpath):
            return
        digest = _digest(file, size)
        if digest == listed:
            return
        self._told.tell("HASH_MISMATCH", relpath, expected=listed, got=digest)
        if size <= MAX_DOCUMENT_BYTES:
            os.lseek(file, 0, os.SEEK_SET)
            check_line_ends(_read(file, size), listed, relpath, self._told)

    def _is_hollow(self, file: int, status: os.stat_result, relpath: str) -> bool:
        """Tell whether with this file the folder has more holes than may be hashed (decision 4)."""
        size, stored = status.st_size, status.st_blocks * 512
        if stored >= size:
            return False
        holes = _holes(file, size, self._holes_left)
        if holes <= self._holes_left:
            self._holes_left -= holes
            return False
        self._told.tell("FILE_SPARSE", relpath, detail=f"{stored} of {size} bytes")
        return True


def _holes(file: int, size: int, most: int) -> int:
    """Return how many bytes of a file no disk holds, counted until they are more than `most`.

    A file system that compresses, or that knows no holes, shows data from end to end.
    """
    holes = at = 0
    try:
        while at < size and holes <= most:
            data = os.lseek(file, at, os.SEEK_DATA)
            holes += data - at
            at = os.lseek(file, data, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            holes += size - at
    os.lseek(file, 0, os.SEEK_SET)
    return holes


def check_line_ends(data: bytes, sealed_sha256: str, relpath: str, told: FindingCollector) -> None:
    """Tell whether a conversion of line ends, which a checkout may have done, explains a mismatch."""
    as_lf = data.replace(b"\r\n", b"\n")
    for converted, detail in ((as_lf, "LF"), (as_lf.replace(b"\n", b"\r\n"), "CRLF")):
        if converted != data and sha256_hex(converted) == sealed_sha256:
            told.tell("SEAL_BROKEN_EOL", relpath, detail=detail)


def _read(file: int, size: int) -> bytes:
    """Return at most `size` bytes, however many the file has grown to meanwhile."""
    data = os.read(file, size) if size <= _CHUNK else b""
    return data if len(data) == size else data + b"".join(_chunks(file, size - len(data)))


def _digest(file: int, size: int) -> str:
    if size <= _CHUNK:
        return sha256_hex(_read(file, size))
    running = hashlib.sha256()
    for chunk in _chunks(file, size):
        running.update(chunk)
    return running.hexdigest()


def _chunks(file: int, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := os.read(file, min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk
