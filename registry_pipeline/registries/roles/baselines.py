"""The role pack in git: the baseline in a commit, and the commits that changed the pack.

An unknown history is never taken for a first publish. A shallow clone, or a pack in a commit of another ref, raises.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from registry_pipeline.capture_table import ACTIVE_BASELINE, DEFAULT_BASELINE, ROLE_REGISTRY
from registry_pipeline.config import CONFIG_NAME, Repository, Roles, parse_pack_path, read_toml
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.git.process import ObjectPipe, ask_git
from registry_pipeline.git.repository import find_commit
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.roles import ROLE_REGISTRY_SPEC
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.read import LINK, REGULAR, find_pack, read_pack_file
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import replace, value_type

_DEFAULT: Final = "main"
_SHORT: Final = 12
_OTHER_BASELINE: Final = "name another with --baseline"


@value_type
class GitPack:
    """The pack in a commit; `source` is its name in messages, such as `main:assets/pack.json`."""

    data: bytes
    source: str
    commit: str


@value_type
class GitBaseline:
    """The published pack, None for a first publish; `tip` is the commit of the requested name, if there is one."""

    pack: GitPack | None
    tip: str | None


@value_type
class PackCommit:
    """A commit that changed the pack.

    Attributes:
        parents: its parents among the commits of the same list.
        blob_id: None if the commit has no readable pack.
    """

    commit: str
    parents: tuple[str, ...]
    blob_id: str | None


def is_commit(root: Path, name: str) -> bool:
    """Return whether a name is a commit in git; `main` may exist as origin/main only."""
    return any(find_commit(root, revision) is not None for _, revision in _candidates(name))


def read_git_baseline(root: Path, path: str, name: str, current: bytes) -> GitBaseline:
    """Return the pack of a revision; `main` is the local branch, else the branch of the remote.

    If HEAD is that commit and contains the current bytes, the pack of its first parent is returned: a check right after
    a commit compares with the state before it. Without git it is a first publish.

    Raises:
        NotFoundError: git cannot be read, the revision or its pack cannot be found, or it is not known whether some
            commit published the pack.
    """
    head = find_commit(root, "HEAD")
    tips = [(label, tip) for label, name_in_git in _candidates(name) if (tip := find_commit(root, name_in_git))]
    if not tips and name != _DEFAULT:
        raise NotFoundError(f"git knows no commit {name!r}", "name another with --baseline, or `git fetch` it")
    for label, tip in tips:
        pack = _find_pack(root, tip, path, label)
        if pack is None:
            continue
        if tip != head or pack.data != current:
            return GitBaseline(pack, tip)
        parent = _first_parent(root, tip)
        previous = None if parent is None else _find_pack(root, parent, path, f"{label}~1")
        if previous is None:
            _prove_first_publish(root, path, parent, head)
        return GitBaseline(previous, tip)
    first_tip = tips[0][1] if tips else None
    _prove_first_publish(root, path, first_tip, head if tips else None)
    return GitBaseline(None, first_tip)


def read_commit_baseline(root: Path, path: str, commit: str, current: bytes, name: str = _DEFAULT) -> GitBaseline:
    """Return the baseline of a pack that was sealed at a commit, whatever was published since.

    It is the pack in the merge base with branch `name`. If the commit is on the branch, it is the commit's own pack, or
    that of its first parent if the commit contains the current bytes.

    Raises:
        NotFoundError: as `read_git_baseline`; also if this clone does not have the commit.
    """
    # (1) find where the commit left the branch
    if find_commit(root, commit) is None:
        raise NotFoundError(f"git does not have the commit {commit[:_SHORT]}", "`git fetch` it")
    tips = [tip for _, revision in _candidates(name) if (tip := find_commit(root, revision)) is not None]
    base = next((fork for tip in tips if (fork := _merge_base(root, tip, commit)) is not None), commit)
    # (2) read the pack there, or in the first parent if that is the pack itself
    pack = _find_pack(root, base, path, base[:_SHORT])
    if pack is not None and (base != commit or pack.data != current):
        return GitBaseline(pack, base)
    parent = _first_parent(root, base) if pack is not None else base
    previous = None if parent is None or pack is None else _find_pack(root, parent, path, parent[:_SHORT])
    if previous is None:
        _prove_first_publish(root, path, parent, commit, revisions=(commit,))
    return GitBaseline(previous, base)


def read_pack_commits(root: Path, tip: str | None, path: str) -> tuple[PackCommit, ...]:
    """Return every commit up to `tip` (None: HEAD) that changed the pack, oldest first.

    Raises:
        NotFoundError: there is no git repository, git cannot be read, or the clone is shallow.
    """
    start = tip or find_commit(root, "HEAD")
    if start is None:
        raise NotFoundError("the repository has no git history", "run the command without --history")
    _refuse_shallow(root)
    # --simplify-merges leaves out merges that contribute no change of the pack.
    command = ("rev-list", "--reverse", "--topo-order", "--simplify-merges", "--parents")
    output = ask_git(root, *command, start, "--", f":(literal){path}") or b""
    lines = [line.decode("ascii").split(" ") for line in output.splitlines()]
    blobs = _find_blobs(root, [line[0] for line in lines], path)
    return tuple(PackCommit(line[0], tuple(line[1:]), blob) for line, blob in zip(lines, blobs, strict=True))


def read_pack_blobs(root: Path, blob_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the id and the bytes of each pack once, in order, from one git process.

    Raises:
        NotFoundError: git does not have one of them, as in a partial clone.
    """
    with ObjectPipe(root) as pipe:
        yield from pipe.read_each(list(dict.fromkeys(blob_ids)))


