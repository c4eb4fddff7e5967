"""The sources as external assets: Dagster observes them and makes none of them."""

import warnings
from collections.abc import Iterator
from typing import Any, Final

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    AutomationCondition,
    BetaWarning,
    DataVersion,
    ObserveResult,
    ResourceParam,
    multi_observable_source_asset,
)

from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.metadata import Metadata
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.catalog import Catalog
from registry_pipeline.registries.sources import GIT, RUN_ROOTS, UNOBSERVED, list_sources, read_source

SOURCES_GROUP: Final = "sources"
_DESCRIPTIONS: Final = {
    GIT: "The commit that is checked out. Its data version is the commit.",
    RUN_ROOTS: (
        "The run folders in the run roots. The data version is that of their names, without the folders of this "
        "pipeline, so that a build does not change it; a change inside a folder does not change it either."
    ),
}


def make_source_key(name: str, location: Location) -> AssetKey:
    """Return the asset key of a source."""
    return location.key(SOURCES_GROUP, *name.split("."))


def list_source_keys(spec: RegistrySpec, location: Location) -> list[AssetKey]:
    """Return the asset keys of the sources from which a registry is built."""
    return [make_source_key(name, location) for name in spec.sources if name not in UNOBSERVED]


def make_source_assets(
    catalog: Catalog, location: Location, condition: AutomationCondition[Any] | None
) -> AssetsDefinition:
    """Return the sources as observable assets, with the hash of their content as data version.

    The condition says when they are observed by themselves.
    """
    names = {make_source_key(name, location): name for name in list_sources(catalog)}
    specs = [
        AssetSpec(
            key,
            group_name=SOURCES_GROUP,
            description=_DESCRIPTIONS.get(
                name, f"The files that `{name}` of {CONFIG_NAME} names. The data version is that of their content."
            ),
            kinds={"git" if name == GIT else "file"},
            automation_condition=condition,
        )
        for key, name in names.items()
    ]

    def observe_sources(
        context: AssetExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[ObserveResult]:
        with as_dagster_failure():
            loaded = repository.load_in_run(context.run.run_id)
            for key in sorted(context.selected_asset_keys):
                yield _observe(loaded, key, names[key])

    with warnings.catch_warnings():
        # Beta in Dagster 1.13.27 and tested here. A step for each source would take longer than the build.
        warnings.simplefilter("ignore", BetaWarning)
        assets: AssetsDefinition = multi_observable_source_asset(specs=specs, can_subset=True)(observe_sources)
    return assets


def _observe(repository: Repository, key: AssetKey, name: str) -> ObserveResult:
    source = read_source(repository, name)
    page: Metadata = {"state": source.state, "paths": printable(list_some(source.paths, ", ")) or "none"}
    page |= {"run_folders" if name == RUN_ROOTS else "files": source.count} if source.paths else {}
    page |= {"problem": printable(source.problem)} if source.problem else {}
    return ObserveResult(asset_key=key, data_version=DataVersion(source.version), metadata=page)


def make_external_assets(catalog: Catalog, location: Location) -> list[AssetSpec]:
    """Return the registries outside of the repository, which cannot be observed."""
    return [
        AssetSpec(
            location.key(spec.registry_id),
            group_name=SOURCES_GROUP,
            description=f"{spec.title}\n\nNot observed: {spec.excluded_because}.",
            kinds={spec.kind},
        )
        for spec in catalog.registries.values()
        if spec.kind == "external"
    ]
