"""The packs that a role pack is compared with: a commit of git, a file, or the active snapshot."""

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
from registry_pipeline.registries.roles.report import Published
from registry_pipeline.registries.roles.sealed import find_pack
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import replace, value_type

_MAX_COMMITS: Final = 2000
"""How many commits, from the oldest on, are searched for the one that published an id."""


@value_type
class Baseline:
    """What a pack is compared with: None on its first publish. `tip` is the commit whose history the pack has."""

    published: Published | None
    tip: str | None = None


def configured_baseline(repository: Repository) -> str:
    """Return the usual baseline of a repository: `main`, too, while `active` is configured and nothing is active."""
    name = repository.config.roles.baseline
    if name == ACTIVE_BASELINE and read_pointers(repository).active(ROLE_REGISTRY) is None:
        return DEFAULT_BASELINE
    return name


def find_baseline(repository: Repository, name: str, pack: ParsedPack, folder: Path) -> Baseline:
    """Return what `name` stands for; a file is looked up in `folder`.

    Raises:
        NotFoundError: it cannot be found or read. EvidenceError: the active run does not verify.
    """
    if name == ACTIVE_BASELINE:
        return Baseline(_active_pack(repository))
    if name == DEFAULT_BASELINE or is_commit(repository.root, name):
        found = read_git_baseline(repository.root, repository.config.roles.pack, name, pack.data)
        if found.pack is None:
            return Baseline(None, found.tip)
        published = parse_pack(found.pack.data, found.pack.source)
        return Baseline(Published(published, found.pack.source, commit=found.pack.commit), found.tip)
    if not (folder / name).exists():
        raise NotFoundError(f"{name!r} is neither a commit that git knows nor a file", "name another with --baseline")
    return Baseline(Published(parse_pack(read_pack_file(folder / name, name), name), name))


def _active_pack(repository: Repository) -> Published:
    ref = read_pointers(repository).active(ROLE_REGISTRY)
    if ref is None or not run_folder(repository, ref).is_dir():
        raise NotFoundError("no role_registry is active here", "`registry-pipeline build role_registry` makes one")
    return read_sealed_pack(repository, ref)


def read_sealed_pack(repository: Repository, ref: SealedRef) -> Published:
    """Return the pack of a sealed role registry.

    Raises:
        NotFoundError: the folder is missing or contains no pack. EvidenceError: it does not verify.
    """
    folder = f"{ref.run_root}/{ref.run_id}"
    if not run_folder(repository, ref).is_dir():
        raise NotFoundError(f"the role registry {folder} is missing", "restore its folder from a backup")
    found = find_pack(read_sealed(repository, ROLE_REGISTRY_SPEC, ref).kept)
    if found is None:
        raise NotFoundError(
            f"the role registry {folder} contains no role pack", "`registry-pipeline build role_registry`"
        )
    source = f"{folder}/{found[0]}"
    return Published(parse_pack(found[1], source), source)


def with_publishers(repository: Repository, baseline: Baseline, wanted: set[str]) -> Published | None:
    """Return the baseline's pack with the commits that first published the wanted ids; None if none is found."""
    published = baseline.published
    known = wanted & (set() if published is None else declared_ids(published.pack))
    if published is None or not known:
        return None
    published_by = _find_publishers(repository, baseline.tip, known)
    return replace(published, published_by=published_by) if published_by else None


def declared_ids(pack: ParsedPack) -> set[str]:
    """Return every role_id and contract_id of a pack."""
    snapshot = pack.snapshot
    if snapshot is None:
        return set()
    return {role.role_id for role in snapshot.roles} | {contract.contract_id for contract in snapshot.contracts}


def _find_publishers(repository: Repository, tip: str | None, wanted: set[str]) -> Mapping[str, str]:
    """Return the first commit that published each id, as far as git knows: from the oldest on, until all are found."""
    found: dict[str, str] = {}
    try:
        commits = read_pack_commits(repository.root, tip, repository.config.roles.pack)[:_MAX_COMMITS]
        first_with = {each.blob_id: each.commit for each in reversed(commits) if each.blob_id is not None}
        ordered = dict.fromkeys(each.blob_id for each in commits if each.blob_id is not None)
        for blob_id, data in read_pack_blobs(repository.root, list(ordered)):
            # Most packs need no parse to see that they name none of the ids; an escape may hide one.
            names = [
                name
                for name in wanted - found.keys()
                if f'"{name}"'.encode("utf-8", "surrogatepass") in data or b"\\u" in data
            ]
            declared = declared_ids(parse_pack(data, "")) if names else set()
            found |= {name: first_with[blob_id] for name in names if name in declared}
            if len(found) == len(wanted):
                break
    except NotFoundError:
        return found  # the commit is only mentioned beside a finding, which is valid without it
    return found