def _candidates(name: str) -> tuple[tuple[str, str], ...]:
    """Return the label in messages and the revision of each commit that a name may mean."""
    if name == _DEFAULT:
        return (("main", "refs/heads/main"), ("origin/main", "refs/remotes/origin/main"))
    return ((name, name),)


def _read_file(root: Path, commit: str, path: str, label: str) -> GitPack | None:
    """Return the file at a path in a commit, or None if there is none."""
    # :(literal) turns off wildcards in the path. -l gives the size before the content is read.
    output = ask_git(root, "ls-tree", "-z", "-l", commit, "--", f":(literal){path}") or b""
    entry, tab, _ = output.partition(b"\0")[0].partition(b"\t")
    if not tab:
        return None
    mode, _, object_id, size = entry.split()
    source = f"{label}:{path}"
    if mode not in REGULAR:
        raise NotFoundError(f"{source} is {'a link' if mode == LINK else 'not a file'}", _OTHER_BASELINE)
    if int(size) > MAX_BYTES:
        raise NotFoundError(f"{source} is larger than {MAX_BYTES >> 20} MiB", _OTHER_BASELINE)
    return GitPack(ask_git(root, "cat-file", "blob", object_id.decode("ascii")) or b"", source, commit)


def _find_pack(root: Path, commit: str, path: str, label: str) -> GitPack | None:
    """Return the pack in a commit: at `path`, else at the path that the commit's own configuration names."""
    pack = _read_file(root, commit, path, label)
    if pack is not None:
        return pack
    # The pack may have been moved since; it stays published.
    config = _read_file(root, commit, CONFIG_NAME, commit[:_SHORT])
    former_path = Roles().pack
    try:
        table = {} if config is None else read_toml(config.data).get("roles", {})
        former_path = parse_pack_path(table["pack"]) if "pack" in table else former_path
    except (ValueError, TypeError, AttributeError, ConfigError):
        pass  # an invalid configuration names no other path
    return None if former_path == path else _read_file(root, commit, former_path, label)


def _first_parent(root: Path, commit: str) -> str | None:
    """Return the first parent, or None for a root commit; a parent that a shallow clone lacks raises."""
    header = (ask_git(root, "cat-file", "commit", commit) or b"").partition(b"\n\n")[0]
    if b"\nparent " not in header:
        return None
    parent = find_commit(root, f"{commit}^1")
    if parent is None:
        raise _shallow_error()
    return parent


def _merge_base(root: Path, first: str, second: str) -> str | None:
    output = ask_git(root, "merge-base", first, second, none_found=1) or b""
    return output.decode("ascii").split("\n", 1)[0] or None


def _prove_first_publish(
    root: Path, path: str, base: str | None, head: str | None, *, revisions: tuple[str, ...] = ()
) -> None:
    """Return if no commit published the pack, apart from those of the change itself (from `base` to `head`).

    Searches the history of `revisions`, by default of every ref.

    Raises:
        NotFoundError: a commit published it, or the clone is shallow.
    """
    if ask_git(root, "rev-parse", "--git-dir") is None:
        return
    _refuse_shallow(root)
    if not revisions:
        head_revision = () if find_commit(root, "HEAD") is None else ("HEAD",)
        # A stash publishes nothing. HEAD is listed too, because it may be detached.
        revisions = ("--exclude=refs/stash", "--all", *head_revision)
    commits = set(_list_commits(root, path, *revisions))
    # The commits of the change itself are what is being checked.
    if commits and head is not None:
        commits -= set(_list_commits(root, path, head, *(() if base is None else (f"^{base}",))))
    if commits:
        message = f"there is no baseline, but the commit {min(commits)[:_SHORT]} published the pack elsewhere"
        raise NotFoundError(message, "name a baseline with --baseline REF")


def _list_commits(root: Path, path: str, *revisions: str) -> list[str]:
    output = ask_git(root, "rev-list", "--full-history", *revisions, "--", f":(literal){path}") or b""
    return output.decode("ascii").split()


def _refuse_shallow(root: Path) -> None:
    if ask_git(root, "rev-parse", "--is-shallow-repository") == b"true\n":
        raise _shallow_error()


def _shallow_error() -> NotFoundError:
    message = "the clone is shallow, and the missing history may contain the pack"
    return NotFoundError(message, "run `git fetch --unshallow`")


