"""The lines of shards: finished lines of the run registry, sealed for one run root and month.

A build takes a line from a shard only if the folder has not changed, as `line_cache` decides. So a shard of any age
saves work and changes no byte. Roots with an adapter have no shards, because their folders are always read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.files.cache_file import find_safe_change
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, plural
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import claims_no_registry, list_collections, list_main_artifacts
from registry_pipeline.registries.base.shard_names import INDEX_TAG, Shard, is_shard_run, split_by_month
from registry_pipeline.registries.base.shard_runs import ShardRun, find_newest_runs, list_shards, read_shard_run
from registry_pipeline.registries.run_registry.build import make_run_line
from registry_pipeline.registries.run_registry.line_cache import IDENTITIES, LINES, LineCache
from registry_pipeline.runs.envelope import ScannedRun
from registry_pipeline.runs.scan import Documents, FolderIdentity, visit_run_folders
from registry_pipeline.values import value_type

ARTIFACTS: Final = (LINES, IDENTITIES)


def add_shard_lines(
    repository: Repository, cache: LineCache, run_root: str, run_ids: Iterable[str], now: datetime | None
) -> tuple[Finding, ...]:
    """Add the lines of shards to a cache that lacks lines of these folders; return a finding for each invalid shard."""
    shards = split_by_month(run_root, cache.list_unknown(run_root, run_ids))
    runs = _read_newest_runs(repository, shards, now)
    cache.add_shards(run.files for run in runs.values())
    return tuple(
        finding("SHARD_INVALID", run.ref.path, severity=Severity.WARNING, shard=str(run.shard), detail=run.problem)
        for run in runs.values()
        if run.problem is not None
    )


def _read_newest_runs(repository: Repository, shards: Collection[Shard], now: datetime | None) -> dict[Shard, ShardRun]:
    newest = find_newest_runs(repository, INDEX_TAG, {shard.run_root for shard in shards}, now) if shards else {}
    return {
        shard: read_shard_run(repository, INDEX_TAG, shard, newest[shard], ARTIFACTS)
        for shard in shards
        if shard in newest
    }


@value_type
class IndexShard:
    """A shard, the names of its run folders, its newest run, and why it must be built ("" if it need not).

    Attributes:
        unchanged: the folders whose lines the newest run has.
        state: a hash of the newest run and of the folders to read. It is the same until one of them changes.
    """

    shard: Shard
    folders: Sequence[str]
    newest: ShardRun | None
    unchanged: frozenset[str]
    reason: str
    state: str


def list_index_shards(repository: Repository, specs: Mapping[str, RegistrySpec], now: datetime) -> list[IndexShard]:
    """Return every shard that has run folders, at a moment; files are looked at, and only the shards are read.

    NotFoundError if a run root cannot be listed.
    """
    shards = list_shards(repository, _list_indexed_roots(repository))
    newest = _read_newest_runs(repository, shards.keys(), now)
    return [
        _compare(repository, shard, names, newest.get(shard), _make_cache(specs, newest.get(shard)), now)
        for shard, names in shards.items()
    ]


def _list_indexed_roots(repository: Repository) -> list[str]:
    adapted_roots = {adapter.root for adapter in repository.config.adapters}
    return [root for root in repository.config.run_roots if root not in adapted_roots]


def _compare(
    repository: Repository, shard: Shard, names: Sequence[str], run: ShardRun | None, cache: LineCache, now: datetime
) -> IndexShard:
    """Return a shard compared with its folders; new runs of shards are no change, or each build would need another."""
    root_path, newest = os.fspath(repository.path(shard.run_root)), find_safe_change(now)
    unchanged = cache.find_unchanged(root_path, shard.run_root, names)
    changes = {
        name: _find_last_change(f"{root_path}/{name}")
        for name in names
        if name not in unchanged and not is_shard_run(name)
    }
    # A folder that has just changed gets no line yet: the first tick that finds it older requests the run.
    changed = {name: change for name, change in changes.items() if change < newest}
    removed = sorted(set(cache.list_run_ids(shard.run_root)).difference(names))
    if run is None:
        reason = "it was never built" if changed else ""
    elif run.problem is not None:
        reason = f"its newest run is invalid: {run.problem}"
    elif not cache.list_run_ids(shard.run_root):
        reason = "this program and user can use none of its lines" if changed else ""
    elif changed or removed:
        reason = f"{plural(len(changed) + len(removed), 'folder')} changed since it was built"
    else:
        reason = ""
    known = "" if run is None else run.ref.manifest_sha256
    state = sha256_hex(repr((known, sorted(changed.items()), removed)).encode())
    return IndexShard(shard, names, run, frozenset(unchanged), reason, state)


def _find_last_change(path: str) -> int:
    """Return the newest change time of a folder and of all in it, in nanoseconds; what cannot be read is left out."""
    newest = 0
    with suppress(OSError):
        newest = os.lstat(path).st_ctime_ns
        with os.scandir(path) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                change = _find_last_change(entry.path) if is_folder else entry.stat(follow_symlinks=False).st_ctime_ns
                newest = max(newest, change)
    return newest


def _make_cache(specs: Mapping[str, RegistrySpec], run: ShardRun | None) -> LineCache:
    # Without a file, because a shard depends on nothing but the folders and the shard before it.
    cache = LineCache(None, list_main_artifacts(specs) | list_collections(specs))
    cache.add_shards([] if run is None or run.problem is not None else [run.files])
    return cache


def read_index_shard(
    repository: Repository, specs: Mapping[str, RegistrySpec], shard: Shard, run: BuildRun, *, force: bool = False
) -> tuple[IndexShard, dict[str, bytes]]:
    """Return a shard as it is, and its artifacts as they should be; with `force` every folder is read.

    Left out are folders that cannot be read, have just changed, or belong to the Dagster run of `run`.

    Raises:
        RefusedError: no run folder of a run root without an adapter is in the shard.
    """
    in_root = list_shards(repository, [root for root in _list_indexed_roots(repository) if root == shard.run_root])
    if shard not in in_root:
        raise RefusedError(f"the shard {shard} has no run folder to index", "launch the other partitions")
    newest = _read_newest_runs(repository, [shard], run.started).get(shard)
    cache = _make_cache(specs, None if force else newest)
    state = _compare(repository, shard, in_root[shard], newest, cache, run.started)
    artifacts, collections = list_main_artifacts(specs), list_collections(specs)
    names = set(state.folders)

    def visit(scanned: ScannedRun, identity: FolderIdentity | None, documents: Documents) -> None:
        claims_nothing = claims_no_registry(documents, artifacts, collections)
        cache.add(make_run_line(scanned), identity, claims_nothing=claims_nothing)

    visit_run_folders(
        repository,
        [shard.run_root],
        visit,
        skip=lambda _root_path, _run_root, run_ids: (
            state.unchanged | {run_id for run_id in run_ids if run_id not in names}
        ),
        exclude_dagster_run=run.dagster_run_id,
    )
    return state, cache.make_shard(run.started)
