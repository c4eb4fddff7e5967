"""The assets that are built: one per registry of the build order."""

from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any, Final, TypedDict

from dagster import (
    AssetExecutionContext,
    AssetIn,
    AssetsDefinition,
    DataVersion,
    Failure,
    MaterializeResult,
    RetryPolicy,
    asset,
)

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.defs.metadata import make_findings_metadata
from registry_pipeline.defs.resources import RepositoryResource, as_dagster_failure
from registry_pipeline.findings.display import printable
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun

SEALED_IO: Final = "sealed_io"
OWNERS: Final = ("team:registry-layer",)
# A single group: with several, Dagster's first page shows boxes of groups instead of the graph.
GROUP: Final = "registry_layer"


def make_registry_asset(spec: RegistrySpec) -> AssetsDefinition:
    """Return the asset of a registry, built from its sources and sealed upstreams; the IO manager seals its value."""
    # If two runs extend a log at once, sealing refuses the second; its retry builds on the first.
    retry = RetryPolicy(max_retries=3) if spec.append_only else None

    @asset(
        ins={name: AssetIn(name) for name in spec.depends_on},
        deps=list(spec.after),
        io_manager_key=SEALED_IO,
        retry_policy=retry,
        **make_asset_attributes(spec),
    )
    def build_registry(
        context: AssetExecutionContext, repository: RepositoryResource, **upstream: SealedRun | None
    ) -> MaterializeResult[Any]:
        sealed = {name: run for name, run in upstream.items() if run is not None}
        with as_dagster_failure():
            run = repository.build_run(context.run.run_id)
            built = steps.build(repository.load(), run, spec, sealed)
        if spec.append_only and isinstance(built, NotBuilt):
            # A missing source is no failure. A log that cannot be extended is: somebody has to repair it.
            text = "; ".join(printable(f"{finding.message} -> {finding.hint}") for finding in built.findings)
            raise Failure(text, metadata=make_findings_metadata(built.findings), allow_retries=False)
        return MaterializeResult(value=built, data_version=data_version(built))

    return build_registry


class AssetAttributes(TypedDict):
    """Arguments of `@asset` that come from the catalog."""

    name: str
    description: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    tags: dict[str, str]
    code_version: str


def make_asset_attributes(spec: RegistrySpec) -> AssetAttributes:
    """Return the arguments of `@asset` for a registry."""
    file_names = (*spec.artifacts, *(pattern for pattern, _ in spec.schemas))
    suffixes = {PurePosixPath(name).suffix.removeprefix(".") for name in file_names}
    description = f"{spec.title}\n\nEach materialization is a sealed run folder, which never changes."
    if spec.pointer:
        description += " The newest run is not always the active one: see `active_registry_pointers`."
    return {
        "name": spec.registry_id,
        "description": description,
        "group_name": GROUP,
        "kinds": {spec.kind, *suffixes},
        "owners": list(OWNERS),
        "tags": {"registry_pipeline/operation": spec.operation_id} if spec.operation_id else {},
        "code_version": code_version(spec),
    }


# Without a code version, Dagster takes each run for a new version.
def code_version(spec: RegistrySpec) -> str:
    """Return the schema version of a registry with the version of this program, as `0.1+1.2.3`."""
    return f"{spec.version}+{version('registry-pipeline')}"


def data_version(built: Built | NotBuilt) -> DataVersion:
    """Return the hash of the content without its timestamps, or of the findings if there is no content."""
    if isinstance(built, Built):
        return DataVersion(built.artifacts.content_sha256)
    return DataVersion(sha256_hex(b"".join(json_line(finding.to_json()) for finding in built.findings)))
