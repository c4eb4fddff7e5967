"""The role pack in git: the baseline in a commit, and the commits that changed the pack."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, parse_strict_json
from registry_pipeline.capture_table import ACTIVE_BASELINE, DEFAULT_BASELINE, ROLE_ARTIFACT, ROLE_REGISTRY
from registry_pipeline.config import CONFIG_NAME, Repository, Roles, check_pack_path, parse_toml
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.git.process import ObjectPipe, ask_git
from registry_pipeline.git.repository import find_commit
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.roles import ROLE_REGISTRY_SPEC
from registry_pipeline.registries.roles.check import PublishedCommit
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack, parse_pack
from registry_pipeline.registries.roles.read import LINK, REGULAR, find_sealed_pack, read_pack_file
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.registries.roles.retired import RetiredIds
from registry_pipeline.runs.envelope import COMPARISON
from registry_pipeline.runs.pointer_file import parse_pointer_file, read_pointer_bytes, read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import replace, value_type

_SHORT: Final = 12
# How many commits, the oldest first, are searched for the one that published an id.
_MAX_COMMITS: Final = 2000
_OTHER_BASELINE: Final = "name another with --baseline"


@value_type
class Baseline:
    """A published pack, None for a first publish; `tip` is the commit whose history contains it."""

    published: PublishedPack | None
    tip: str | None = None


@value_type
class PackCommit:
    """A commit that changed the pack; `parents` are its parents among the commits of the same list."""

    commit: str
    parents: tuple[str, ...]
    # None if the commit has no readable pack
    blob_id: str | None


def is_commit(root: Path, name: str) -> bool:
    """Return whether git knows a name as a commit; `main` also means refs/remotes/origin/main."""
    return bool(_find_tips(root, name))


def read_git_baseline(root: Path, path: str, name: str, current: bytes) -> Baseline:
    """Return the pack in a revision of git; `main` is the first of main and origin/main that contains a pack.

    If HEAD is that commit and contains the current bytes, it is the pack of the first parent: a check right after a
    commit compares with the state before it. Without git it is a first publish.

    Raises:
        NotFoundError: the revision cannot be read, or it is not known whether some commit published the pack.
    """
    head = find_commit(root, "HEAD")
    tips = _find_tips(root, name)
    if not tips:
        if name != DEFAULT_BASELINE:
            raise NotFoundError(f"git knows no commit {name!r}", "name another with --baseline, or `git fetch` it")
        _require_first_publish(root, path, None, None)
        return Baseline(None)
    packs = ((label, tip, _read_pack(root, tip, path, label)) for label, tip in tips)
    label, tip, pack = next((row for row in packs if row[2] is not None), (*tips[0], None))
    if pack is not None and (tip != head or pack.pack.data != current):
        return Baseline(pack, tip)
    parent = _find_first_parent(root, tip) if pack is not None else tip
    previous = None if parent is None or pack is None else _read_pack(root, parent, path, f"{label}~1")
    if previous is None:
        _require_first_publish(root, path, parent, head)
    return Baseline(previous, tip)


def read_commit_baseline(root: Path, path: str, commit: str, current: bytes, name: str = DEFAULT_BASELINE) -> Baseline:
    """Return the baseline of a pack that was sealed at a commit, whatever was published since.

    It is the pack in the merge base with branch `name`. If the commit is on the branch, it is the commit's own pack, or
    that of its first parent if the commit contains the current bytes. Raises as `read_git_baseline`.
    """
    if find_commit(root, commit) is None:
        raise NotFoundError(f"git does not have the commit {commit[:_SHORT]}", "`git fetch` it")
    forks = (_find_merge_base(root, tip, commit) for _, tip in _find_tips(root, name))
    base = next((fork for fork in forks if fork is not None), commit)
    pack = _read_pack(root, base, path, base[:_SHORT])
    if pack is not None and (base != commit or pack.pack.data != current):
        return Baseline(pack, base)
    parent = _find_first_parent(root, base) if pack is not None else base
    previous = None if parent is None or pack is None else _read_pack(root, parent, path, parent[:_SHORT])
    if previous is None:
        _require_first_publish(root, path, parent, commit, revisions=(commit,))
    return Baseline(previous, base)


def read_pack_commits(root: Path, tip: str | None, path: str, since: str | None = None) -> tuple[PackCommit, ...]:
    """Return every commit up to `tip` (None: HEAD) that changed the pack, oldest first.

    Commits in the history of `since` are left out, if git knows that commit.

    Raises:
        NotFoundError: there is no history, or not all of it.
    """
    start = tip or find_commit(root, "HEAD")
    if start is None:
        raise NotFoundError("the repository has no git history", "run the command without --history")
    _refuse_shallow(root)
    known = [] if since is None or find_commit(root, since) is None else [f"^{since}"]
    # --simplify-merges leaves out merges that contribute no change of the pack.
    command = ("rev-list", "--reverse", "--topo-order", "--simplify-merges", "--parents")
    output = ask_git(root, *command, start, *known, "--", f":(literal){path}") or b""
    lines = [line.decode("ascii").split(" ") for line in output.splitlines()]
    blobs = _find_blobs(root, [line[0] for line in lines], path)
    return tuple(PackCommit(line[0], tuple(line[1:]), blob) for line, blob in zip(lines, blobs, strict=True))


def read_pack_blobs(root: Path, blob_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the blob id and the bytes of each pack in the given order; an id that is given twice is yielded once."""
    with ObjectPipe(root) as pipe:
        yield from pipe.read_each(list(dict.fromkeys(blob_ids)))


