"""The activation sensor: proposes to put in force what Dagster's checks have passed.

Holds the choice of what to propose, on the evidence of the event log. Keeps out whether it may move: the job judges
anew, and `runbook.activate` decides. May import `runbook`, `catalog`, the other files of this room and Dagster.
"""

from collections.abc import Sequence
from typing import Final

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunConfig,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from registry_pipeline.canonical import sha256_hex, short
from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log
from registry_pipeline.defs.active_assets import (
    POINTERS_ASSET,
    REFUSED_AT_TAG,
    REFUSED_TAG,
    ActivationRequest,
    RunToActivate,
)
from registry_pipeline.defs.event_log import Materialized
from registry_pipeline.defs.jobs import REBUILD_JOB, activate_pointers_job
from registry_pipeline.defs.resources import GovernedRepository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers import activation as pointers_activation
from registry_pipeline.pointers.consistency import ActiveRun
from registry_pipeline.pointers.obstacles import find_age_obstacle
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import value_type

CLOSURE_TAG: Final = "registry_pipeline/closure"
"""Tag of a requested run: the hash of the registries and roots that it puts in force."""
TRIES: Final = 3
_DEPTH: Final = 5


@value_type
class Proposal:
    """Runs that may move together, and why the newest build of each other registry is not among them."""

    runs: tuple[SealedRun, ...]
    reasons: tuple[str, ...]

    @property
    def closure(self) -> str:
        """The hash of the registries and roots: the same set has the same name, however often it is proposed."""
        lines = sorted(f"{run.registry_id} {run.ref.manifest_sha256}\n" for run in self.runs)
        return sha256_hex("".join(lines).encode())


@sensor(
    job=activate_pointers_job,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=(
        "Puts in force what was built and checked: the greatest set of builds that fit together and whose every "
        "blocking check passed. A tick that asks for nothing says why. Switched off, builds stay sealed and not in "
        "force until `registry-pipeline activate`."
    ),
)
def activation_sensor(context: SensorEvaluationContext, governed: GovernedRepository) -> RunRequest | SkipReason:
    """Ask for the greatest consistent set of builds whose every blocking check passed, newest first."""
    try:
        repository = governed.governed()
        proposal = propose(context.instance, repository)
        if not proposal.runs:
            return SkipReason(
                printable("; ".join(proposal.reasons)) or "the newest build of every registry is in force"
            )
        return request(context.instance, repository, proposal)
    except RegistryPipelineError as error:
        return SkipReason(printable(f"{error.message}; {error.advice}"))


def propose(instance: DagsterInstance, governed: Repository) -> Proposal:
    """Return the builds to put in force, judged by the event log and by the closure on the state after the move.

    Of overlapping rebuilds the newest complete one wins. Since their builds may stand in the event log in any order,
    every candidate is looked at together with those that it rests on: the set that moves most registries is taken, of
    two such sets the one that describes the later moment.
    """
    candidates, reasons = _candidates(instance, governed)
    most = len({made.registry_id for made in candidates})
    best: Sequence[SealedRun] = ()
    held: tuple[str, ...] = ()
    for tip in sorted(candidates, key=_newness, reverse=True):
        movable, findings = pointers_activation.select_activatable(
            governed, [_attested(made) for made in _set_of(tip, candidates)]
        )
        if len(movable) > len(best):
            best = [run for run, _ in movable]
        held = held or tuple(_reason(finding) for finding in findings)
        if len(best) == most:
            break
    return Proposal(tuple(best), (*reasons, *held))


def _reason(finding: Finding) -> str:
    run_id = finding.path.rsplit("/", 1)[-1]
    return finding.message if run_id in finding.message else f"{run_id}: {finding.message}"


def _candidates(instance: DagsterInstance, governed: Repository) -> tuple[list[Materialized], list[str]]:
    """Return the builds newer than the active ones whose checks passed, and why the newest others are none."""
    pointers = pointer_file.read_pointers(governed)
    active = pointers_activation.read_active_runs(governed, pointers)
    candidates: list[Materialized] = []
    reasons: list[str] = []
    built = {
        spec.registry_id: event_log.materializations(instance, spec.registry_id, _DEPTH)
        for spec in BUILD_ORDER
        if spec.pointer
    }
    if not any(built.values()):
        reasons.append(f"nothing was built through Dagster yet: launch {REBUILD_JOB}")
    for registry_id, builds in built.items():
        told = False
        for made in builds:
            if made.sealed is not None and made.sealed.ref == pointers.active(registry_id):
                break
            reason = _find_obstacle(instance, made, active.get(registry_id))
            if reason is None:
                candidates.append(made)
            elif not told:
                reasons.append(f"{registry_id}: {reason}")
            told = True
    return candidates, reasons


