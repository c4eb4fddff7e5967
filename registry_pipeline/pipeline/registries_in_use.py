"""Find the registries that a repository does not use: disabled ones, and those without any source that ever existed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from registry_pipeline.config import Config, Repository
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.collections.members import has_members
from registry_pipeline.registries.sources import find_source_paths
from registry_pipeline.runs.reference import PointerFile, RunId
from registry_pipeline.runs.scan import list_run_roots


def find_unused_registries(
    repository: Repository,
    pointers: PointerFile,
    moved: Collection[str],
    specs: Mapping[str, RegistrySpec] | None = None,
) -> frozenset[str]:
    """Return the registries that the repository does not use, none of which has a known pointer.

    A registry is unused if the toml disables it. A captured registry, a collection, an external one and one with
    partitions are unused if the toml does not name them, no source exists (of partitions: `history_start`), no run
    folder has their tag, and no pointer of them has `moved`.
    """
    config = repository.config
    specs = catalog_of(repository).registries if specs is None else specs
    without_pointer = {name: spec for name, spec in specs.items() if not _has_known_pointer(pointers, name)}
    disabled = catalog_of(repository).find_disabled(config) & without_pointer.keys()
    traceless = {
        name: spec
        for name, spec in without_pointer.items()
        if name not in moved and not _is_named(config, spec) and not _has_source(repository, spec)
    }
    return frozenset(disabled | (set(traceless) - _find_registries_with_runs(repository, traceless)))


def _has_known_pointer(pointers: PointerFile, registry_id: str) -> bool:
    pointer = pointers.get(registry_id)
    # Older tools list registries of which nothing was ever active as "unknown".
    return pointer is not None and (pointer.ref is not None or pointer.known != "unknown")


def _is_named(config: Config, spec: RegistrySpec) -> bool:
    """Return whether the toml names a registry, or a source of it that is not the default."""
    if spec.is_own or spec.registry_id in config.captured or spec.registry_id in (config.enabled or ()):
        return True
    default = Config()
    return spec.kind == "captured" and any(
        find_source_paths(config, source) != find_source_paths(default, source) for source in spec.sources
    )


def _has_source(repository: Repository, spec: RegistrySpec) -> bool:
    """Return whether a source exists; a registry that is built from other things than files always has one."""
    if spec.kind == "collection":
        return has_members(repository, spec)
    if spec.partitioned:
        return repository.config.history_start is not None
    if spec.kind != "captured":
        return spec.kind != "external"
    paths = (path for source in spec.sources for path in find_source_paths(repository.config, source))
    return any(os.path.lexists(repository.path(path)) for path in paths)


def _find_registries_with_runs(repository: Repository, specs: Mapping[str, RegistrySpec]) -> set[str]:
    """Return the registries that have a run folder in any run root, by the tag in its name."""
    by_tag = {spec.tag: name for name, spec in specs.items() if spec.tag is not None}
    found: set[str] = set()
    run_roots = repository.config.run_roots
    for _, entries in list_run_roots(repository, run_roots, lambda _root, _error: None):
        for name in entries.select_tagged(by_tag).folders:
            run_id = RunId.parse(name)
            if run_id is not None and run_id.tag in by_tag:
                found.add(by_tag[run_id.tag])
    return found
