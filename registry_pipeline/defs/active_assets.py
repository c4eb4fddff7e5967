"""The two assets of activation: the pointers, and the health report on the active runs."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from dagster import (
    AssetExecutionContext,
    AssetObservation,
    AssetsDefinition,
    Backoff,
    Config,
    DagsterInstance,
    DagsterRun,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    RetryPolicy,
    asset,
)
from pydantic import Field

from registry_pipeline.canonical import json_line, parse_utc, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, metadata, step_log
from registry_pipeline.defs.active_checks import list_refused_checks
from registry_pipeline.defs.assets import CONTROL_GROUP, OWNERS, code_version, make_asset_attributes
from registry_pipeline.defs.code_references import make_code_references
from registry_pipeline.defs.location import Location, location_of
from registry_pipeline.defs.proposal import (
    POINTERS_ASSET,
    REFUSED_AT_TAG,
    REFUSED_RUNS_TAG,
    REFUSED_TAG,
    describe_refusal,
    propose,
    refusal_to_tag,
)
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline import rebuild, steps
from registry_pipeline.pointers import activation
from registry_pipeline.registries import validation
from registry_pipeline.registries.base import seal_build, sealed_input
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.registries.system_health.page import PAGE
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import Activation, SealedRun
from registry_pipeline.values import replace

REPORT_ASSET: Final = "system_health_report"
ACTIVATE_JOB: Final = "activate_pointers_job"
POINTERS_POOL: Final = "pointers"


class RunToActivate(Config):
    """A sealed run, with the root that it must have."""

    run_id: str
    run_root: str
    relpath: str | None = None
    manifest_sha256: str

    def ref(self) -> SealedRef:
        """Return the reference."""
        return SealedRef(self.run_id, self.run_root, self.relpath, self.manifest_sha256)


class ActivationRequest(Config):
    """The runs to activate, by registry; used in `activate_pointers_job` only."""

    runs: dict[str, RunToActivate] = Field(
        default_factory=dict,
        description="Empty: what the activation sensor would request now. Who activates is not configured.",
    )


def make_pointers_asset(catalog: Catalog, location: Location, clock: Callable[[], datetime]) -> AssetsDefinition:
    """Return the asset of the pointer file, which moves pointers in ACTIVATE_JOB only; `clock` returns the present."""

    @asset(
        key=location.key(POINTERS_ASSET),
        deps=[location.key(name) for name in catalog.with_pointer],
        description=(
            "The active run of each registry. Pointers move only in `activate_pointers_job`. Materialized by itself, "
            "this asset shows the pointer file as it is."
        ),
        group_name=CONTROL_GROUP,
        kinds={"json"},
        owners=list(OWNERS),
        code_version=code_version(catalog.spec_of("pointer_activation")),
        metadata=make_code_references("registry_pipeline.pointers.activation.activate"),
        pool=location.name_in_instance(POINTERS_POOL),
        retry_policy=RetryPolicy(max_retries=3, delay=1, backoff=Backoff.EXPONENTIAL),
    )
    def active_registry_pointers(
        context: AssetExecutionContext, config: ActivationRequest, repository: ResourceParam[RepositoryResource]
    ) -> MaterializeResult[None]:
        moved = None
        with as_dagster_failure():
            loaded = repository.load_in_run(context.run.run_id)
            if context.run.job_name == ACTIVATE_JOB:
                requested = {name: run.ref() for name, run in sorted(config.runs.items())}
                if not requested:
                    proposal = propose(repository.instance, loaded)
                    requested = {run.registry_id: run.ref for run in proposal.runs}
                if requested:
                    moved = _activate(context, repository, loaded, requested, clock())
            pointers = pointer_file.read_pointers(loaded)
        page = metadata.make_pointers_metadata(pointers) | _make_moves_metadata(moved)
        return MaterializeResult(metadata=page, data_version=pointers_version(pointers))

    return active_registry_pointers


def _activate(
    context: AssetExecutionContext,
    resource: RepositoryResource,
    repository: Repository,
    requested: Mapping[str, SealedRef],
    now: datetime,
) -> Activation | None:
    """Validate the requested runs again and activate them together; None if all were active.

    A refusal tags the Dagster run, so that the sensor does not repeat it, fails the check `active` of the registries
    that it names, and raises Failure.
    """
    run_id = context.run.run_id
    run = replace(resource.build_run(run_id), started=now)
    # (1) Validate each run again: the checks may be older than the last change of its folder.
    candidates = []
    for registry_id, ref in requested.items():
        report = pointer_file.verify_referenced_run(repository, ref)
        sealed = sealed_input.make_sealed_run(catalog_of(repository).spec_of(registry_id).registry_id, ref, report)
        candidates.append((sealed, validation.validate(repository, sealed)))
    # (2) Activate them together.
    location = location_of(repository)
    pointers = pointer_file.read_pointer_hash(repository)
    actor, reason = find_actor(resource.instance, context.run)
    # Validation takes a while. It raises if the run has ended or was cancelled since: then no pointer moves.
    resource.load_in_run(run_id)
    outcome = activation.activate(repository, run, candidates, actor=actor, reason=reason)
    if outcome is None:
        context.log.info("no pointer moved: all requested runs are active")
        return None
    if isinstance(outcome, Activation):
        _log_activation(context, outcome)
        # The page of a registry shows an observation beside what was true when it was built.
        moved = {move.registry_id for move in outcome.moves}
        for sealed, _ in candidates:
            if sealed.registry_id in moved:
                page = metadata.make_sealed_metadata(repository, sealed, now, {"state": "activated"})
                context.log_event(AssetObservation(location.key(sealed.registry_id), metadata=page))
        return outcome
    # (3) Tag a refused run, so that the sensor does not request the same runs again, and say so at the registries.
    errors = [finding for finding in outcome.findings if finding.severity is Severity.ERROR]
    refused = describe_refusal(errors, requested)
    tags = {
        REFUSED_TAG: ",".join(sorted({finding.code for finding in errors})),
        REFUSED_AT_TAG: pointers or "none",
        REFUSED_RUNS_TAG: refusal_to_tag(refused),
    }
    resource.instance.add_run_tags(run_id, tags)
    for event in list_refused_checks(resource.instance, location, refused, requested):
        context.log_event(event)
    raise Failure(
        "; ".join(_format_refusal(requested, finding) for finding in errors) + " (no pointer moved)",
        metadata=metadata.make_findings_metadata(outcome.findings),
        allow_retries=False,
    )


def _log_activation(context: AssetExecutionContext, moved: Activation) -> None:
    step_log.log_findings(context.log, moved.findings)
    context.log.info(printable(f"{len(moved.moves)} pointers moved, recorded in {moved.record.path}"))


def _format_refusal(requested: Mapping[str, SealedRef], finding: Finding) -> str:
    names = [name for name, ref in requested.items() if finding.path == ref.path]
    subject = names[0] if names else finding.path
    return printable(f"{subject}: {finding.code}: {finding.full_message}. Next: {finding.hint}")


def find_actor(instance: DagsterInstance, run: DagsterRun) -> tuple[str, str]:
    """Return who activates in a Dagster run and why, from what Dagster states of its launch, never from its config.

    The actor is `dagster:` with the sensor or schedule, or the user if the run is tagged with one, else `unknown`, and
    the id of the run.
    """
    launcher = event_log.find_launcher(instance, run)
    user = event_log.find_user(run)
    who = launcher or ("unknown" if user is None else f"{user} (by the tag `user`)")
    reason = "every blocking check passed" if launcher is not None else f"{run.job_name} was launched by hand"
    return printable(f"dagster:{who} (Dagster run {run.run_id})"), reason


def pointers_version(pointers: PointerFile) -> DataVersion:
    """Return the hash of the active roots by registry, which changes only if a pointer moves."""
    roots = {name: ref.manifest_sha256 for name, ref in pointers.active_refs().items()}
    return DataVersion(sha256_hex(json_line(dict(sorted(roots.items())))))


def _make_moves_metadata(moved: Activation | None) -> metadata.Metadata:
    if moved is None:
        return {"moved": 0}
    record = printable(moved.record.path)
    return {"moved": len(moved.moves), "activation_record": record} | metadata.make_findings_metadata(moved.findings)


def make_report_asset(catalog: Catalog, location: Location) -> AssetsDefinition:
    """Return the asset of the health report on the active runs.

    If rendering is refused, its page says why; the step of a run that was launched for the report alone fails.
    """
    spec = catalog.spec_of(REPORT_ASSET)
    pointers_key = location.key(POINTERS_ASSET)

    @asset(deps=[pointers_key], **make_asset_attributes(spec, location))
    def system_health_report(
        context: AssetExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> MaterializeResult[None]:
        with as_dagster_failure():
            try:
                run = _start_report_run(repository, context.run.run_id)
                loaded = repository.load()
                spec, built = catalog_of(loaded).spec_of(REPORT_ASSET), rebuild.build_report(loaded, run)
                # It raises if the run has ended or was cancelled since: then nothing is sealed any more.
                sealed = steps.seal(repository.load_in_run(context.run.run_id), run, spec, built)
            except RefusedError as refused:
                # In a run with the pointers (all assets: no selection) it is no failure that nothing is active yet.
                selected = context.run.asset_selection
                if selected and pointers_key not in selected:
                    raise
                context.log.warning(printable(f"not rendered: {refused.message}. Next: {refused.advice}"))
                return MaterializeResult(
                    metadata={"state": printable(refused.message), "advice": printable(refused.advice)}
                )
            context.log.info("rendered: %s", step_log.format_run(sealed))
            return MaterializeResult(metadata=_report_metadata(repository.load(), sealed, run.started))

    return system_health_report


def _start_report_run(resource: RepositoryResource, dagster_run_id: str) -> seal_build.BuildRun:
    run = resource.build_run(dagster_run_id)
    activated = parse_utc(pointer_file.read_pointers(resource.load()).document.get("last_updated_utc"))
    # The report of an activation must not be older than it, though the Dagster run started before.
    return run if activated is None else replace(run, started=max(run.started, activated))


def _report_metadata(repository: Repository, sealed: SealedRun, now: datetime) -> metadata.Metadata:
    spec = catalog_of(repository).spec_of(REPORT_ASSET)
    kept = sealed_input.read_sealed_report(repository, spec, sealed.ref).kept
    page = MetadataValue.path(printable(str(repository.path(sealed.ref.path) / PAGE)))
    content = metadata.make_report_metadata(spec, kept) | {"health_page": page}
    return metadata.make_sealed_metadata(repository, sealed, now, content)


def utc_now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - an interface reads the clock
