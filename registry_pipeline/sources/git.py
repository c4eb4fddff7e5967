"""What git knows of the governed repository as it is now: state, tracked files, attributes (SPEC 1, 4.3).

How git is asked is the business of `git_process`; what was committed on a past day that of `history`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

from registry_pipeline.canon import sha256_hex
from registry_pipeline.errors import NotFoundError
from registry_pipeline.model.envelope import GitState
from registry_pipeline.sources.git_process import ask_git

_LINK: Final = b"120000"
_SUBMODULE: Final = b"160000"


@dataclass(frozen=True, slots=True)
class TrackedFiles:
    """The tracked files that are there, as (path bytes, sha256), and whether some are not."""

    digests: tuple[tuple[bytes, str], ...]
    some_missing: bool

    def lines(self) -> tuple[bytes, ...]:
        """Return a line for each file, as the hash of the tree is made from them."""
        return tuple(tracked_line(path, digest) for path, digest in self.digests)


def tracked_line(path: bytes, digest: str) -> bytes:
    """Return the line of a tracked file: its sha256 and its path (SPEC 4.3, canon_tree_hash)."""
    return digest.encode("ascii") + b" " + path


def read_git_state(governed_root: Path, ignored: Sequence[str]) -> GitState:
    """Return the commit at HEAD and whether the tree is clean; both None outside git (SPEC 1, working_tree_state).

    `ignored` are paths, relative to the governed root, in which a change does not count: run roots, publish_root, the
    pointer file with its lock and intent, and the state beside publish_root. Untracked files count; files that git
    ignores do not. In a repository without commits the commit is None and the state is known.

    Raises:
        NotFoundError: there is a git repository, and git cannot read it.
    """
    without = [f":(exclude,literal){path}" for path in ignored]
    # Porcelain v2 tells the commit in the same call; every line that is not a `#` header is a change.
    asked = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames", "--", ".", *without)
    answer = ask_git(governed_root, *asked)
    if answer is None:
        return GitState(None, None)
    lines = answer.split(b"\0")
    oid = next((line.split(b" ", 2)[2] for line in lines if line.startswith(b"# branch.oid ")), b"(initial)")
    dirty = any(line and not line.startswith(b"# ") for line in lines)
    return GitState(None if oid == b"(initial)" else oid.decode("ascii"), "dirty" if dirty else "clean")


def read_tracked_digests(root: Path) -> TrackedFiles | None:
    """Return the hash of every file of the index, as it lies in the working tree; None outside git (SPEC 4.3).

    A link counts with its text, a submodule not at all. Paths are the raw bytes of git, relative to `root`. A file
    that lies behind a linked folder is missing, as it is for git.

    Raises:
        NotFoundError: git or one of the files cannot be read.
    """
    answer = ask_git(root, "ls-files", "--stage", "-z", "--", ".")
    if answer is None:
        return None
    paths = sorted({path for mode, path in _stages(answer) if mode != _SUBMODULE})
    base = os.fsencode(root)
    digests: list[tuple[bytes, str]] = []
    real_folders: dict[bytes, bool] = {b"": True}
    for path in paths:
        if _is_real(base, os.path.dirname(path), real_folders):  # noqa: PTH120 - raw bytes, which pathlib refuses
            digest = _digest(base + b"/" + path)
            if digest is not None:
                digests.append((path, digest))
    return TrackedFiles(tuple(digests), len(digests) != len(paths))


def read_commit_id(root: Path, revision: str) -> str | None:
    """Return the id of the commit that a revision names; None outside git.

    Raises:
        NotFoundError: there is a git repository, and it has no such commit, or git cannot read it.
    """
    answer = ask_git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", none_found=1
    )
    if answer == b"":
        shallow = ask_git(root, "rev-parse", "--is-shallow-repository") == b"true\n"
        advice = "the clone is shallow: `git fetch --unshallow` fetches the rest" if shallow else "`git fetch` it first"
        raise NotFoundError(f"git knows no commit {revision!r} here", advice)
    return None if answer is None else answer.decode("ascii").strip()


def read_committed_files(root: Path, commit: str, folders: Sequence[str]) -> dict[bytes, str]:
    """Return path to object id of every file that a commit has under folders; paths are relative to `root`.

    Raises:
        NotFoundError: git cannot read the commit.
    """
    answer = ask_git(root, "ls-tree", "-r", "-z", commit, "--", *(f"{folder}/" for folder in folders)) or b""
    heads = (entry.partition(b"\t") for entry in answer.split(b"\0") if entry)
    return {path: head.split(b" ")[2].decode("ascii") for head, _, path in heads}


def read_committed_file(root: Path, commit: str, path: str) -> bytes | None:
    """Return the bytes of a file as a commit has it, None where it has none; `path` is relative to `root`.

    Raises:
        NotFoundError: git cannot read the commit or the object.
    """
    answer = ask_git(root, "ls-tree", "-z", "--full-name", commit, "--", path) or b""
    words = answer.split(b"\t", 1)[0].split(b" ")
    if len(words) != 3 or words[1] != b"blob":
        return None
    return next(read_blobs(root, [words[2].decode("ascii")]))


def read_parent_id(root: Path, commit: str) -> str | None:
    """Return the id of a commit's first parent; None where it has none, or the clone was cut off there."""
    try:
        return read_commit_id(root, f"{commit}^1")
    except NotFoundError:
        return None


