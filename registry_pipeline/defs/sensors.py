"""The jobs, the schedules, and the sensor that proposes checked snapshots for activation."""

from collections.abc import Mapping
from typing import Final

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    ResourceParam,
    RunConfig,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    define_asset_job,
    sensor,
)

from registry_pipeline.canonical import short
from registry_pipeline.config import Repository
from registry_pipeline.defs.active_assets import (
    ACTIVATE_JOB,
    REFUSED_AT_TAG,
    REFUSED_TAG,
    REPORT_ASSET,
    ActivationRequest,
    RunToActivate,
)
from registry_pipeline.defs.active_checks import ACTIVE_CHECK, POINTERS_ASSET, list_changed_checks
from registry_pipeline.defs.proposal import POINTED, REBUILD_JOB, Obstacle, Proposal, propose
from registry_pipeline.defs.resources import ROOT_TAG, RepositoryResource
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import printable
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline.runs import pointer_file

OVERDUE_TAG: Final = "dagster/max_runtime"
# An activation run counts as failed then: the sensor would wait without end for a run whose process died.
OVERDUE_SECONDS: Final = 900
CHECK_POINTERS_JOB: Final = "check_pointers_job"
# What the sensor writes; a build must not wait for it.
_ACTIVE_CHECKS: Final = AssetSelection.checks(*(AssetCheckKey(AssetKey(name), ACTIVE_CHECK) for name in POINTED))
_POINTER_CHECKS: Final = AssetSelection.checks_for_assets(POINTERS_ASSET)
rebuild_job = define_asset_job(
    REBUILD_JOB,
    selection=AssetSelection.assets(*(spec.registry_id for spec in BUILD_ORDER)) - _ACTIVE_CHECKS,
    description="Build, seal and check every registry. Moves no pointer; the sensor does if all checks pass.",
)
activate_pointers_job = define_asset_job(
    ACTIVATE_JOB,
    selection=AssetSelection.assets(POINTERS_ASSET, REPORT_ASSET) | _POINTER_CHECKS,
    description=(
        "Validate runs again, activate them in one move, check the pointers and render the report. The activation "
        "sensor launches it with the runs. Launched by hand, it activates what the sensor would request."
    ),
    tags={OVERDUE_TAG: str(OVERDUE_SECONDS)},
)
check_pointers_job = define_asset_job(
    CHECK_POINTERS_JOB,
    selection=_POINTER_CHECKS,
    description="Verify the pointer file, its chain and every active run. Builds nothing and moves no pointer.",
)
daily_rebuild_schedule = ScheduleDefinition(
    name="daily_rebuild_schedule",
    job=rebuild_job,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Builds, seals and checks every registry at 03:00 UTC. Off until you switch it on.",
)
hourly_pointers_schedule = ScheduleDefinition(
    name="hourly_pointers_schedule",
    job=check_pointers_job,
    cron_schedule="17 * * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Verifies the active runs every hour, so that a deleted or altered one is seen before it is used.",
)
# The hash of the registries and roots that a requested run activates.
CLOSURE_TAG: Final = "registry_pipeline/closure"
TRIES: Final = 3


@sensor(
    job=activate_pointers_job,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=(
        "Activates builds whose blocking checks all passed: the largest set that is consistent. A tick that requests "
        "nothing says why, and so does the check `active` of each registry. While it is off, builds stay sealed and "
        "inactive until `registry-pipeline activate`."
    ),
)
def activation_sensor(
    context: SensorEvaluationContext, repository: ResourceParam[RepositoryResource]
) -> SensorResult | SkipReason:
    """Request the activation of the proposed builds, and write the check `active` where its result has changed."""
    try:
        loaded = repository.load()
        proposal = propose(context.instance, loaded)
        answer = request(context.instance, loaded, proposal) if proposal.runs else None
        obstacles = dict(proposal.obstacles)
        if isinstance(answer, Obstacle):
            obstacles |= {run.registry_id: answer for run in proposal.runs}
        events, cursor = list_changed_checks(proposal, obstacles, context.cursor)
        if isinstance(answer, RunRequest):
            return SensorResult(run_requests=[answer], asset_events=events, cursor=cursor)
        reason = printable(_explain_skip(proposal, answer, obstacles))
        return SensorResult(skip_reason=reason, asset_events=events, cursor=cursor)
    except RegistryPipelineError as error:
        return SkipReason(printable(f"{error.message}; {error.advice}"))


def _explain_skip(proposal: Proposal, answer: SkipReason | Obstacle | None, obstacles: Mapping[str, Obstacle]) -> str:
    if not proposal.newest:
        return f"nothing was built through Dagster yet: launch {REBUILD_JOB}"
    if isinstance(answer, SkipReason):
        return answer.skip_message or ""
    if answer is not None:
        return str(answer)
    reasons = [f"{registry_id}: {obstacle}" for registry_id, obstacle in obstacles.items()]
    return "; ".join(reasons) or "the newest build of every registry is active"


def request(
    instance: DagsterInstance, repository: Repository, proposal: Proposal
) -> RunRequest | SkipReason | Obstacle:
    """Return the request for a proposal; SkipReason while it is running.

    An Obstacle says that it was refused or replaced, or failed TRIES times.
    """
    closure = proposal.closure
    runs = instance.get_runs(RunsFilter(tags={CLOSURE_TAG: closure}))
    names = ", ".join(run.ref.run_id for run in proposal.runs)
    pointers = pointer_file.read_pointer_hash(repository) or "none"
    for run in runs:
        if not run.is_finished:
            return SkipReason(f"the Dagster run {short(run.run_id)} is activating: {names}")
        if run.tags.get(REFUSED_AT_TAG) == pointers:
            reason = f"refused ({run.tags.get(REFUSED_TAG)}), not requested again: {names}"
            return Obstacle(reason, f"open the Dagster run {short(run.run_id)}, which says why")
        if run.status is DagsterRunStatus.SUCCESS:
            return Obstacle(f"was active and was replaced: {names}", "use `registry-pipeline activate` to activate it")
    if len(runs) >= TRIES:
        return Obstacle(
            f"given up after {len(runs)} failed runs: {names}", f"open the Dagster run {short(runs[0].run_id)}"
        )
    config = ActivationRequest(
        runs={run.registry_id: RunToActivate(**run.ref.to_json()) for run in proposal.runs},
    )
    return RunRequest(
        # Dagster never launches a run key twice, so the key contains the number of failed runs.
        run_key=f"{closure}:{len(runs)}",
        run_config=RunConfig(ops={POINTERS_ASSET: config}),
        tags={CLOSURE_TAG: closure, ROOT_TAG: str(repository.root)},
    )