def read_published_packs(repository: Repository, tip: str | None, since: str | None = None) -> list[PublishedCommit]:
    """Return the pack in each commit that `read_pack_commits` returns; raises as it does."""
    root, path = repository.root, repository.config.roles.pack
    commits = read_pack_commits(root, tip, path, since)
    # Only the snapshots are kept: the text of most packs is never needed.
    blob_ids = [commit.blob_id for commit in commits if commit.blob_id is not None]
    packs = {
        blob_id: PastPack(parse_pack(data, path).snapshot, partial(_read_pack_blob, root, path, blob_id))
        for blob_id, data in read_pack_blobs(root, blob_ids)
    }
    return [
        PublishedCommit(commit.commit, None if commit.blob_id is None else packs[commit.blob_id], commit.parents)
        for commit in commits
    ]


def _read_pack_blob(root: Path, path: str, blob_id: str) -> ParsedPack:
    return parse_pack(next(data for _, data in read_pack_blobs(root, [blob_id])), path)


def _find_tips(root: Path, name: str) -> list[tuple[str, str]]:
    """Return the label in messages and the id of each commit that a name means."""
    revisions = [(name, name)]
    if name == DEFAULT_BASELINE:
        revisions = [("main", "refs/heads/main"), ("origin/main", "refs/remotes/origin/main")]
    return [(label, tip) for label, revision in revisions if (tip := find_commit(root, revision)) is not None]


def _read_file(root: Path, commit: str, path: str, label: str) -> tuple[str, bytes] | None:
    """Return the blob id and the bytes of the file at a path in a commit, or None if there is none.

    Raises:
        NotFoundError: it is a link or a folder, or too large; `label` names the commit in the message.
    """
    # :(literal) turns off wildcards in the path. -l gives the size before the content is read.
    output = ask_git(root, "ls-tree", "-z", "-l", commit, "--", f":(literal){path}") or b""
    entry, tab, _ = output.partition(b"\0")[0].partition(b"\t")
    if not tab:
        return None
    mode, _, object_id, size = entry.split()
    if mode not in REGULAR:
        raise NotFoundError(f"{label}:{path} is {'a link' if mode == LINK else 'not a file'}", _OTHER_BASELINE)
    if int(size) > MAX_BYTES:
        raise NotFoundError(f"{label}:{path} is larger than {MAX_BYTES >> 20} MiB", _OTHER_BASELINE)
    return next(read_pack_blobs(root, [object_id.decode("ascii")]))


def _read_pack(root: Path, commit: str, path: str, label: str) -> PublishedPack | None:
    """Return the pack in a commit: at `path`, else at the path that the commit's own configuration names."""
    file = _read_file(root, commit, path, label)
    if file is None:
        # The pack may have been moved since; it stays published.
        config = _read_file(root, commit, CONFIG_NAME, commit[:_SHORT])
        former_path = Roles().pack
        try:
            table = {} if config is None else parse_toml(config[1]).get("roles", {})
            former_path = check_pack_path(table["pack"]) if "pack" in table else former_path
        except (ValueError, TypeError, AttributeError, ConfigError):
            pass  # an invalid configuration names no other path
        file = None if former_path == path else _read_file(root, commit, former_path, label)
        path = former_path
    source = f"{label}:{path}"
    if file is None:
        return None
    blob_id, data = file
    return PublishedPack(parse_pack(data, source), source, commit=commit, blob_id=blob_id)


