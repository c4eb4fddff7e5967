"""The current state of a git repository: HEAD, tracked files, attributes, committed files.

Every function raises NotFoundError if there is a repository and git cannot read it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import NotFoundError
from registry_pipeline.git.process import OWN_SCOPES, ObjectPipe, ask_git, find_git_repository, read_own_filters
from registry_pipeline.git.values import GitState
from registry_pipeline.values import value_type

_SUBMODULE: Final = b"160000"
# The homes that Dagster makes where a command is started without DAGSTER_HOME, and removes at its end.
TEMPORARY_HOMES: Final = ".tmp_dagster_home_*"


@value_type
class TrackedFiles:
    """The tracked files that exist, as (path bytes, sha256), and whether some are missing."""

    digests: tuple[tuple[bytes, str], ...]
    some_missing: bool

    def lines(self) -> tuple[bytes, ...]:
        """Return the line of each file, from which the hash of the tree is computed."""
        return tuple(make_tracked_line(path, digest) for path, digest in self.digests)


def make_tracked_line(path: bytes, digest: str) -> bytes:
    """Return the line of a tracked file: its sha256 and its path (`canon_tree_hash` in drift_signals)."""
    return digest.encode("ascii") + b" " + path


def read_git_state(
    root: Path, ignored: Sequence[str], *, untracked: bool = True, filters: Sequence[str] | None = None
) -> GitState:
    """Return the commit at HEAD (None before the first) and whether the working tree is clean; both None outside git.

    Args:
        root: the root of the repository.
        ignored: paths, relative to the root, in which a change does not count.
        untracked: whether untracked files count; files that git ignores never do.
        filters: as for `ask_git`.
    """
    without = [f":(exclude,glob)**/{TEMPORARY_HOMES}/**", *(f":(exclude,literal){path}" for path in ignored)]
    # Porcelain v2 has the commit in the same answer; every line that is not a `#` header is a change. Git would run
    # `git status` in each submodule, with the filter drivers of its configuration: they are read below instead.
    switches = (f"--untracked-files={'all' if untracked else 'no'}", "--no-renames", "--ignore-submodules=dirty")
    arguments = ("status", "--porcelain=v2", "--branch", "-z", *switches, "--", ".", *without)
    answer = ask_git(root, *arguments, filters=filters)
    if answer is None:
        return GitState(None, None)
    lines = answer.split(b"\0")
    headers = {key: value for line in lines if line.startswith(b"# ") for key, _, value in [line[2:].partition(b" ")]}
    oid = headers.get(b"branch.oid", b"(initial)")
    if oid == b"(initial)" and headers.get(b"branch.head") == b"(unknown)":
        raise NotFoundError(f"git cannot read {root}: the branch of HEAD is damaged", "see what `git fsck` says")
    dirty = any(line and not line.startswith(b"# ") for line in lines) or _has_dirty_submodule(root, ignored)
    return GitState(None if oid == b"(initial)" else oid.decode("ascii"), "dirty" if dirty else "clean")


def _has_dirty_submodule(root: Path, ignored: Sequence[str]) -> bool:
    """Return whether a submodule inside the root has changes that neither `ignored` nor .gitmodules excludes."""
    top = find_git_repository(root)
    if top is None or not (top / ".gitmodules").is_file():
        return False
    arguments = ("config", "--file", ".gitmodules", "--null", "--get-regexp", r"^submodule\..*\.(path|ignore)$")
    answer = os.fsdecode(ask_git(top, *arguments, none_found=1) or b"")
    values = dict(entry.partition("\n")[::2] for entry in answer.split("\0") if entry)
    excluded_paths = [root / path for path in ignored]
    for key, path in values.items():
        folder, how = top / path, values.get(f"{key.removesuffix('.path')}.ignore", "none")
        # Nobody reviewed the file: only folders inside the root are read.
        inside = os.path.realpath(folder).startswith(f"{os.path.realpath(root)}{os.sep}")
        if not key.endswith(".path") or how in ("all", "dirty") or not inside or not (folder / ".git").exists():
            continue
        if not any(folder.is_relative_to(item) for item in excluded_paths):
            state = read_git_state(folder, (), untracked=how != "untracked")
            if state.working_tree_state == "dirty":
                return True
    return False


def read_missing_files(
    root: Path, pathspecs: Sequence[str], *, filters: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the files that the commit at HEAD has and the working tree has not, relative to `root`.

    A file that only the index lacks is not missing, nor is one that a sparse checkout leaves out. Outside git and
    without a commit none is missing.
    """
    switches = ("--diff-filter=D", "--name-only", "-z", "--relative", "--ignore-submodules=dirty")
    try:
        answer = ask_git(root, "diff-index", *switches, "HEAD", "--", *pathspecs, filters=filters) or b""
    except NotFoundError:
        if find_commit(root, "HEAD") is None:
            return ()  # no commit was made yet
        raise
    base, real_folders = os.fsencode(root), {b"": True}
    # The answer also has the files that only the index lacks.
    missing = (path for path in answer.split(b"\0") if path and not _has_file(base, path, real_folders))
    return tuple(os.fsdecode(path) for path in missing)


