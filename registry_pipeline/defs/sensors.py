"""The jobs, the schedules, and the sensor that proposes checked snapshots for activation.

What starts by itself is made by a function, because the way of starting Dagster decides whether it is on.
"""

from typing import Final

from dagster import (
    AssetCheckKey,
    AssetSelection,
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    ResourceParam,
    RunConfig,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    define_asset_job,
    sensor,
)

from registry_pipeline.config import Repository
from registry_pipeline.dagster.dagster_internals import UnresolvedAssetJobDefinition
from registry_pipeline.defs.active_assets import (
    ACTIVATE_JOB,
    REPORT_ASSET,
    ActivationRequest,
    RunToActivate,
)
from registry_pipeline.defs.active_checks import ACTIVE_CHECK, list_changed_checks
from registry_pipeline.defs.automation import REBUILD_CRON
from registry_pipeline.defs.job_limits import make_job_tags
from registry_pipeline.defs.location import Location, location_of
from registry_pipeline.defs.proposal import (
    CLOSURE_TAG,
    POINTERS_ASSET,
    REBUILD_JOB,
    Obstacle,
    Proposal,
    find_closure,
    propose,
)
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.defs.sources import make_source_key
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.registries.base.delta import DELTA_LOG
from registry_pipeline.registries.catalog import Catalog
from registry_pipeline.registries.sources import list_sources

CHECK_POINTERS_JOB: Final = "check_pointers_job"
# Of a run of that job: the Dagster run whose refusal it follows.
AFTER_TAG: Final = "registry_pipeline/after_refusal_in"


def make_activate_job(location: Location) -> UnresolvedAssetJobDefinition:
    """Return the job that moves pointers."""
    return define_asset_job(
        ACTIVATE_JOB,
        selection=AssetSelection.assets(*map(location.key, (POINTERS_ASSET, DELTA_LOG, REPORT_ASSET))),
        description=(
            "Validate runs again, activate them in one move, check the pointers, extend the delta log and render the "
            "report. The activation sensor launches it with the runs. Launched by hand, it activates what the sensor "
            "would request."
        ),
        tags=make_job_tags(ACTIVATE_JOB, location),
    )


def _select_active_checks(catalog: Catalog, location: Location) -> AssetSelection:
    # What the sensor writes; a build must not wait for it.
    return AssetSelection.checks(*(AssetCheckKey(location.key(name), ACTIVE_CHECK) for name in catalog.with_pointer))


def make_rebuild_job(catalog: Catalog, location: Location) -> UnresolvedAssetJobDefinition:
    """Return the job that builds every registry of a catalog."""
    sources = [make_source_key(name, location) for name in list_sources(catalog)]
    assets = AssetSelection.assets(*sources, *map(location.key, catalog.with_pointer))
    return define_asset_job(
        REBUILD_JOB,
        selection=assets - _select_active_checks(catalog, location),
        description=(
            "Observe the sources, and build, seal and check every registry. Moves no pointer; the sensor does if all "
            "checks pass."
        ),
        tags=make_job_tags(REBUILD_JOB, location),
    )


def make_check_pointers_job(catalog: Catalog, location: Location) -> UnresolvedAssetJobDefinition:
    """Return the job that checks the pointers and the active runs of the registries of a catalog."""
    checks = AssetSelection.checks_for_assets(location.key(POINTERS_ASSET)) | _select_active_checks(catalog, location)
    return define_asset_job(
        CHECK_POINTERS_JOB,
        selection=checks | AssetSelection.assets(location.key(DELTA_LOG)),
        description=(
            "Verify the pointer file, its chain and every active run, check whether the newest builds are active, and "
            "extend the delta log by what was sealed and not activated. Moves no pointer."
        ),
        tags=make_job_tags(CHECK_POINTERS_JOB, location),
    )


