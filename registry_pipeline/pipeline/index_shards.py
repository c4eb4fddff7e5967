"""Build and seal the lines of one shard. One whose folders have not changed keeps its run."""

from __future__ import annotations

from collections.abc import Callable

from registry_pipeline.config import Repository
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.shard_names import INDEX_TAG, Shard
from registry_pipeline.registries.base.shard_runs import seal_shard_run
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.run_registry.index_shards import read_index_shard
from registry_pipeline.registries.run_registry.line_cache import LINES
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type


@value_type
class BuiltIndexShard:
    """The run of a shard: `kept` if its content is that of the run before. Folders without a line are in `left_out`."""

    ref: SealedRef
    kept: bool
    folders: int
    lines: int

    @property
    def left_out(self) -> int:
        """The number of folders that each build reads itself: they could not be read, or have just changed."""
        return self.folders - self.lines


def build_index_shard(
    repository: Repository,
    run: BuildRun,
    shard: Shard,
    *,
    force: bool = False,
    before_sealing: Callable[[], object] = lambda: None,
) -> BuiltIndexShard:
    """Seal the lines of a shard, or keep its newest run if these are the same; with `force` seal them again.

    `before_sealing` may refuse by raising.

    Raises:
        RefusedError: no run folder of a run root without an adapter is in the shard. Others as `seal_shard_run`.
    """
    state, artifacts = read_index_shard(repository, catalog_of(repository).registries, shard, run, force=force)
    newest, lines = state.newest, artifacts[LINES].count(b"\n")
    if newest is not None and not force and newest.files == artifacts:
        return BuiltIndexShard(newest.ref, True, len(state.folders), lines)
    ref = seal_shard_run(repository, run, INDEX_TAG, shard, artifacts, before_sealing)
    return BuiltIndexShard(ref, False, len(state.folders), lines)
