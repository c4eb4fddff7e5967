"""What git published of the role pack: baselines, their history, and who published an id first (SPEC 9).

A baseline is the pack in a commit. What is unknown is never taken for nothing: a clone that cut its history off, or a
commit of another ref that holds the pack, makes a first publish unprovable, and that is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from registry_pipeline.config import CONFIG_NAME, Roles, parse_pack_path, read_toml
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.git.process import ObjectPipe, ask_git
from registry_pipeline.git.repository import find_commit
from registry_pipeline.registries.roles.read import LINK, REGULAR
from registry_pipeline.values import value_type

_DEFAULT: Final = "main"
_MAIN: Final = ("refs/heads/main", "refs/remotes/origin/main")
_SHORT: Final = 12


@value_type
class GitPack:
    """The pack in a commit; `source` is how people are told of it, as `main:assets/pack.json`."""

    data: bytes
    source: str
    commit: str


@value_type
class GitBaseline:
    """What a pack is compared with: the pack of a commit, or None where this is its first publish.

    `tip` is the commit that the name stands for, None where there is none: from there the history is walked.
    """

    pack: GitPack | None
    tip: str | None


@value_type
class PackCommit:
    """A commit that changed the pack. `blob_id` is None where the commit has no readable pack.

    `parents` are the commits of the same list that it follows.
    """

    commit: str
    parents: tuple[str, ...]
    blob_id: str | None


def is_commit(root: Path, name: str) -> bool:
    """Tell whether git knows a commit by a name; `main` may be the branch of the remote alone."""
    return any(find_commit(root, each) is not None for each in _meant(name))


def read_git_baseline(root: Path, path: str, name: str, current: bytes) -> GitBaseline:
    """Return the pack of the commit that a name stands for; `main` is the branch, then the remote's branch.

    Where HEAD is that commit and has the very bytes that are judged, the first parent's pack is the baseline: a check
    of the commit that was just made compares it with the one before. Outside git this is a first publish.

    Raises:
        NotFoundError: git cannot be read, it knows no such commit, the pack there is none that can be read, or it is
            not known whether some commit published the pack.
    """
    head = find_commit(root, "HEAD")
    tips = [(told, tip) for told, each in _named(name) if (tip := find_commit(root, each)) is not None]
    if not tips and name != _DEFAULT:
        raise NotFoundError(f"git knows no commit {name!r} here", "name another with --baseline, or `git fetch` it")
    for told, tip in tips:
        pack = _published_in(root, tip, path, told)
        if pack is None:
            continue
        if tip != head or pack.data != current:
            return GitBaseline(pack, tip)
        parent = _first_parent(root, tip)
        before = None if parent is None else _published_in(root, parent, path, f"{told}~1")
        if before is None:
            _prove_first_publish(root, path, parent, head)
        return GitBaseline(before, tip)
    _prove_first_publish(root, path, tips[0][1] if tips else None, head if tips else None)
    return GitBaseline(None, tips[0][1] if tips else None)


def read_commit_baseline(root: Path, path: str, commit: str, current: bytes, name: str = _DEFAULT) -> GitBaseline:
    """Return what a pack that was sealed at a commit is compared with, whatever was published since.

    That is the pack where the commit left the branch `name`, or, where it lies on that or there is none, the commit's
    own, or its first parent's if those are the very bytes.

    Raises:
        NotFoundError: as `read_git_baseline`; also where this clone does not have the commit.
    """
    if find_commit(root, commit) is None:
        raise NotFoundError(f"git does not have the commit {commit[:_SHORT]} here", "`git fetch` it")
    tips = [tip for each in _meant(name) if (tip := find_commit(root, each)) is not None]
    left = next((fork for tip in tips if (fork := _fork(root, tip, commit)) is not None), commit)
    pack = _published_in(root, left, path, left[:_SHORT])
    if pack is not None and (left != commit or pack.data != current):
        return GitBaseline(pack, left)
    parent = _first_parent(root, left) if pack is not None else left
    before = None if parent is None or pack is None else _published_in(root, parent, path, parent[:_SHORT])
    if before is None:
        _prove_first_publish(root, path, parent, commit, among=(commit,))
    return GitBaseline(before, left)


def read_pack_commits(root: Path, tip: str | None, path: str) -> tuple[PackCommit, ...]:
    """Return every commit up to `tip` (HEAD if None) that changed the pack, the oldest first.

    Raises:
        NotFoundError: there is no git repository, git cannot be read, or the clone cut the history off.
    """
    start = tip or find_commit(root, "HEAD")
    if start is None:
        raise NotFoundError("git has no history here", "leave --history out")
    _refuse_shallow(root)
    walk = ("rev-list", "--reverse", "--topo-order", "--simplify-merges", "--parents")
    answer = ask_git(root, *walk, start, "--", f":(literal){path}") or b""
    lines = [line.decode("ascii").split(" ") for line in answer.splitlines()]
    blobs = _blobs_at(root, [line[0] for line in lines], path)
    return tuple(PackCommit(line[0], tuple(line[1:]), blob) for line, blob in zip(lines, blobs, strict=True))


def read_pack_blobs(root: Path, blob_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of packs, each once, in their order, through one process of git.

    Raises:
        NotFoundError: git does not have one of them, as in a clone that leaves objects out.
    """
    with ObjectPipe(root) as pipe:
        yield from pipe.read_each(list(dict.fromkeys(blob_ids)))