def _find_first_parent(root: Path, commit: str) -> str | None:
    """Return the first parent, or None for a root commit; a parent that a shallow clone lacks raises."""
    header = (ask_git(root, "cat-file", "commit", commit) or b"").partition(b"\n\n")[0]
    if b"\nparent " not in header:
        return None
    parent = find_commit(root, f"{commit}^1")
    if parent is None:
        raise _make_shallow_error()
    return parent


def _find_merge_base(root: Path, first: str, second: str) -> str | None:
    output = ask_git(root, "merge-base", first, second, none_found=1) or b""
    return output.decode("ascii").split("\n", 1)[0] or None


def _require_first_publish(
    root: Path, path: str, base: str | None, head: str | None, *, revisions: tuple[str, ...] = ()
) -> None:
    """Raise a NotFoundError if a commit published the pack, apart from those of the change itself (`base` to `head`).

    Searches the history of `revisions`, by default of every ref.
    """
    if ask_git(root, "rev-parse", "--git-dir") is None:
        return
    # An unknown history is never taken for a first publish.
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
        raise _make_shallow_error()


def _make_shallow_error() -> NotFoundError:
    message = "the clone is shallow, and the missing history may contain the pack"
    return NotFoundError(message, "run `git fetch --unshallow`")


def _find_blobs(root: Path, commits: Sequence[str], path: str) -> list[str | None]:
    """Return the object id of the pack in each commit, or None if it is missing, not a file or too large."""
    prefix = (ask_git(root, "rev-parse", "--show-prefix") or b"\n").removesuffix(b"\n") if commits else b""
    query = b"".join(commit.encode("ascii") + b":" + prefix + os.fsencode(path) + b"\n" for commit in commits)
    output = ask_git(root, "cat-file", "--batch-check=%(objecttype) %(objectsize) %(objectname)", given=query) or b""
    rows = [line.split(b" ") for line in output.splitlines()]
    return [row[2].decode("ascii") if row[0] == b"blob" and int(row[1]) <= MAX_BYTES else None for row in rows]


def read_baseline_name(repository: Repository) -> str:
    """Return the name of the configured baseline; `main` if it is `active` and no role registry is active."""
    name = repository.config.roles.baseline
    if name == ACTIVE_BASELINE and read_pointers(repository).active(ROLE_REGISTRY) is None:
        return DEFAULT_BASELINE
    return name


def read_baseline(repository: Repository, name: str, pack: ParsedPack, folder: Path) -> Baseline:
    """Return the baseline with a name: `active` (the active run), a revision of git, or else a file below `folder`.

    Raises:
        NotFoundError, EvidenceError: it cannot be read, or the active run does not verify.
    """
    if name == ACTIVE_BASELINE:
        ref = read_pointers(repository).active(ROLE_REGISTRY)
        if ref is None or not run_folder(repository, ref).is_dir():
            raise NotFoundError("no role_registry is active", "run `registry-pipeline build role_registry`")
        return Baseline(read_sealed_pack(repository, ref))
    # A revision wins over a file with the same name: git is the usual baseline.
    if name == DEFAULT_BASELINE or is_commit(repository.root, name):
        return read_git_baseline(repository.root, repository.config.roles.pack, name, pack.data)
    if not (folder / name).exists():
        raise NotFoundError(f"{name!r} is neither a git revision nor a file", "name another with --baseline")
    return Baseline(PublishedPack(parse_pack(read_pack_file(folder / name, name), name), name))


@value_type
class ActiveIds:
    """What the active role registry says was published; `source` is its document.

    The git history of the pack was read through the commit `history`, None if it could not be read.
    """

    source: str
    declared: frozenset[str]
    retired: RetiredIds
    history: str | None


def read_active_ids(repository: Repository) -> ActiveIds | None:
    """Return the ids in the active role registry; None if there is none, or its folder is missing as in a clone.

    Raises:
        NotFoundError, EvidenceError: the pointer file or the run is invalid.
    """
    data = read_pointer_bytes(repository)
    pointers, findings = parse_pointer_file(data, repository.config.pointers)
    ref = pointers.active(ROLE_REGISTRY)
    if ref is None and data is not None and has_errors(findings):
        path = repository.config.pointers
        raise NotFoundError(
            f"{path} is invalid, so the active role_registry is unknown", "run `registry-pipeline doctor`"
        )
    if ref is None or not run_folder(repository, ref).is_dir():
        return None
    report = read_sealed_report(repository, ROLE_REGISTRY_SPEC, ref)
    return parse_active_ids(report.kept, report.run_json, ref.path)


