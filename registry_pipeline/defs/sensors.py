"""The jobs, and the sensor that proposes checked snapshots for activation."""

from collections.abc import Sequence
from typing import Final

from dagster import (
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunConfig,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SensorEvaluationContext,
    SkipReason,
    define_asset_job,
    sensor,
)

from registry_pipeline.canonical import sha256_hex, short
from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log
from registry_pipeline.defs.active_assets import (
    ACTIVATE_JOB,
    POINTERS_ASSET,
    REFUSED_AT_TAG,
    REFUSED_TAG,
    REPORT_ASSET,
    ActivationRequest,
    RunToActivate,
)
from registry_pipeline.defs.event_log import Materialization
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers import activation
from registry_pipeline.pointers.plan import find_age_obstacle
from registry_pipeline.pointers.state import read_active_runs
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import value_type

REBUILD_JOB: Final = "rebuild_job"
OVERDUE_TAG: Final = "dagster/max_runtime"
# An activation run counts as failed then: the sensor would wait without end for a run whose process died.
OVERDUE_SECONDS: Final = 900
rebuild_job = define_asset_job(
    REBUILD_JOB,
    selection=AssetSelection.assets(*(spec.registry_id for spec in BUILD_ORDER)),
    description="Build, seal and check every registry. Moves no pointer; the sensor does if all checks pass.",
)
activate_pointers_job = define_asset_job(
    ACTIVATE_JOB,
    selection=AssetSelection.assets(POINTERS_ASSET, REPORT_ASSET),
    description=(
        "Validate the named runs again, activate them in one move, then render the report. The activation sensor "
        "launches it with the runs. Launched by hand, it moves nothing and renders the report on the active runs."
    ),
    tags={OVERDUE_TAG: str(OVERDUE_SECONDS)},
)
daily_rebuild_schedule = ScheduleDefinition(
    name="daily_rebuild_schedule",
    job=rebuild_job,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Builds, seals and checks every registry at 03:00 UTC. Off until you switch it on.",
)
# The hash of the registries and roots that a requested run activates.
CLOSURE_TAG: Final = "registry_pipeline/closure"
TRIES: Final = 3
_DEPTH: Final = 5


@value_type
class Proposal:
    """Runs that can be activated together, and why the newest builds of other registries are not among them."""

    runs: tuple[SealedRun, ...]
    reasons: tuple[str, ...]

    @property
    def closure(self) -> str:
        """The hash of the registries and roots, which identifies the set in every tick."""
        lines = sorted(f"{run.registry_id} {run.ref.manifest_sha256}\n" for run in self.runs)
        return sha256_hex("".join(lines).encode())


@sensor(
    job=activate_pointers_job,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=(
        "Activates builds whose blocking checks all passed: the largest set that is consistent. A tick that requests "
        "nothing says why. While it is off, builds stay sealed and inactive until `registry-pipeline activate`."
    ),
)
def activation_sensor(context: SensorEvaluationContext, repository: RepositoryResource) -> RunRequest | SkipReason:
    """Request the activation of the largest consistent set of builds whose blocking checks all passed."""
    try:
        loaded = repository.load()
        proposal = propose(context.instance, loaded)
        if not proposal.runs:
            return SkipReason(printable("; ".join(proposal.reasons)) or "the newest build of every registry is active")
        return request(context.instance, loaded, proposal)
    except RegistryPipelineError as error:
        return SkipReason(printable(f"{error.message}; {error.advice}"))


def propose(instance: DagsterInstance, repository: Repository) -> Proposal:
    """Return the set of builds to activate, the one that moves most registries, and why other builds are not in it."""
    # Builds of overlapping rebuilds are in the event log in any order. So each candidate is tried as the newest of a
    # set, the latest moment first; of sets with equally many registries, the first one wins.
    candidates, reasons = _find_candidates(instance, repository)
    registry_count = len({candidate.registry_id for candidate in candidates})
    best: Sequence[SealedRun] = ()
    blocked: tuple[str, ...] = ()
    for newest in sorted(candidates, key=_moment, reverse=True):
        activatable, findings = activation.select_activatable(
            repository, [_as_checked_run(build) for build in _select_set(newest, candidates)]
        )
        if len(activatable) > len(best):
            best = [run for run, _ in activatable]
        blocked = blocked or tuple(_format_reason(finding) for finding in findings)
        if len(best) == registry_count:
            break
    return Proposal(tuple(best), (*reasons, *blocked))


def _format_reason(finding: Finding) -> str:
    run_id = finding.path.rsplit("/", 1)[-1]
    return finding.message if run_id in finding.message else f"{run_id}: {finding.message}"