def _meant(name: str) -> tuple[str, ...]:
    return _MAIN if name == _DEFAULT else (name,)


def _named(name: str) -> tuple[tuple[str, str], ...]:
    """Return how each commit is told and asked for."""
    return (("main", _MAIN[0]), ("origin/main", _MAIN[1])) if name == _DEFAULT else ((name, name),)


def _pack_in(root: Path, commit: str, path: str, told: str) -> GitPack | None:
    """Return the pack in a commit, None where the commit has nothing at its path."""
    entry = ask_git(root, "ls-tree", "-z", "-l", commit, "--", f":(literal){path}") or b""
    head, tab, _ = entry.partition(b"\0")[0].partition(b"\t")
    if not tab:
        return None
    mode, _, object_id, size = head.split()
    shown = f"{told}:{path}"
    if mode not in REGULAR:
        raise NotFoundError(f"{shown} is {'a link' if mode == LINK else 'no file'}", "name another with --baseline")
    if int(size) > MAX_BYTES:
        raise NotFoundError(f"{shown} is larger than {MAX_BYTES >> 20} MiB", "name another with --baseline")
    return GitPack(ask_git(root, "cat-file", "blob", object_id.decode("ascii")) or b"", shown, commit)


def _published_in(root: Path, commit: str, path: str, told: str) -> GitPack | None:
    """Return the pack in a commit: at its path, else where the commit's own configuration has it.

    A pack that was moved since is no less published.
    """
    pack = _pack_in(root, commit, path, told)
    if pack is not None:
        return pack
    former = _configured_in(root, commit)
    return None if former == path else _pack_in(root, commit, former, told)


def _configured_in(root: Path, commit: str) -> str:
    """Return where a commit's configuration has the pack; the default where it says none that can be understood.

    Raises:
        NotFoundError: git cannot read the configuration, so that the pack may have been anywhere.
    """
    found = _pack_in(root, commit, CONFIG_NAME, commit[:_SHORT])
    try:
        table = {} if found is None else read_toml(found.data).get("roles", {})
        return parse_pack_path(table["pack"]) if "pack" in table else Roles().pack
    except (ValueError, TypeError, AttributeError, ConfigError):
        return Roles().pack


def _first_parent(root: Path, commit: str) -> str | None:
    """Return the first parent, None for a root commit.

    Raises:
        NotFoundError: the commit names a parent that a shallow clone does not have.
    """
    head = (ask_git(root, "cat-file", "commit", commit) or b"").partition(b"\n\n")[0]
    if b"\nparent " not in head:
        return None
    parent = find_commit(root, f"{commit}^1")
    if parent is None:
        raise _cut()
    return parent


def _fork(root: Path, one: str, other: str) -> str | None:
    answer = ask_git(root, "merge-base", one, other, none_found=1) or b""
    return answer.decode("ascii").split("\n", 1)[0] or None


def _prove_first_publish(
    root: Path, path: str, base: str | None, head: str | None, *, among: tuple[str, ...] = ()
) -> None:
    """Return if no commit published the pack; those from `base` to `head` are the change that is judged.

    `among` are the commits whose history is searched instead of that of every ref.

    Raises:
        NotFoundError: one did, or the clone cut off where one could stand.
    """
    if ask_git(root, "rev-parse", "--git-dir") is None:
        return
    _refuse_shallow(root)
    here = () if find_commit(root, "HEAD") is None else ("HEAD",)
    searched = among or ("--exclude=refs/stash", "--all", *here)
    touching = set(_touching(root, path, *searched))
    if touching and head is not None:
        touching -= set(_touching(root, path, head, *(() if base is None else (f"^{base}",))))
    if touching:
        example = min(touching)[:_SHORT]
        message = f"there is no baseline, and yet the pack was published elsewhere, as in the commit {example}"
        raise NotFoundError(message, "name what to compare with: --baseline REF")


def _touching(root: Path, path: str, *revisions: str) -> list[str]:
    answer = ask_git(root, "rev-list", "--full-history", *revisions, "--", f":(literal){path}") or b""
    return answer.decode("ascii").split()


def _refuse_shallow(root: Path) -> None:
    if ask_git(root, "rev-parse", "--is-shallow-repository") == b"true\n":
        raise _cut()


def _cut() -> NotFoundError:
    message = "the clone is shallow: the history that it cut off may hold the pack"
    return NotFoundError(message, "`git fetch --unshallow` fetches the rest")


def _blobs_at(root: Path, commits: Sequence[str], path: str) -> list[str | None]:
    """Return the pack's object in each commit, None where there is none or none that may be read."""
    prefix = (ask_git(root, "rev-parse", "--show-prefix") or b"\n").removesuffix(b"\n") if commits else b""
    asked = b"".join(commit.encode("ascii") + b":" + prefix + os.fsencode(path) + b"\n" for commit in commits)
    form = "--batch-check=%(objecttype) %(objectsize) %(objectname)"
    answer = ask_git(root, "cat-file", form, given=asked) or b""
    words = [line.split(b" ") for line in answer.splitlines()]
    return [w[2].decode("ascii") if w[0] == b"blob" and int(w[1]) <= MAX_BYTES else None for w in words]