def make_daily_schedule(rebuild_job: UnresolvedAssetJobDefinition) -> ScheduleDefinition:
    """Return the schedule of the job that builds every registry."""
    return ScheduleDefinition(
        name="daily_rebuild_schedule",
        job=rebuild_job,
        cron_schedule=REBUILD_CRON,
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.STOPPED,
        description="Builds, seals and checks every registry at 03:00 UTC. Off until you switch it on.",
    )


def make_hourly_schedule(check_pointers_job: UnresolvedAssetJobDefinition, *, on: bool) -> ScheduleDefinition:
    """Return the schedule that checks the pointers; `on` is its default status."""
    return ScheduleDefinition(
        name="hourly_pointers_schedule",
        job=check_pointers_job,
        cron_schedule="17 * * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED,
        description=(
            "Verifies the active runs every hour, so that a deleted or altered one is seen before it is used, and "
            "extends the delta log."
        ),
    )


def make_activation_sensor(
    activate_job: UnresolvedAssetJobDefinition, check_pointers_job: UnresolvedAssetJobDefinition, *, on: bool
) -> SensorDefinition:
    """Return the sensor that evaluates `activation_sensor`; `on` is its default status."""
    return sensor(
        jobs=[activate_job, check_pointers_job],
        default_status=DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description=(
            "Activates builds whose blocking checks all passed: the largest set that is consistent. A tick that "
            "requests nothing says why, and so does the check `active` of each registry. While it is off, builds stay "
            "sealed and inactive until `registry-pipeline activate REGISTRY RUN --reason TEXT`."
        ),
    )(activation_sensor)


def activation_sensor(
    context: SensorEvaluationContext, repository: ResourceParam[RepositoryResource]
) -> SensorResult | SkipReason:
    """Request the activation of the proposed builds, and write the check `active` where its result has changed."""
    try:
        loaded = repository.load()
        proposal = propose(context.instance, loaded)
        events = list_changed_checks(context.instance, proposal)
        if proposal.runs:
            return SensorResult(run_requests=[_make_request(loaded, proposal)], asset_events=events)
        if proposal.refused_in is not None and not _was_requested(context.instance, proposal.refused_in):
            # The steps after a refusal were skipped: the delta log lists what was sealed all the same.
            after = RunRequest(job_name=CHECK_POINTERS_JOB, tags={AFTER_TAG: proposal.refused_in})
            return SensorResult(run_requests=[after], asset_events=events)
        return SensorResult(skip_reason=printable(_explain_skip(proposal)), asset_events=events)
    except RegistryPipelineError as error:
        return SkipReason(printable(f"{error.message}; {error.advice}"))


def _was_requested(instance: DagsterInstance, refused_in: str) -> bool:
    return instance.get_runs_count(RunsFilter(job_name=CHECK_POINTERS_JOB, tags={AFTER_TAG: refused_in})) > 0


def _explain_skip(proposal: Proposal) -> str:
    """Return why nothing is activated: at most three reasons, each with its next step first."""
    if not proposal.newest:
        return f"launch {REBUILD_JOB} (nothing was built through Dagster yet)"
    if proposal.summary is not None:
        return str(proposal.summary)
    reasons = [f"{registry_id}: {obstacle}" for registry_id, obstacle in proposal.obstacles.items()]
    if proposal.pending:
        building = list_some(sorted(proposal.pending), ", ")
        reasons.append(str(Obstacle(f"{building}: built by a Dagster run that is not finished", "wait for its end")))
    return list_some(reasons, "; ") or "the newest build of every registry is active"


def _make_request(repository: Repository, proposal: Proposal) -> RunRequest:
    closure, location = find_closure(repository, proposal.runs), location_of(repository)
    runs = {run.registry_id: RunToActivate(**run.ref.to_json()) for run in proposal.runs}
    return RunRequest(
        # Dagster never launches a run key twice, so the key contains the number of failed runs.
        run_key=f"{closure}:{proposal.attempts}",
        job_name=ACTIVATE_JOB,
        run_config=RunConfig(ops={location.op_name(POINTERS_ASSET): ActivationRequest(runs=runs)}),
        tags={CLOSURE_TAG: closure, **location.run_tags},
    )