def _find_obstacle(instance: DagsterInstance, made: Materialized, active: ActiveRun | None) -> str | None:
    """Return why a build cannot be proposed, or None."""
    if made.sealed is None:
        return "its source made no run"
    if not made.dagster_run_id:
        return f"{made.sealed.ref.run_id} was sealed by the command line: `registry-pipeline activate` puts it in force"
    run_id, run = made.sealed.ref.run_id, instance.get_run_by_id(made.dagster_run_id)
    if run is not None and not run.is_finished:
        return f"{run_id} belongs to a Dagster run that is not over"
    for obstacle in find_age_obstacle(made.sealed, active):
        return f"{run_id}: {obstacle.message}"
    unproved = event_log.unproved_checks(instance, made)
    if unproved:
        return f"{run_id}: " + ", ".join(f"check {name} {why}" for name, why in unproved.items())
    return None


def _newness(made: Materialized) -> tuple[str, int]:
    """Return what orders builds in time: the moment that they describe, which is one in a run, then the event log."""
    return ("" if made.sealed is None else made.sealed.as_of_utc), made.storage_id


def _set_of(tip: Materialized, candidates: Sequence[Materialized]) -> list[Materialized]:
    """Return a build, the builds that it rests on, and of each other registry the newest that was there by then.

    An upstream that is no candidate is in force already, or unfit: nothing else of its registry takes its place.
    """
    chosen: dict[str, Materialized] = {}
    for made in sorted(candidates, key=lambda made: made.storage_id):
        if made.storage_id <= tip.storage_id:
            chosen[made.registry_id] = made
    waiting = [tip]
    while waiting:
        made = waiting.pop()
        chosen[made.registry_id] = made
        for registry_id, ref in ({} if made.sealed is None else made.sealed.inputs.upstream()).items():
            chosen.pop(registry_id, None)
            waiting += [c for c in candidates if c.sealed is not None and c.sealed.ref.same_run(ref)][:1]
    return list(chosen.values())


def _attested(made: Materialized) -> tuple[SealedRun, Verdict]:
    """Return a build with the verdict that its passed checks amount to. The job does not rely on it."""
    sealed = made.sealed
    if sealed is None:
        raise ValueError("only a build with a folder is a candidate")
    ref: SealedRef = sealed.ref
    place = f"{ref.run_root}/{ref.run_id}"
    return sealed, Verdict(place, ref.run_id, made.registry_id, "pass", ref.manifest_sha256, ())


def request(instance: DagsterInstance, governed: Repository, proposal: Proposal) -> RunRequest | SkipReason:
    """Return the request for a proposal, or why it is not asked for again.

    Dagster never launches the same run key twice, so that the count of failed tries is part of it.
    """
    closure = proposal.closure
    runs = instance.get_runs(RunsFilter(tags={CLOSURE_TAG: closure}))
    names = ", ".join(run.ref.run_id for run in proposal.runs)
    pointers = pointer_file.pointer_hash(governed) or "none"
    for run in runs:
        if not run.is_finished:
            return SkipReason(f"the Dagster run {short(run.run_id)} is putting in force: {names}")
        if run.tags.get(REFUSED_AT_TAG) == pointers:
            return SkipReason(f"refused ({run.tags.get(REFUSED_TAG)}), and not asked for again: {names}")
        if run.status is DagsterRunStatus.SUCCESS:
            return SkipReason(f"was in force once and was replaced; only `activate` puts it back: {names}")
    if len(runs) >= TRIES:
        return SkipReason(f"given up after {len(runs)} failed tries: {names}")
    config = ActivationRequest(
        runs={run.registry_id: _named(run.ref) for run in proposal.runs},
        actor="dagster:activation_sensor",
        reason="every blocking check passed",
    )
    return RunRequest(
        run_key=f"{closure}:{len(runs)}",
        run_config=RunConfig(ops={POINTERS_ASSET: config}),
        tags={CLOSURE_TAG: closure},
    )


def _named(ref: SealedRef) -> RunToActivate:
    return RunToActivate(
        run_id=ref.run_id, run_root=ref.run_root, relpath=ref.relpath, manifest_sha256=ref.manifest_sha256
    )