def _find_candidates(instance: DagsterInstance, repository: Repository) -> tuple[list[Materialization], list[str]]:
    """Return the checked builds that are newer than the active runs, and why other newest builds are not candidates."""
    pointers = pointer_file.read_pointers(repository)
    active = read_active_runs(repository, pointers)
    registry_ids = [spec.registry_id for spec in BUILD_ORDER if spec.pointer]
    builds = {
        registry_id: event_log.read_materializations(instance, registry_id, _DEPTH) for registry_id in registry_ids
    }
    candidates: list[Materialization] = []
    reasons: list[str] = []
    if not any(builds.values()):
        reasons.append(f"nothing was built through Dagster yet: launch {REBUILD_JOB}")
    for registry_id, materializations in builds.items():
        for index, build in enumerate(materializations):
            if build.sealed is not None and build.sealed.ref == pointers.active(registry_id):
                break
            obstacle = _find_obstacle(instance, build, active.get(registry_id))
            if obstacle is None:
                candidates.append(build)
            elif index == 0:
                reasons.append(f"{registry_id}: {obstacle}")
    return candidates, reasons


def _find_obstacle(instance: DagsterInstance, build: Materialization, active: SealedRun | None) -> str | None:
    """Return why a build is not a candidate: the event log or the active run rules it out. None if it is one."""
    if build.sealed is None:
        return "its source made no run"
    run_id = build.sealed.ref.run_id
    if not build.dagster_run_id:
        return f"{run_id} was sealed by the command line: activate it with `registry-pipeline activate`"
    run = instance.get_run_by_id(build.dagster_run_id)
    if run is not None and not run.is_finished:
        return f"{run_id} belongs to a Dagster run that is not finished"
    for obstacle in find_age_obstacle(build.sealed, active):
        return f"{run_id}: {obstacle.message}"
    checks = event_log.find_unpassed_checks(instance, build)
    return f"{run_id}: " + ", ".join(f"check {name} {why}" for name, why in checks.items()) if checks else None


def _moment(build: Materialization) -> tuple[str, int]:
    return ("" if build.sealed is None else build.sealed.as_of_utc), build.storage_id


def _select_set(newest: Materialization, candidates: Sequence[Materialization]) -> list[Materialization]:
    """Return a build, the candidates that it was built from, and the newest of each other registry at that time."""
    selected: dict[str, Materialization] = {}
    for build in sorted(candidates, key=lambda build: build.storage_id):
        if build.storage_id <= newest.storage_id:
            selected[build.registry_id] = build
    pending = [newest]
    while pending:
        build = pending.pop()
        selected[build.registry_id] = build
        for registry_id, ref in ({} if build.sealed is None else build.sealed.inputs.upstream()).items():
            # An upstream that is not a candidate is active already or ruled out; no other build may replace it.
            selected.pop(registry_id, None)
            pending += [c for c in candidates if c.sealed is not None and c.sealed.ref.identity == ref.identity][:1]
    return list(selected.values())


def _as_checked_run(build: Materialization) -> tuple[SealedRun, Verdict]:
    # The job does not rely on this verdict, which stands for the passed checks: it validates again.
    sealed = build.sealed
    if sealed is None:
        raise ValueError("a candidate has a sealed run")
    return sealed, Verdict(
        sealed.ref.path, sealed.ref.run_id, build.registry_id, "pass", sealed.ref.manifest_sha256, ()
    )


def request(instance: DagsterInstance, repository: Repository, proposal: Proposal) -> RunRequest | SkipReason:
    """Return the request for a proposal, or why not: it is running, was refused or replaced, or failed TRIES times."""
    closure = proposal.closure
    runs = instance.get_runs(RunsFilter(tags={CLOSURE_TAG: closure}))
    names = ", ".join(run.ref.run_id for run in proposal.runs)
    pointers = pointer_file.read_pointer_hash(repository) or "none"
    for run in runs:
        if not run.is_finished:
            return SkipReason(f"the Dagster run {short(run.run_id)} is activating: {names}")
        if run.tags.get(REFUSED_AT_TAG) == pointers:
            return SkipReason(f"refused ({run.tags.get(REFUSED_TAG)}), not requested again: {names}")
        if run.status is DagsterRunStatus.SUCCESS:
            return SkipReason(f"was active and was replaced; use `activate` to activate it again: {names}")
    if len(runs) >= TRIES:
        return SkipReason(f"given up after {len(runs)} failed runs: {names}")
    config = ActivationRequest(
        runs={run.registry_id: RunToActivate(**run.ref.to_json()) for run in proposal.runs},
        actor="dagster:activation_sensor",
        reason="every blocking check passed",
    )
    return RunRequest(
        # Dagster never launches a run key twice, so the key contains the number of failed runs.
        run_key=f"{closure}:{len(runs)}",
        run_config=RunConfig(ops={POINTERS_ASSET: config}),
        tags={CLOSURE_TAG: closure},
    )
