"""The assets that are built: one for each row of the catalog that a build makes.

Holds a factory. Keeps out reading, building and sealing: `runbook` builds, the IO manager seals. May import `runbook`,
`catalog`, the other files of this room and Dagster.
"""

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
from registry_pipeline.defs.metadata import findings_metadata
from registry_pipeline.defs.resources import GovernedRepository, as_dagster_failure
from registry_pipeline.findings.display import printable
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun

SEALED_IO: Final = "sealed_io"
OWNERS: Final = ("team:registry-layer",)
_RETRIES: Final = 3
GROUP: Final = "registry_layer"
"""One group: a page with several shows boxes of groups, where the first look should be at the graph."""


def registry_asset(spec: RegistrySpec) -> AssetsDefinition:
    """Return the asset of a registry: built from its sources and from the sealed runs of its upstreams."""
    ins = {name: AssetIn(name) for name in spec.depends_on}

    # Of two runs that continue a log at once, the second is refused when it seals; tried again, it builds on the first.
    retry = RetryPolicy(max_retries=_RETRIES) if spec.append_only else None

    @asset(ins=ins, deps=list(spec.after), io_manager_key=SEALED_IO, retry_policy=retry, **asset_words(spec))
    def build_registry(
        context: AssetExecutionContext, governed: GovernedRepository, **upstream: SealedRun | None
    ) -> MaterializeResult[Any]:
        sealed = {name: run for name, run in upstream.items() if run is not None}
        with as_dagster_failure():
            run = governed.build_run(context.run.run_id)
            built = steps.build(governed.governed(), run, spec, sealed)
        _fail_where_unsettled(spec, built)
        return MaterializeResult(value=built, data_version=data_version(built))

    return build_registry


def _fail_where_unsettled(spec: RegistrySpec, built: Built | NotBuilt) -> None:
    """Fail the step of a log that cannot be continued: unlike a source that is missing, people must settle it."""
    if spec.append_only and isinstance(built, NotBuilt):
        told = "; ".join(printable(f"{finding.message} -> {finding.hint}") for finding in built.findings)
        raise Failure(told, metadata=findings_metadata(built.findings), allow_retries=False)


class AssetWords(TypedDict):
    """What the page of an asset says of it, whatever was built."""

    name: str
    description: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    tags: dict[str, str]
    code_version: str


def asset_words(spec: RegistrySpec) -> AssetWords:
    """Return what the catalog says of a registry, in Dagster's words."""
    named = (*spec.artifacts, *(pattern for pattern, _ in spec.schemas))
    suffixes = {PurePosixPath(name).suffix.removeprefix(".") for name in named}
    tags = {"registry_pipeline/operation": spec.operation_id} if spec.operation_id else {}
    return {
        "name": spec.registry_id,
        "description": _description(spec),
        "group_name": GROUP,
        "kinds": {spec.kind, *suffixes},
        "owners": list(OWNERS),
        "tags": tags,
        "code_version": code_version(spec),
    }


def _description(spec: RegistrySpec) -> str:
    told = [spec.title, "Each materialization stands for a sealed run folder, which never changes."]
    if spec.pointer:
        told.append("The newest is not always the one in force: `active_registry_pointers` shows which one is.")
    return "\n\n".join((told[0], " ".join(told[1:])))


def code_version(spec: RegistrySpec) -> str:
    """Return the version of the code behind a registry; without one, Dagster takes each run for a new version."""
    return f"{spec.version}+{version('registry-pipeline')}"


def data_version(built: Built | NotBuilt) -> DataVersion:
    """Return the hash of the content without its timestamps; of the findings, where there is no content."""
    if isinstance(built, Built):
        return DataVersion(built.artifacts.content_sha256)
    return DataVersion(sha256_hex(b"".join(json_line(finding.to_json()) for finding in built.findings)))
