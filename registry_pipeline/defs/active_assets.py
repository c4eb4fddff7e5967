"""The two assets behind activation: the pointers, and the report that is rendered from what they put in force.

Holds how a request to move pointers reaches the runbook. Keeps out whether they may move. May import `runbook`,
`catalog`, the other files of this room and Dagster.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    Backoff,
    Config,
    DataVersion,
    Failure,
    MaterializeResult,
    RetryPolicy,
    asset,
)
from pydantic import Field

from registry_pipeline.canonical import json_line, parse_utc, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.defs import metadata
from registry_pipeline.defs.assets import GROUP, OWNERS, asset_words, code_version
from registry_pipeline.defs.resources import GovernedRepository, as_dagster_failure
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.display import printable
from registry_pipeline.pipeline import render as pipeline_render
from registry_pipeline.pointers import activation as pointers_activation
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.base import seal_build, sealed_input
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal, SealedRun
from registry_pipeline.values import replace

POINTERS_ASSET: Final = "active_registry_pointers"
REPORT_ASSET: Final = "system_health_report"
ACTIVATE_JOB: Final = "activate_pointers_job"
POINTERS_POOL: Final = "pointers"
REFUSED_TAG: Final = "registry_pipeline/refused"
REFUSED_AT_TAG: Final = "registry_pipeline/refused_at_pointers"


class RunToActivate(Config):
    """A sealed run, named with the root that it must have."""

    run_id: str
    run_root: str
    relpath: str | None = None
    manifest_sha256: str

    def ref(self) -> SealedRef:
        """Return the reference."""
        return SealedRef(self.run_id, self.run_root, self.relpath, self.manifest_sha256)


class ActivationRequest(Config):
    """Which runs to put in force, by registry; heeded in `activate_pointers_job` only."""

    runs: dict[str, RunToActivate] = Field(default_factory=dict)
    actor: str = "dagster"
    reason: str = "the checks of its build passed"


def pointers_asset(clock: Callable[[], datetime]) -> AssetsDefinition:
    """Return the asset that stands for the pointer file; `clock` tells the moment of activation."""

    @asset(
        name=POINTERS_ASSET,
        deps=[spec.registry_id for spec in BUILD_ORDER if spec.pointer],
        description=(
            "Which snapshot of each registry is in force. Pointers move in `activate_pointers_job` only, which the "
            "activation sensor launches; materialized by hand, this shows the pointer file as it is."
        ),
        group_name=GROUP,
        kinds={"json"},
        owners=list(OWNERS),
        code_version=code_version(registries_validation.spec_of("pointer_activation")),
        pool=POINTERS_POOL,
        retry_policy=RetryPolicy(max_retries=3, delay=1, backoff=Backoff.EXPONENTIAL),
    )
    def active_registry_pointers(
        context: AssetExecutionContext, config: ActivationRequest, governed: GovernedRepository
    ) -> MaterializeResult[None]:
        moved = None
        with as_dagster_failure():
            if context.run.job_name == ACTIVATE_JOB and config.runs:
                moved = _activate(governed, config, context.run.run_id, clock())
            pointers = pointer_file.read_pointers(governed.governed())
        page = metadata.pointers_metadata(pointers) | _moves_page(moved)
        return MaterializeResult(metadata=page, data_version=pointers_version(pointers))

    return active_registry_pointers


def _activate(
    resource: GovernedRepository, request: ActivationRequest, dagster_run_id: str, now: datetime
) -> Activation | None:
    """Judge the runs anew and put them in force together; a refusal is tagged, so that it is not asked for again."""
    governed = resource.governed()
    run = replace(resource.build_run(dagster_run_id), started=now)
    judged = []
    for registry_id, named in sorted(request.runs.items()):
        sealed = _named_run(governed, registry_id, named.ref())
        judged.append((sealed, registries_validation.validate(governed, sealed)))
    pointers = pointer_file.pointer_hash(governed)
    outcome = pointers_activation.activate(governed, run, judged, actor=request.actor, reason=request.reason)
    if isinstance(outcome, Refusal):
        codes = sorted({finding.code for finding in outcome.findings})
        tags = {REFUSED_TAG: ",".join(codes), REFUSED_AT_TAG: pointers or "none"}
        resource.instance.add_run_tags(dagster_run_id, tags)
        raise Failure(
            "refused, no pointer moved: " + "; ".join(printable(finding.message) for finding in outcome.findings),
            metadata=metadata.findings_metadata(outcome.findings),
            allow_retries=False,
        )
    return outcome


def pointers_version(pointers: PointerFile) -> DataVersion:
    """Return the hash of what is in force, without since when: moving nothing changes nothing downstream."""
    roots = {p.registry_id: p.ref.manifest_sha256 for p in pointers.pointers if p.known is True and p.ref is not None}
    return DataVersion(sha256_hex(json_line(dict(sorted(roots.items())))))


def _named_run(governed: Repository, registry_id: str, ref: SealedRef) -> SealedRun:
    return sealed_input.sealed_run(
        registries_validation.spec_of(registry_id).registry_id, ref, pointer_file.read_report(governed, ref)
    )


def _moves_page(moved: Activation | None) -> metadata.Metadata:
    if moved is None:
        return {"moved": 0}
    return {
        "moved": len(moved.moves),
        "activation_record": printable(f"{moved.record.run_root}/{moved.record.run_id}"),
    } | metadata.findings_metadata(moved.findings)


def report_asset() -> AssetsDefinition:
    """Return the asset that is rendered from the active registries, whatever else this run has built."""
    spec = registries_validation.spec_of(REPORT_ASSET)

    @asset(deps=[POINTERS_ASSET], **asset_words(spec))
    def system_health_report(context: AssetExecutionContext, governed: GovernedRepository) -> MaterializeResult[None]:
        with as_dagster_failure():
            try:
                sealed = pipeline_render.render(governed.governed(), _rendering_run(governed, context.run.run_id))
            except RefusedError as refused:
                return MaterializeResult(
                    metadata={"state": printable(refused.message), "advice": printable(refused.advice)}
                )
            return MaterializeResult(metadata=_report_page(governed.governed(), sealed))

    return system_health_report


def _rendering_run(resource: GovernedRepository, dagster_run_id: str) -> seal_build.BuildRun:
    """Return the build run of a report: as of the moment of activation, where that came after the run's start."""
    run = resource.build_run(dagster_run_id)
    updated = pointer_file.read_pointers(resource.governed()).document.get("last_updated_utc")
    activated = parse_utc(updated)
    return run if activated is None else replace(run, started=max(run.started, activated))


def _report_page(governed: Repository, sealed: SealedRun) -> metadata.Metadata:
    spec = spec_of(REPORT_ASSET)
    kept = read_sealed(governed, spec, sealed.ref).kept
    return metadata.sealed_metadata(governed, sealed, metadata.report_metadata(spec, kept))


def utc_now() -> datetime:
    """Return the present moment, in UTC: the clock where no other is given."""
    return datetime.now(UTC)  # noqa: TID251 - one of the two doors