def read_work_tree(root: Path, ignored: Sequence[str], pathspecs: Sequence[str]) -> tuple[GitState, tuple[str, ...]]:
    """Return the results of `read_git_state` and `read_missing_files`; the filter drivers are read only once."""
    filters = read_own_filters(root)
    state = read_git_state(root, ignored, filters=filters)
    missing = () if state.commit is None else read_missing_files(root, pathspecs, filters=filters)
    return state, missing


def find_commit(root: Path, revision: str) -> str | None:
    """Return the id of the commit that a revision names; None outside git, and if git knows no such revision."""
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    answer = ask_git(root, *arguments, f"{revision}^{{commit}}", none_found=1)
    if answer != b"":
        return None if answer is None else answer.decode("ascii").strip()
    # Git prints nothing both for an unknown name and for a known name whose commit is missing.
    named = (ask_git(root, *arguments, revision, none_found=1) or b"").decode("ascii").strip()
    if named and named != revision:
        raise NotFoundError(f"git cannot read the commit {named}, which {revision} names", "see what `git fsck` says")
    if revision == "HEAD":
        ask_git(root, "symbolic-ref", "--quiet", "HEAD", none_found=1)  # fails where the ref of HEAD is damaged
    return None


def read_tracked_paths(root: Path) -> list[bytes] | None:
    """Return the sorted paths of the index, links included and submodules not; None outside git."""
    answer = ask_git(root, "ls-files", "--stage", "-z", "--", ".")
    if answer is None:
        return None
    entries = (entry.partition(b"\t") for entry in answer.split(b"\0") if entry)
    # A set: a path in conflict has an entry for each stage.
    return sorted({path for head, _, path in entries if not head.startswith(_SUBMODULE)})


def read_tracked_digests(root: Path) -> TrackedFiles | None:
    """Return the hash of every file of the index, as it is in the working tree; None outside git.

    A link counts with its text, a submodule not at all. A file behind a linked folder is missing, as for git.

    Raises:
        NotFoundError: also if one of the files cannot be read.
    """
    paths = read_tracked_paths(root)
    if paths is None:
        return None
    base = os.fsencode(root)
    digests: list[tuple[bytes, str]] = []
    real_folders: dict[bytes, bool] = {b"": True}
    for path in paths:
        if _is_real_folder(base, os.path.dirname(path), real_folders):  # noqa: PTH120 - raw bytes, which pathlib refuses
            digest = _hash_tracked_file(base + b"/" + path)
            if digest is not None:
                digests.append((path, digest))
    return TrackedFiles(tuple(digests), len(digests) != len(paths))


def read_commit_id(root: Path, revision: str) -> str | None:
    """Return the id of the commit that a revision names; None outside git.

    Raises:
        NotFoundError: there is a git repository, and it has no such commit, or git cannot read it.
    """
    commit = find_commit(root, revision)
    if commit is not None:
        return commit
    shallow = ask_git(root, "rev-parse", "--is-shallow-repository")
    if shallow is None:
        return None
    advice = "the clone is shallow: `git fetch --unshallow` fetches the rest"
    raise NotFoundError(
        f"git knows no commit {revision!r} here", advice if shallow == b"true\n" else "`git fetch` it first"
    )


def read_committed_files(root: Path, commit: str, folders: Sequence[str]) -> dict[bytes, str]:
    """Return the object id of each file, link and submodule of a commit under folders, by path; {} outside git."""
    answer = ask_git(root, "ls-tree", "-r", "-z", commit, "--", *(f"{folder}/" for folder in folders)) or b""
    heads = (entry.partition(b"\t") for entry in answer.split(b"\0") if entry)
    return {path: head.split(b" ")[2].decode("ascii") for head, _, path in heads}