def read_blobs(root: Path, object_ids: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of each object, in their order, all through one process of git.

    Raises:
        NotFoundError: an object is not there, as in a clone that leaves objects out.
    """
    answer = ask_git(root, "cat-file", "--batch", given="".join(f"{each}\n" for each in object_ids).encode()) or b""
    place = 0
    for object_id in object_ids:
        end = answer.index(b"\n", place)
        words, place = answer[place:end].split(b" "), end + 1
        if len(words) != 3:
            advice = "the clone leaves objects out: `git fetch --refetch --no-filter` fetches them"
            raise NotFoundError(f"git has the name of object {object_id} and not its bytes", advice)
        yield answer[place : place + int(words[2])]
        place += int(words[2]) + 1


def read_identity(root: Path) -> str | None:
    """Return who git says is working here, as `name <email>`; None where it knows no name, or is not there."""
    try:
        answer = ask_git(root, "config", "--null", "--get-regexp", r"^user\.(name|email)$")
    except NotFoundError:  # also how `config` says that nothing is set
        return None
    entries = (entry.partition("\n") for entry in (answer or b"").decode("utf-8", "replace").split("\0"))
    told = {key: value.strip() for key, _, value in entries}
    name, email = told.get("user.name"), told.get("user.email")
    return f"{name} <{email}>" if name and email else name or None


def read_top_level(root: Path) -> Path | None:
    """Return the top of the checkout that holds `root`; None outside git."""
    answer = ask_git(root, "rev-parse", "--show-toplevel")
    return None if answer is None else Path(os.fsdecode(answer.removesuffix(b"\n")))


def is_tracked(root: Path, path: str) -> bool:
    """Tell whether git tracks a file, or any file of a folder, that is named relative to `root`."""
    return bool(ask_git(root, "ls-files", "-z", "--", f":(literal){path}"))


def read_text_attributes(root: Path, paths: Sequence[str]) -> dict[str, str] | None:
    """Return git's attribute `text` of paths that need not exist: `unset` keeps line ends; None outside git.

    Raises:
        NotFoundError: there is a git repository, and git cannot read it.
    """
    answer = ask_git(root, "check-attr", "-z", "text", "--", *paths)
    if answer is None:
        return None
    words = answer.decode("utf-8", "surrogateescape").split("\0")
    return dict(zip(words[0::3], words[2::3], strict=False))


def read_ignored(root: Path, paths: Sequence[str]) -> frozenset[str] | None:
    """Return those of the paths, which need not exist, that git's rules ignore; None outside git.

    Raises:
        NotFoundError: there is a git repository, and git cannot read it.
    """
    asked = ("-c", "core.quotePath=false", "check-ignore", "--no-index", "--", *paths)
    answer = ask_git(root, *asked, none_found=1)
    return None if answer is None else frozenset(answer.decode("utf-8", "surrogateescape").splitlines())


def _stages(answer: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (mode, path) of every index entry; a path in conflict comes once a stage."""
    for entry in answer.split(b"\0"):
        head, tab, path = entry.partition(b"\t")
        if tab:
            yield head.split(b" ", 1)[0], path


def _is_real(base: bytes, folder: bytes, known: dict[bytes, bool]) -> bool:
    """Tell whether no part of a folder's path is a link; `known` remembers."""
    if folder not in known:
        parent_is_real = _is_real(base, os.path.dirname(folder), known)  # noqa: PTH120 - raw bytes
        known[folder] = parent_is_real and not os.path.islink(base + b"/" + folder)  # noqa: PTH114 - raw bytes
    return known[folder]


def _digest(path: bytes) -> str | None:
    """Return the sha256 of a file's bytes or of a link's text; None if neither is there."""
    try:
        if os.path.islink(path):  # noqa: PTH114 - raw bytes
            return sha256_hex(os.readlink(path))  # noqa: PTH115 - raw bytes
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not S_ISREG(os.fstat(descriptor).st_mode):
                return None
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        shown = path.decode("utf-8", "backslashreplace")
        raise NotFoundError(f"the tracked file {shown} cannot be read: {error.strerror}", "check permissions") from None