def _find_blobs(root: Path, commits: Sequence[str], path: str) -> list[str | None]:
    """Return the object id of the pack in each commit, or None if it is missing, not a file or too large."""
    prefix = (ask_git(root, "rev-parse", "--show-prefix") or b"\n").removesuffix(b"\n") if commits else b""
    query = b"".join(commit.encode("ascii") + b":" + prefix + os.fsencode(path) + b"\n" for commit in commits)
    output = ask_git(root, "cat-file", "--batch-check=%(objecttype) %(objectsize) %(objectname)", given=query) or b""
    rows = [line.split(b" ") for line in output.splitlines()]
    return [row[2].decode("ascii") if row[0] == b"blob" and int(row[1]) <= MAX_BYTES else None for row in rows]


_MAX_COMMITS: Final = 2000
"""How many commits, oldest first, are searched for the one that published an id."""


@value_type
class Baseline:
    """A published pack, None for a first publish; `tip` is the commit whose history contains it."""

    published: PublishedPack | None
    tip: str | None = None


def read_configured_baseline(repository: Repository) -> str:
    """Return the configured baseline; `main` if `active` is configured and no role registry is active."""
    name = repository.config.roles.baseline
    if name == ACTIVE_BASELINE and read_pointers(repository).active(ROLE_REGISTRY) is None:
        return DEFAULT_BASELINE
    return name


def find_baseline(repository: Repository, name: str, pack: ParsedPack, folder: Path) -> Baseline:
    """Return the baseline with a name: `active`, a revision of git, or a file in `folder`.

    Raises:
        NotFoundError: it is missing or cannot be read.
        EvidenceError: the active run does not verify.
    """
    if name == ACTIVE_BASELINE:
        ref = read_pointers(repository).active(ROLE_REGISTRY)
        if ref is None or not run_folder(repository, ref).is_dir():
            raise NotFoundError("no role_registry is active", "run `registry-pipeline build role_registry`")
        return Baseline(read_sealed_pack(repository, ref))
    # A revision wins over a file with the same name: git is the usual baseline.
    if name == DEFAULT_BASELINE or is_commit(repository.root, name):
        baseline = read_git_baseline(repository.root, repository.config.roles.pack, name, pack.data)
        if baseline.pack is None:
            return Baseline(None, baseline.tip)
        source = baseline.pack.source
        published = parse_pack(baseline.pack.data, source)
        return Baseline(PublishedPack(published, source, commit=baseline.pack.commit), baseline.tip)
    if not (folder / name).exists():
        raise NotFoundError(f"{name!r} is neither a git revision nor a file", "name another with --baseline")
    return Baseline(PublishedPack(parse_pack(read_pack_file(folder / name, name), name), name))


def read_sealed_pack(repository: Repository, ref: SealedRef) -> PublishedPack:
    """Return the pack of a sealed role registry.

    Raises:
        NotFoundError: the folder is missing or contains no pack.
        EvidenceError: the folder does not verify.
    """
    folder = ref.path
    if not run_folder(repository, ref).is_dir():
        raise NotFoundError(f"the role registry {folder} is missing", "restore its folder from a backup")
    pack = find_pack(read_sealed(repository, ROLE_REGISTRY_SPEC, ref).kept)
    if pack is None:
        advice = "run `registry-pipeline build role_registry`"
        raise NotFoundError(f"the role registry {folder} contains no role pack", advice)
    source = f"{folder}/{pack[0]}"
    return PublishedPack(parse_pack(pack[1], source), source)


def add_publishers(repository: Repository, baseline: Baseline, ids: set[str]) -> PublishedPack | None:
    """Return the baseline's pack with the commits that first published some ids, or None if no commit is known."""
    published = baseline.published
    if published is None:
        return None
    published_by = _find_publishers(repository, baseline.tip, ids & _declared_ids(published.pack))
    return replace(published, published_by=published_by) if published_by else None


def _declared_ids(pack: ParsedPack) -> set[str]:
    snapshot = pack.snapshot
    if snapshot is None:
        return set()
    return {role.role_id for role in snapshot.roles} | {contract.contract_id for contract in snapshot.contracts}


def _find_publishers(repository: Repository, tip: str | None, ids: set[str]) -> Mapping[str, str]:
    """Return the first commit that published each id, as far as git knows."""
    publishers: dict[str, str] = {}
    if not ids:
        return publishers
    try:
        commits = read_pack_commits(repository.root, tip, repository.config.roles.pack)[:_MAX_COMMITS]
        first_commits: dict[str, str] = {}
        for commit in commits:
            if commit.blob_id is not None:
                first_commits.setdefault(commit.blob_id, commit.commit)
        for blob_id, data in read_pack_blobs(repository.root, list(first_commits)):
            # Most packs are not parsed: their bytes contain none of the ids. An escape may hide one.
            names = [
                name
                for name in ids - publishers.keys()
                if f'"{name}"'.encode("utf-8", "surrogatepass") in data or b"\\u" in data
            ]
            declared = _declared_ids(parse_pack(data, "")) if names else set()
            publishers |= {name: first_commits[blob_id] for name in names if name in declared}
            if len(publishers) == len(ids):
                break
    except NotFoundError:
        return publishers  # the commit is an addition to a finding, which is valid without it
    return publishers