def parse_active_ids(files: Mapping[str, bytes], run_json: Mapping[str, Any] | None, folder: str) -> ActiveIds:
    """Return the ids in the files of a sealed role registry; raise NotFoundError if it has no valid document."""
    try:
        document = parse_strict_json(files[ROLE_ARTIFACT])
        declared = {row["contract_id"] for row in document["contracts"]}
        declared = declared.union(*((row["role_id"], *row["aliases"]) for row in document["roles"]))
        retired = RetiredIds.from_json(document)
    except (KeyError, TypeError, ValueError, StrictJsonError):
        advice = "run `registry-pipeline build role_registry`"
        raise NotFoundError(f"the role registry {folder} has no valid {ROLE_ARTIFACT}", advice) from None
    comparison = (run_json or {}).get(COMPARISON)
    history = comparison.get("history") if isinstance(comparison, dict) else None
    return ActiveIds(
        f"{folder}/{ROLE_ARTIFACT}", frozenset(declared), retired, history if isinstance(history, str) else None
    )


def read_sealed_pack(repository: Repository, ref: SealedRef) -> PublishedPack:
    """Return the pack of a sealed role registry; raises as `read_baseline`."""
    folder = f"{ref.run_root}/{ref.run_id}"
    if not run_folder(repository, ref).is_dir():
        raise NotFoundError(f"the role registry {folder} is missing", "restore its folder from a backup")
    pack = find_sealed_pack(read_sealed_report(repository, ROLE_REGISTRY_SPEC, ref).kept)
    if pack is None:
        advice = "run `registry-pipeline build role_registry`"
        raise NotFoundError(f"the role registry {folder} contains no role pack", advice)
    source = f"{folder}/{pack[0]}"
    return PublishedPack(parse_pack(pack[1], source), source)


def add_publishers(repository: Repository, baseline: Baseline, ids: set[str]) -> PublishedPack | None:
    """Return the baseline's pack with the commits that first published some of its ids.

    None if there is no pack, it declares none of `ids`, or no commit is found. An unreadable history is no error.
    """
    if baseline.published is None:
        return None
    ids = ids & _find_declared_ids(baseline.published.pack)
    publishers: dict[str, str] = {}
    # The commit is an addition to a finding, which is valid without it.
    with suppress(NotFoundError):
        for commit, data in _read_first_packs(repository, baseline) if ids else ():
            if data is None:
                publishers |= dict.fromkeys(ids - publishers.keys(), commit)
                break
            # Most packs are not parsed: their bytes contain none of the ids. An escape may hide one.
            names = {
                name
                for name in ids - publishers.keys()
                if f'"{name}"'.encode("utf-8", "surrogatepass") in data or b"\\u" in data
            }
            publishers |= dict.fromkeys(names & _find_declared_ids(parse_pack(data, "")) if names else (), commit)
            if len(publishers) == len(ids):
                break
    return replace(baseline.published, published_by=publishers) if publishers else None


def _find_declared_ids(pack: ParsedPack) -> set[str]:
    if pack.snapshot is None:
        return set()
    ids = {role.role_id for role in pack.snapshot.roles}
    return ids | {contract.contract_id for contract in pack.snapshot.contracts}


def _read_first_packs(repository: Repository, baseline: Baseline) -> Iterator[tuple[str, bytes | None]]:
    """Yield the first commit that contains each version of the pack, and the version's bytes, the oldest first.

    The baseline's own bytes are None, and no version follows them: the baseline declares all ids that are searched.
    """
    first_commits: dict[str, str] = {}
    for commit in read_pack_commits(repository.root, baseline.tip, repository.config.roles.pack)[:_MAX_COMMITS]:
        if commit.blob_id is not None:
            first_commits.setdefault(commit.blob_id, commit.commit)
    own_id = None if baseline.published is None else baseline.published.blob_id
    for blob_id, data in read_pack_blobs(repository.root, list(takewhile(lambda name: name != own_id, first_commits))):
        yield first_commits[blob_id], data
    if own_id in first_commits:
        yield first_commits[own_id], None
