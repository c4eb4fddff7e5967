"""The files of a repository, from the working tree or from a commit, behind one interface."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final, Protocol, Self

from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.read import MAX_BYTES, read_regular_file
from registry_pipeline.git.blob_digests import BlobDigests
from registry_pipeline.git.process import ObjectPipe, ask_git
from registry_pipeline.git.repository import make_tracked_line
from registry_pipeline.values import value_type


class Tree(Protocol):
    """The files of a repository, named by their paths relative to its root."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file.

        Raises:
            OSError: it is missing, unreadable, not a regular file, or too large.
        """

    def is_file(self, path: str) -> bool:
        """Return whether there is a regular file, links followed."""

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder, links followed."""

    def files_under(self, folder: str) -> list[str]:
        """Return the sorted paths of the files at any depth below a folder that have a printable name.

        Another name could not be written into run.json as an input.
        """


@value_type
class WorkingTree:
    """The files on the disk."""

    root: Path

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file, links followed."""
        return read_regular_file(self.root / path)

    def is_file(self, path: str) -> bool:
        """Return whether there is a regular file, links followed."""
        return (self.root / path).is_file()

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder, links followed."""
        return (self.root / path).is_dir()

    def files_under(self, folder: str) -> list[str]:
        """Return the paths of the files at any depth below a folder, sorted; links to folders are not followed."""
        files = [Path(parent, name) for parent, _, names in os.walk(self.root / folder) for name in names]
        paths = [file.relative_to(self.root).as_posix() for file in files if file.is_file()]
        return sorted(path for path in paths if path.isprintable())


_FOLDER: Final = 0o40000
_MAX_LINKS: Final = 40
_NOTHING: Final = (0, "")
# Documents change seldom: small ones are kept from one commit to the next.
_MAX_DOCUMENTS: Final = 256
_MAX_KEPT_BYTES: Final = 1 << 16
_MAX_TREES: Final = 1 << 14
# Two hexadecimal digits: blocks of twenty lines in a repository of five thousand files.
_PREFIX: Final = 2
Entries = Mapping[bytes, tuple[int, str]]
"""The entries of one tree object: name to (mode, object id)."""


def parse_tree(data: bytes, id_bytes: int) -> Entries:
    """Return the entries of a raw tree object, whose object ids have so many bytes.

    Raises:
        ValueError: it is not a tree.
    """
    entries: dict[bytes, tuple[int, str]] = {}
    offset = 0
    while offset < len(data):
        space = data.index(b" ", offset)
        end = data.index(b"\0", space)
        mode, name = int(data[offset:space], 8), data[space + 1 : end]
        offset = end + 1 + id_bytes
        if offset > len(data):
            raise ValueError("the tree ends in the middle of an entry")
        entries[name] = mode, data[end + 1 : offset].hex()
    return entries