def read_committed_file(root: Path, commit: str, path: str) -> bytes | None:
    """Return the bytes of a file or the text of a link in a commit; None if it has neither there, or outside git."""
    answer = ask_git(root, "ls-tree", "-z", "--full-name", commit, "--", path) or b""
    fields = answer.partition(b"\t")[0].split(b" ")
    if len(fields) != 3 or fields[1] != b"blob":
        return None
    with ObjectPipe(root) as pipe:
        return pipe.read(fields[2].decode("ascii"))


def read_git_user(root: Path) -> str | None:
    """Return git's user as `name <email>` or `name`; None without a name, outside git, or if git cannot be run."""
    try:
        answer = ask_git(root, "config", "--null", "--get-regexp", r"^user\.(name|email)$")
    except NotFoundError:  # also how `config` says that nothing is set
        return None
    entries = (entry.partition("\n") for entry in (answer or b"").decode("utf-8", "replace").split("\0"))
    settings = {key: value.strip() for key, _, value in entries}
    name, email = settings.get("user.name"), settings.get("user.email")
    return f"{name} <{email}>" if name and email else name or None


def read_signing_settings(root: Path) -> dict[str, str]:
    """Return what git is configured to sign with, by key in lower case; {} outside git, or if git cannot be run.

    The program is left out if the repository's own configuration names it: reading a checkout must not start it.
    """
    arguments = ("config", "--show-scope", "--null", "--get-regexp", r"^(gpg\.format|user\.signingkey|gpg\.ssh\..*)$")
    try:
        answer = ask_git(root, *arguments, none_found=1)
    except NotFoundError:
        return {}
    fields = os.fsdecode(answer or b"").split("\0")
    settings = {}
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = entry.partition("\n")
        if key != "gpg.ssh.program" or scope not in OWN_SCOPES:
            settings[key] = value
    return settings


def read_top_level(root: Path) -> Path | None:
    """Return the top of the checkout that contains `root`; None outside git."""
    answer = ask_git(root, "rev-parse", "--show-toplevel")
    return None if answer is None else Path(os.fsdecode(answer.removesuffix(b"\n")))


def is_tracked(root: Path, path: str) -> bool:
    """Return whether git tracks a file, or any file of a folder; False outside git. `path` is relative to `root`."""
    return bool(ask_git(root, "ls-files", "-z", "--", f":(literal){path}"))


def read_text_attributes(root: Path, paths: Sequence[str]) -> dict[str, str] | None:
    """Return git's attribute `text` of paths that need not exist: `unset` keeps line ends; None outside git."""
    answer = ask_git(root, "check-attr", "-z", "text", "--", *paths)
    if answer is None:
        return None
    fields = answer.decode("utf-8", "surrogateescape").split("\0")
    return dict(zip(fields[0::3], fields[2::3], strict=False))


def read_ignored_paths(root: Path, paths: Sequence[str]) -> frozenset[str] | None:
    """Return those of the paths, which need not exist, that git's rules ignore; None outside git."""
    if not paths:
        return frozenset()
    arguments = ("-c", "core.quotePath=false", "check-ignore", "--no-index", "--", *paths)
    answer = ask_git(root, *arguments, none_found=1)
    return None if answer is None else frozenset(answer.decode("utf-8", "surrogateescape").splitlines())


def _is_real_folder(base: bytes, folder: bytes, known: dict[bytes, bool]) -> bool:
    """Return whether no part of a folder's path is a link; `known` caches the results."""
    if folder not in known:
        parent_is_real = _is_real_folder(base, os.path.dirname(folder), known)  # noqa: PTH120 - raw bytes
        known[folder] = parent_is_real and not os.path.islink(base + b"/" + folder)  # noqa: PTH114 - raw bytes
    return known[folder]


def _has_file(base: bytes, path: bytes, known: dict[bytes, bool]) -> bool:
    """Return whether a path names a file or a link, and leads through no link; `known` as for `_is_real_folder`."""
    file = base + b"/" + path
    exists = os.path.islink(file) or os.path.isfile(file)  # noqa: PTH113, PTH114 - raw bytes
    return exists and _is_real_folder(base, os.path.dirname(path), known)  # noqa: PTH120 - raw bytes


def _hash_tracked_file(path: bytes) -> str | None:
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
        name = path.decode("utf-8", "backslashreplace")
        raise NotFoundError(f"the tracked file {name} cannot be read: {error.strerror}", "check permissions") from None
