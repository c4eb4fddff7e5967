"""The packs that a role pack is compared with: a git commit, a file, or the active snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from registry_pipeline.capture_table import ACTIVE_BASELINE, DEFAULT_BASELINE, ROLE_REGISTRY
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.roles import ROLE_REGISTRY_SPEC
from registry_pipeline.registries.roles.git_baseline import (
    is_commit,
    read_git_baseline,
    read_pack_blobs,
    read_pack_commits,
)
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.read import read_pack_file
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.registries.roles.sealed import find_pack
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import replace, value_type

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
    folder = f"{ref.run_root}/{ref.run_id}"
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