class CommittedFiles:
    """The trees below the root in any commit, all through one process of git; a context manager.

    From one commit to the next only the trees that differ are walked, and only the blobs that are new are hashed.
    After a NotFoundError it can only be closed.

    Attributes:
        inside: the folders from the top of the checkout to the root.
    """

    def __init__(self, root: Path, digests: BlobDigests) -> None:
        prefix = ask_git(root, "rev-parse", "--show-prefix") or b"\n"
        self.inside = tuple(part for part in prefix.removesuffix(b"\n").split(b"/") if part)
        self._digests = digests
        self._pipe = ObjectPipe(root)
        self._trees: dict[str, Entries] = {}
        self._at: str | None = None
        self._lines: dict[bytes, set[bytes]] = {}
        self._blocks: dict[bytes, bytes] = {}
        self._documents: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *caught: object) -> None:
        """Let git end."""
        self._pipe.__exit__(*caught)

    def root_tree(self, commit: str) -> str | None:
        """Return the id of the tree at the root in a commit, None if the commit has no such folder.

        Raises:
            NotFoundError: the commit or its tree is missing.
        """
        head = (self._pipe.read(commit) or b"").split(b"\n", 1)[0]
        tree = head.removeprefix(b"tree ").decode("ascii", "replace")
        for name in self.inside:
            mode, object_id = self.read_tree(tree).get(name, (0, ""))
            if not S_ISDIR(mode):
                return None
            tree = object_id
        return tree

    def read(self, blob_id: str) -> bytes | None:
        """Return the bytes of a blob, None if it is larger than MAX_BYTES; NotFoundError if git lacks it."""
        if blob_id in self._documents:
            return self._documents[blob_id]
        data = self._pipe.read(blob_id, MAX_BYTES)
        if data is not None and len(data) <= _MAX_KEPT_BYTES:
            if len(self._documents) >= _MAX_DOCUMENTS:
                self._documents.clear()
            self._documents[blob_id] = data
        return data

    def list_tracked_lines(self, tree_id: str | None) -> tuple[bytes, ...]:
        """Return the lines of all files below a tree, () for None: links with their text, no submodules.

        Sorted lines with the same first two digits are one item, joined by line feeds; the items are in any order.

        Raises:
            NotFoundError: git has not all of the objects, as in a partial clone.
        """
        if tree_id != self._at:
            removed, added = self._compare_trees(self._at, tree_id)
            new = dict.fromkeys(blob for blob in added.values() if blob not in self._digests)
            for blob, digest in self._pipe.read_digests(list(new)):
                self._digests.add(blob, digest)
            # From here on nothing can fail: an error above leaves tree and lines as they were.
            self._update_lines(removed, added)
            self._at = tree_id
        return tuple(self._blocks.values())

    def _compare_trees(self, old_id: str | None, new_id: str | None) -> tuple[dict[bytes, str], dict[bytes, str]]:
        """Return the ids of the blobs that only the old tree and only the new tree have, by path; None has no files.

        Files and links count, submodules do not. A path whose blob differs is in both.
        """
        removed: dict[bytes, str] = {}
        added: dict[bytes, str] = {}
        # Level by level, so that the trees of a level are read together.
        level: list[tuple[bytes, str | None, str | None]] = [(b"", old_id, new_id)]
        while level:
            self._read_trees(tree for _, *trees in level for tree in trees if tree is not None)
            below: list[tuple[bytes, str | None, str | None]] = []
            for prefix, old, new in level:
                before, after = (self.read_tree(tree) if tree is not None else {} for tree in (old, new))
                for name in before.keys() | after.keys():
                    was, now = before.get(name, _NOTHING), after.get(name, _NOTHING)
                    if was == now:
                        continue
                    path = prefix + name
                    folders = [entry[1] if S_ISDIR(entry[0]) else None for entry in (was, now)]
                    if folders != [None, None]:
                        below.append((path + b"/", folders[0], folders[1]))
                    if _is_blob(was[0]):
                        removed[path] = was[1]
                    if _is_blob(now[0]):
                        added[path] = now[1]
            level = below
        return removed, added

    def _update_lines(self, removed: Mapping[bytes, str], added: Mapping[bytes, str]) -> None:
        """Bring the lines up to date after these blobs were removed and added, by path; `_digests` has every blob."""
        # Few files change from one commit to the next: only their blocks are sorted and joined again.
        changed: set[bytes] = set()
        for path, blob in removed.items():
            line = make_tracked_line(path, self._digests[blob])
            changed.add(line[:_PREFIX])
            self._lines[line[:_PREFIX]].remove(line)
        for path, blob in added.items():
            line = make_tracked_line(path, self._digests[blob])
            changed.add(line[:_PREFIX])
            self._lines.setdefault(line[:_PREFIX], set()).add(line)
        for prefix in changed:
            if self._lines[prefix]:
                self._blocks[prefix] = b"\n".join(sorted(self._lines[prefix]))
            else:
                self._blocks.pop(prefix, None)

    def read_tree(self, tree_id: str) -> Entries:
        """Return the entries of a tree.

        Raises:
            NotFoundError: it is missing, or is no tree.
        """
        if tree_id not in self._trees:
            self._read_trees([tree_id])
        return self._trees[tree_id]

    def _read_trees(self, tree_ids: Iterable[str]) -> None:
        """Read the trees that are not in the cache, together."""
        if len(self._trees) > _MAX_TREES:
            self._trees.clear()
        missing_ids = dict.fromkeys(tree_id for tree_id in tree_ids if tree_id not in self._trees)
        for tree_id, data in self._pipe.read_each(list(missing_ids)):
            try:
                self._trees[tree_id] = parse_tree(data, len(tree_id) // 2)
            except ValueError:
                raise NotFoundError(f"git's object {tree_id} is not a tree", "see what `git fsck` says") from None


def _is_blob(mode: int) -> bool:
    return S_ISREG(mode) or S_ISLNK(mode)


@value_type
class CommitTree:
    """The files of one commit."""

    files: CommittedFiles
    root_tree: str | None

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file, links followed."""
        entry = self.find_entry(os.fsencode(path))
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "the commit of that day has no such file")
        mode, object_id = entry
        if not S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = self.files.read(object_id)
        if data is None:
            raise OSError(errno.EFBIG, f"larger than {MAX_BYTES >> 20} MiB")
        return data

    def is_file(self, path: str) -> bool:
        """Return whether there is a regular file, links followed."""
        entry = self.find_entry(os.fsencode(path))
        return entry is not None and S_ISREG(entry[0])

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder, links followed."""
        entry = self.find_entry(os.fsencode(path))
        return entry is not None and S_ISDIR(entry[0])

    def files_under(self, folder: str) -> list[str]:
        """Return the paths of the files at any depth below a folder, sorted; links to folders are not followed."""
        entry = self.find_entry(os.fsencode(folder))
        if entry is None or not S_ISDIR(entry[0]):
            return []
        names = (name.decode("utf-8", "surrogateescape") for name in self._list_blobs(os.fsencode(folder), entry[1]))
        return sorted(name for name in names if name.isprintable() and self.is_file(name))

    def _list_blobs(self, folder: bytes, tree_id: str) -> Iterator[bytes]:
        """Yield the paths of the files and links at any depth below the tree of a folder."""
        pending = [(folder.rstrip(b"/"), tree_id)]
        while pending:
            parent, tree = pending.pop()
            for name, (mode, object_id) in self.files.read_tree(tree).items():
                path = parent + b"/" + name
                if S_ISDIR(mode):
                    pending.append((path, object_id))
                elif _is_blob(mode):
                    yield path

    def find_entry(self, path: bytes) -> tuple[int, str] | None:
        """Return (mode, object id) of the file or folder at a path, every link followed; None if there is none."""
        if self.root_tree is None:
            return None
        pending = path.split(b"/")[::-1]
        above: list[tuple[int, str]] = [(_FOLDER, self.root_tree)]
        links = 0
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                above.pop()
            else:
                entry = self.files.read_tree(above[-1][1]).get(name) if S_ISDIR(above[-1][0]) else None
                if entry is not None and S_ISLNK(entry[0]):
                    links += 1
                    text = self.files.read(entry[1]) or b""
                    entry = None
                    if links <= _MAX_LINKS and text and not text.startswith(b"/"):
                        pending += text.split(b"/")[::-1]
                        continue
                if entry is None:
                    return None
                above.append(entry)
            if not above:
                return None  # outside the repository, where a commit has no files
        return above[-1]
