"""List the runs of an archive in one pass, without unpacking it, and recompute the root hash of each from its files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.runs.archive_reader import ArchiveError, describe_entry_kind, parse_entry_path, visit_entries
from registry_pipeline.runs.envelope import ScannedRun
from registry_pipeline.runs.scan import DOCUMENTS, make_scanned_run
from registry_pipeline.runs.tree import CHUNK, MAX_DOCUMENT_BYTES

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

_NEEDED: Final = ("run.json", *SEAL_FILES)
# The documents of all runs together; those of a hundred thousand runs need less.
_MAX_KEPT_BYTES: Final = 2**30


def read_archive_index(path: str) -> tuple[ScannedRun, ...]:
    """Return the runs of an archive by path, as a scan of their folders would; the files of each give its claimed root.

    The folder above a run in the archive is its run root, "" for none.

    Raises:
        ArchiveError: it cannot be read, has an entry that is no file or directory, contains an unsealed folder, or a
            run whose files do not give its claimed root. OSError: a read failed.
    """
    index = _Index()
    visit_entries(path, index.add)
    return tuple(index.list_runs())


class _Index:
    """The files of an archive: size and hash by path, and the bytes of run.json and MANIFEST.sha256."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, str]] = {}
        self._documents: dict[str, bytes] = {}
        self._kept = 0

    def add(self, archive: TarFile, member: TarInfo) -> None:
        """Read an entry; raise ArchiveError if no sealed run can contain it."""
        relpath = parse_entry_path(member.name)
        if relpath is None or member.size < 0:
            raise ArchiveError("ARCHIVE_INVALID", f"path or size of the entry {member.name!r} is unsafe")
        if member.isdir():
            return
        if not member.isreg():
            kind = "a hard link" if member.islnk() else describe_entry_kind(member)
            raise ArchiveError("ARCHIVE_INVALID", f"the entry {member.name!r} is {kind}")
        if relpath in self._files:
            raise ArchiveError("ARCHIVE_INVALID", f"the path {member.name!r} occurs twice")
        source = archive.extractfile(member)
        if source is None:
            raise ArchiveError("ARCHIVE_INVALID", f"{member.name!r} has no content")
        is_kept = relpath.rpartition("/")[2] in DOCUMENTS and member.size <= MAX_DOCUMENT_BYTES
        digest, kept = hashlib.sha256(), []
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            if is_kept:
                kept.append(chunk)
        if is_kept:
            self._documents[relpath] = b"".join(kept)
            self._kept += member.size
            if self._kept > _MAX_KEPT_BYTES:
                raise ArchiveError("ARCHIVE_INVALID", "its run.json and MANIFEST.sha256 files have more than 1 GiB")
        self._files[relpath] = member.size, digest.hexdigest()

    def list_runs(self) -> Iterator[ScannedRun]:
        """Yield the run in each topmost folder with a file, by path; raise ArchiveError as `read_archive_index`."""
        folders = {relpath.rpartition("/")[0] for relpath in self._files}
        by_run: defaultdict[str, list[str]] = defaultdict(list)
        for relpath in sorted(self._files):
            by_run[_find_topmost(relpath, folders)].append(relpath)
        if not by_run:
            raise ArchiveError("ARCHIVE_INVALID", "it contains no run folder")
        for folder, relpaths in sorted(by_run.items()):
            yield self._make_run(folder, relpaths)

    def _make_run(self, folder: str, relpaths: Iterable[str]) -> ScannedRun:
        start = len(folder) + 1 if folder else 0
        files = {relpath[start:]: self._files[relpath] for relpath in relpaths}
        if any(name not in files for name in _NEEDED):
            raise ArchiveError("ARCHIVE_INVALID", f"the folder {folder or '.'} is not sealed")
        paths = {name: f"{folder}/{name}" if folder else name for name in DOCUMENTS}
        if any(path not in self._documents for path in paths.values()):
            raise ArchiveError("ARCHIVE_INVALID", f"a document of {folder or '.'} has more than 64 MiB")
        documents = {name: self._documents[path] for name, path in paths.items()}
        run_root, _, run_id = folder.rpartition("/")
        sizes = tuple((name, size) for name, (size, _) in files.items() if "/" not in name)
        run = make_scanned_run(run_root, run_id, documents, sizes, has_manifest_json=True)
        lines = sorted(f"{digest}  {name}\n" for name, (_, digest) in files.items() if name != SEAL_FILES[1])
        if run.claimed_root is None or run.claimed_root != sha256_hex(
            "".join(lines).encode("utf-8", "surrogateescape")
        ):
            detail = f"the files of {folder or '.'} do not have the root hash that its MANIFEST.sha256 states"
            raise ArchiveError("ARCHIVE_INVALID", detail)
        return run


def _find_topmost(relpath: str, folders: Iterable[str]) -> str:
    """Return the topmost of the folders that contains a file."""
    if "" in folders:
        return ""
    end = relpath.find("/")
    while relpath[:end] not in folders:
        end = relpath.find("/", end + 1)
    return relpath[:end]
