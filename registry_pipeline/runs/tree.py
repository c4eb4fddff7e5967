"""Read a run folder once, by descriptors, and compare each file with what was sealed.

Every name is resolved in an open directory, links are not followed, and only regular files are opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.check_manifest import ManifestResult
from registry_pipeline.runs.large_files import FILE_FLAGS, FileState, hash_large_files, state_of
from registry_pipeline.runs.manifest import ManifestEntry

MAX_DEPTH: Final = 64
MAX_DOCUMENT_BYTES: Final = 64 * 2**20
# The most bytes of holes that are hashed in one folder; hashing so many zeros takes about a second.
MAX_HOLE_BYTES: Final = 2**30
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
# Larger buffers are slower: each is a new mapping of zeroed pages (measured: 256 KiB costs 2.3 times as much).
CHUNK: Final = 32 * 2**10
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a regular file",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


def open_directory(name: str, parent: int | None = None) -> int:
    """Return a descriptor of a directory that is no link, resolved in `parent` if given."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


def describe_kind(name: str, parent: int | None = None) -> str:
    """Return the kind of file under a name as text, without following a link; "nothing" if there is none."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except (OSError, ValueError):
        return "nothing"
    return _KINDS.get(stat.S_IFMT(mode), "an unknown kind")


def _list_entries(folder: int) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=attrgetter("name"))


class Tree:
    """One pass over the files of an open folder, with findings for all that differs from what was sealed.

    Attributes:
        top: the entries directly in the folder, by name.
        kept: the bytes of run.json and of the files named in `keep`, exactly those that were hashed.
    """

    def __init__(self, folder: int, collector: FindingCollector, keep: Collection[str] = ()) -> None:
        self.top = {entry.name: entry for entry in _list_entries(folder)}
        self.kept: dict[str, bytes] = {}
        self._folder = folder
        self._collector = collector
        self._keep = keep
        self._listed: Collection[str] | None = None
        self._entries: Mapping[str, ManifestEntry] = {}
        self._hashes: Mapping[str, str] | None = None
        self._large_hashes: Mapping[tuple[str, FileState], str] = {}
        self._read_file: Callable[[int, os.stat_result, str], None] = self._compare_with_entry
        self._read_entries: list[ManifestEntry] = []
        self._statuses: dict[str, FileState] = {}
        self._holes_left = MAX_HOLE_BYTES
        self._seen: set[str] = set()
        self._unvisited: list[str] = []

    def read_document(self, name: str, code_prefix: str) -> bytes | None:
        """Return the bytes of a top-level file; None, with a finding, if it is missing, too large or unreadable."""
        if name not in self.top:
            self._collector.add(f"{code_prefix}_MISSING", name)
            return None
        if not self.top[name].is_file(follow_symlinks=False):
            got = describe_kind(name, self._folder)
            self._collector.add(f"{code_prefix}_NOT_REGULAR", name, expected="a regular file", got=got)
            return None

        def read(file: int, status: os.stat_result, name: str) -> bytes | None:
            if status.st_size > MAX_DOCUMENT_BYTES:
                self._collector.add(f"{code_prefix}_TOO_LARGE", name, got=status.st_size)
                return None
            return _read_at_most(file, status.st_size)

        try:
            return self._visit_file(self._folder, name, name, read)
        except OSError as error:
            self._collector.add("UNREADABLE", name, detail=error.strerror)
            return None

    def compare(self, manifest: ManifestResult | None) -> None:
        """Read every file and compare it with a manifest; without one no file counts as unlisted."""
        if manifest is not None:
            self._listed, self._entries = manifest.listed_paths, manifest.by_path
            self._large_hashes = self._hash_large_files()
        self._walk(self._folder, self.top.values())
        self._report_missing_files()

    def _hash_large_files(self) -> Mapping[tuple[str, FileState], str]:
        """Return the hashes of large files by name and state, for the files whose bytes are not kept."""
        names = self._entries.keys() & self.top.keys() - {"run.json", *self._keep}
        sizes = {name: self._entries[name].bytes for name in names if self.top[name].is_file(follow_symlinks=False)}
        return hash_large_files(self._folder, sizes)

    def compare_hashes(self, hashes: Mapping[str, str]) -> None:
        """Read every file and compare it with a list of hashes by relpath, which states no sizes."""
        self._listed = self._hashes = hashes
        self._read_file = self._compare_with_hash
        self._walk(self._folder, self.top.values())
        self._report_missing_files()

    def read_entries(self) -> tuple[list[ManifestEntry], dict[str, FileState]]:
        """Read every file, and return its manifest entry and its status before it was read; nothing is compared."""
        self._read_file = self._make_entry
        self._walk(self._folder, self.top.values())
        return self._read_entries, self._statuses

    def _walk(self, folder: int, entries: Iterable[os.DirEntry[str]], prefix: str = "", depth: int = 0) -> None:
        """Compare every file below a folder, and report what is neither a regular file nor a directory."""
        for entry in entries:
            name = entry.name
            relpath = prefix + name
            try:
                if entry.is_dir(follow_symlinks=False):
                    self._walk_directory(folder, name, relpath, depth + 1)
                    continue
                self._seen.add(relpath)
                if not entry.is_file(follow_symlinks=False):
                    self._collector.add("NOT_REGULAR", relpath, detail=describe_kind(name, folder))
                elif (depth or name not in SEAL_FILES) and self._must_read(relpath):
                    self._visit_file(folder, name, relpath, self._read_file)
            except OSError as error:
                self._collector.add("UNREADABLE", relpath, detail=error.strerror)

    def _report_missing_files(self) -> None:
        # A folder that could not be listed is reported itself; its files may well exist.
        unvisited = tuple(self._unvisited)
        for relpath in self._listed or ():
            if relpath not in self._seen and not relpath.startswith(unvisited):
                self._collector.add("FILE_MISSING", relpath)

    def _walk_directory(self, parent: int, name: str, relpath: str, depth: int) -> None:
        """Walk a subdirectory; one that is empty, or deeper than MAX_DEPTH and so not walked, is reported."""
        self._unvisited.append(f"{relpath}/")
        if depth > MAX_DEPTH:
            self._collector.add("TREE_TOO_DEEP", relpath)
            return
        folder = open_directory(name, parent)
        try:
            entries = _list_entries(folder)
            self._unvisited.pop()
            if not entries:
                self._collector.add("UNLISTED_DIR", relpath)
            self._walk(folder, entries, f"{relpath}/", depth)
        finally:
            os.close(folder)

    def _must_read(self, relpath: str) -> bool:
        """Return whether a file is read: if it is listed, or run.json beside a manifest. Report an unlisted file."""
        if self._listed is None or relpath in self._listed:
            return True
        self._collector.add("UNLISTED_FILE", relpath)
        return relpath == "run.json" and self._hashes is None

    def _visit_file(
        self, folder: int, name: str, relpath: str, read: Callable[[int, os.stat_result, str], bytes | None]
    ) -> bytes | None:
        """Open a file, call `read` with its descriptor and status, and report if the file changed meanwhile."""
        file = os.open(name, FILE_FLAGS, dir_fd=folder)
        try:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode):
                self._collector.add("NOT_REGULAR", relpath, detail="it was replaced while the folder was read")
                return None
            if before.st_nlink > 1:
                self._collector.add("WARN_HARDLINK", relpath, expected=1, got=before.st_nlink)
            data = read(file, before, relpath)
            after = os.fstat(file)
            # The change time moves with every write, truncation, link, unlink and rename over the name.
            if (
                before.st_ctime_ns != after.st_ctime_ns
                or before.st_mtime_ns != after.st_mtime_ns
                or before.st_size != after.st_size
            ):
                self._collector.add("FILE_CHANGED_WHILE_READING", relpath)
            return data
        finally:
            os.close(file)

    def _compare_with_entry(self, file: int, status: os.stat_result, relpath: str) -> None:
        """Report a size or hash that differs from the manifest entry; keep the bytes that were requested."""
        entry = self._entries.get(relpath)
        size = status.st_size
        has_size = entry is not None and size == entry.bytes
        data = None
        # (1) run.json is read even if it is unlisted or has another size: its content is checked anyway.
        if relpath == "run.json" and size > MAX_DOCUMENT_BYTES:
            self._collector.add("RUN_JSON_TOO_LARGE", relpath, got=size)
            if has_size:
                return
        elif relpath == "run.json":
            data = self.kept[relpath] = _read_at_most(file, size)
        if entry is None:
            return
        # (2) Size before hash: a sparse file of a terabyte then costs one system call.
        if not has_size:
            self._collector.add("SIZE_MISMATCH", relpath, expected=entry.bytes, got=size)
            # A line end grows or shrinks by one byte: outside these bounds no conversion explains the size.
            if size > min(2 * entry.bytes, MAX_DOCUMENT_BYTES) or entry.bytes > 2 * size:
                return
        if self._has_too_many_holes(file, status, relpath):
            return
        if not has_size:
            check_line_ends(_read_at_most(file, size) if data is None else data, entry.sha256, relpath, self._collector)
            return
        # (3) the hash
        if data is None and relpath in self._keep:
            data = self.kept[relpath] = _read_at_most(file, size)
        if data is None:
            digest = self._large_hashes.get((relpath, state_of(status))) or _hash_open_file(file, size)
        else:
            digest = sha256_hex(data)
        if digest != entry.sha256:
            self._collector.add("HASH_MISMATCH", relpath, expected=entry.sha256, got=digest)

    def _compare_with_hash(self, file: int, status: os.stat_result, relpath: str) -> None:
        size, expected = status.st_size, (self._hashes or {})[relpath]
        if self._has_too_many_holes(file, status, relpath):
            return
        digest = _hash_open_file(file, size)
        if digest == expected:
            return
        self._collector.add("HASH_MISMATCH", relpath, expected=expected, got=digest)
        if size <= MAX_DOCUMENT_BYTES:
            os.lseek(file, 0, os.SEEK_SET)
            check_line_ends(_read_at_most(file, size), expected, relpath, self._collector)

    def _make_entry(self, file: int, status: os.stat_result, relpath: str) -> None:
        """Add the entry and the status of a file; keep the bytes of run.json."""
        self._statuses[relpath] = state_of(status)
        if relpath == "run.json" and status.st_size > MAX_DOCUMENT_BYTES:
            self._collector.add("RUN_JSON_TOO_LARGE", relpath, got=status.st_size)
        elif relpath == "run.json":
            self.kept[relpath] = _read_at_most(file, status.st_size)
            os.lseek(file, 0, os.SEEK_SET)
        if not self._has_too_many_holes(file, status, relpath):
            self._read_entries.append(ManifestEntry(relpath, status.st_size, _hash_open_file(file, status.st_size)))

    def _has_too_many_holes(self, file: int, status: os.stat_result, relpath: str) -> bool:
        """Return whether the holes up to and including this file exceed the limit of the folder; report it."""
        size, stored = status.st_size, status.st_blocks * 512
        if stored >= size:
            return False
        holes = _count_hole_bytes(file, size, self._holes_left)
        if holes <= self._holes_left:
            self._holes_left -= holes
            return False
        self._collector.add("FILE_SPARSE", relpath, detail=f"{stored} of {size} bytes")
        return True


def _count_hole_bytes(file: int, size: int, limit: int) -> int:
    """Return the number of bytes in holes, and rewind the file; counting stops above `limit`."""
    # A file system that compresses, or that has no holes, reports data from end to end.
    holes = position = 0
    try:
        while position < size and holes <= limit:
            data = os.lseek(file, position, os.SEEK_DATA)
            holes += data - position
            position = os.lseek(file, data, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            holes += size - position
    os.lseek(file, 0, os.SEEK_SET)
    return holes


def check_line_ends(data: bytes, sealed_sha256: str, relpath: str, collector: FindingCollector) -> None:
    """Report if a conversion of line ends, as a git checkout does it, explains a different hash."""
    as_lf = data.replace(b"\r\n", b"\n")
    for converted, detail in ((as_lf, "LF"), (as_lf.replace(b"\n", b"\r\n"), "CRLF")):
        if converted != data and sha256_hex(converted) == sealed_sha256:
            collector.add("SEAL_BROKEN_EOL", relpath, detail=detail)


def _read_at_most(file: int, size: int) -> bytes:
    """Return at most `size` bytes, even if the file has grown."""
    # One read: joining pieces would need twice the memory for the lines of a hundred thousand runs.
    data = os.read(file, size)
    return data if len(data) == size else data + b"".join(_read_chunks(file, size - len(data)))


def _hash_open_file(file: int, size: int) -> str:
    if size <= CHUNK:
        return sha256_hex(_read_at_most(file, size))
    digest = hashlib.sha256()
    for chunk in _read_chunks(file, size):
        digest.update(chunk)
    return digest.hexdigest()


def _read_chunks(file: int, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := os.read(file, min(size, CHUNK))):
        size -= len(chunk)
        yield chunk
