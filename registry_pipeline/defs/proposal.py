"""Which builds can be activated now, and why the newest build of a registry is not active.

A build is a candidate if it is newer than the active run and every blocking check passed on this very materialization.
The activation sensor and a hand launch of the activation job propose the same set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter

from registry_pipeline.canonical import parse_utc, sha256_hex, short
from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log
from registry_pipeline.defs.event_log import CheckResults, Materialization
from registry_pipeline.defs.location import location_of
from registry_pipeline.findings.display import list_some
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers import activation
from registry_pipeline.pointers.plan import find_age_obstacle
from registry_pipeline.pointers.state import read_active_runs
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import replace, value_type

REBUILD_JOB: Final = "rebuild_job"
POINTERS_ASSET: Final = "active_registry_pointers"
# Tags of an activation run: the hash of the registries and roots that it activates, and how it was refused.
CLOSURE_TAG: Final = "registry_pipeline/closure"
REFUSED_TAG: Final = "registry_pipeline/refused"
REFUSED_AT_TAG: Final = "registry_pipeline/refused_at_pointers"
REFUSED_RUNS_TAG: Final = "registry_pipeline/refused_runs"
TRIES: Final = 3
# Of one registry. Overlapping rebuilds leave few that fit together; each is tried as the newest of a set.
_MAX_CANDIDATES: Final = 20


@value_type
class Obstacle:
    """Why something is not activated, and what to do about it; `code` is that of the finding, if it is one."""

    reason: str
    next_step: str
    code: str | None = None

    def __str__(self) -> str:
        """Return both as one text, the next step first."""
        return f"{self.next_step} ({self.reason})"


@value_type
class Proposal:
    """The runs to activate now, and what keeps the newest builds of other registries out.

    Attributes:
        runs: empty if there are none, or if their activation is in progress, was refused, or failed TRIES times.
        newest: the newest materialization of each registry that has one.
        active: the active run of each registry that has one.
        obstacles: by registry; none for a registry whose newest build is active, pending or proposed.
        pending: the registries of which a Dagster run is building or activating something now.
        attempts: how many runs have tried to activate `runs`.
        summary: why `runs` is empty although builds could be activated; else None.
        refused_in: the id of the Dagster run in which their activation was refused; else None.
    """

    runs: tuple[SealedRun, ...]
    newest: Mapping[str, Materialization]
    active: Mapping[str, SealedRef]
    obstacles: Mapping[str, Obstacle]
    pending: frozenset[str] = frozenset()
    attempts: int = 0
    summary: Obstacle | None = None
    refused_in: str | None = None

    def is_newest_active(self, registry_id: str) -> bool:
        """Return whether the newest build of a registry is its active run."""
        newest, active = self.newest.get(registry_id), self.active.get(registry_id)
        return newest is not None and newest.sealed is not None and newest.sealed.ref == active


def find_closure(repository: Repository, runs: Iterable[SealedRun]) -> str:
    """Return the hash of a repository and of runs, by registry and root hash: it identifies a set in every tick."""
    lines = sorted(f"{run.registry_id} {run.ref.manifest_sha256}\n" for run in runs)
    return sha256_hex("".join([f"{repository.root}\n", *lines]).encode())


def propose(instance: DagsterInstance, repository: Repository) -> Proposal:
    """Return the set of builds to activate, the one that moves most registries, and why other builds are not in it."""
    # (1) The builds that could be activated, each by itself.
    pointers, catalog = pointer_file.read_pointers(repository), catalog_of(repository)
    active, location = read_active_runs(repository, pointers), location_of(repository)
    results = CheckResults(instance, catalog)
    newest: dict[str, Materialization] = {}
    candidates: list[Materialization] = []
    obstacles: dict[str, Obstacle] = {}
    pending: set[str] = set()
    for registry_id in catalog.with_pointer:
        count = 0
        for build in event_log.iterate_materializations(instance, location.key(registry_id)):
            newest.setdefault(registry_id, build)
            if build.sealed is not None and build.sealed.ref == pointers.active(registry_id):
                break
            is_newest = build is newest[registry_id]
            # Each Dagster run is read once: one that ends meanwhile is in progress until the next proposal.
            run = results.find_run(build.dagster_run_id) if build.dagster_run_id else None
            if run is not None and not run.dagster_run.is_finished:
                pending |= {registry_id} if is_newest else set()
                continue
            obstacle = _find_obstacle(repository, build, active.get(registry_id), results) or _find_dead_run(run, build)
            if obstacle is None:
                candidates.append(build)
                count += 1
            elif is_newest:
                obstacles[registry_id] = obstacle
            if count == _MAX_CANDIDATES or _was_logged_before(build, active.get(registry_id)):
                break
    # (2) The largest set that is consistent, and why the others are not in it.
    best, refused = _select_largest_set(repository, candidates)
    selected = {run.registry_id for run in best}
    for build in candidates:
        if build.registry_id not in selected and build.sealed is not None:
            mixed = Obstacle(f"{build.sealed.ref.run_id} does not fit the other builds", f"launch {REBUILD_JOB}")
            obstacles.setdefault(build.registry_id, refused.get(build.sealed.ref.path, mixed))
    proposal = Proposal(tuple(best), newest, pointers.active_refs(), obstacles, frozenset(pending))
    # (3) What became of this set before.
    return _consider_attempts(instance, repository, proposal) if best else proposal


def _consider_attempts(instance: DagsterInstance, repository: Repository, proposal: Proposal) -> Proposal:
    """Return a proposal without runs if they are being activated, were refused or replaced, or failed TRIES times."""
    runs = instance.get_runs(RunsFilter(tags={CLOSURE_TAG: find_closure(repository, proposal.runs)}))
    names = list_some([run.ref.run_id for run in proposal.runs], ", ")
    pointers = pointer_file.read_pointer_hash(repository) or "none"
    for run in runs:
        if not run.is_finished:
            selected = {run.registry_id for run in proposal.runs}
            activating = Obstacle(f"the Dagster run {short(run.run_id)} is activating {names}", "wait for its end")
            return replace(proposal, runs=(), pending=proposal.pending | selected, summary=activating)
        if run.tags.get(REFUSED_AT_TAG) == pointers:
            reason = f"refused ({run.tags.get(REFUSED_TAG)}), not requested again: {names}"
            refused = Obstacle(reason, f"open the Dagster run {short(run.run_id)}")
            return replace(_decline(proposal, refused, _read_refusal(run)), refused_in=run.run_id)
        if run.status is DagsterRunStatus.SUCCESS:
            return _decline(
                proposal,
                Obstacle(
                    f"was active and was replaced: {names}",
                    "use `registry-pipeline activate REGISTRY RUN --reason TEXT`",
                ),
            )
    if len(runs) >= TRIES:
        reason = f"given up after {len(runs)} failed runs: {names}"
        return _decline(proposal, Obstacle(reason, f"open the Dagster run {short(runs[0].run_id)}"))
    return replace(proposal, attempts=len(runs))


def _decline(proposal: Proposal, summary: Obstacle, refused: Mapping[str, Obstacle] | None = None) -> Proposal:
    """Return a proposal without runs; registries that a refusal names have its reasons, the others wait for them."""
    others = summary
    if refused:
        others = Obstacle(
            f"it waits for {', '.join(refused)}, whose activation was refused", next(iter(refused.values())).next_step
        )
    declined = {run.registry_id: (refused or {}).get(run.registry_id, others) for run in proposal.runs}
    return replace(proposal, runs=(), obstacles={**declined, **proposal.obstacles}, summary=summary)


def describe_refusal(errors: Sequence[Finding], requested: Mapping[str, SealedRef]) -> dict[str, Obstacle]:
    """Return by registry the first error about its requested run; if no run has one, the first error, for all."""
    obstacles: dict[str, Obstacle] = {}
    for registry_id, ref in requested.items():
        for error in errors:
            if error.path == ref.path:
                obstacles.setdefault(registry_id, _make_refusal(error))
    return obstacles or {name: _make_refusal(error) for name in requested for error in errors[:1]}


def _make_refusal(error: Finding) -> Obstacle:
    return Obstacle(f"activation refused: {error.code}: {error.message}", error.hint)


def refusal_to_tag(obstacles: Mapping[str, Obstacle]) -> str:
    """Return obstacles as the value of REFUSED_RUNS_TAG."""
    return json.dumps({name: [obstacle.reason, obstacle.next_step] for name, obstacle in obstacles.items()})


def _read_refusal(run: DagsterRun) -> dict[str, Obstacle]:
    # A person can type any tag.
    try:
        document = json.loads(run.tags.get(REFUSED_RUNS_TAG, "{}"))
        return {str(name): Obstacle(str(reason), str(step)) for name, (reason, step) in document.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _find_dead_run(record: RunRecord | None, build: Materialization) -> Obstacle | None:
    """Return an obstacle if a worker reported a build after its Dagster run had failed or was cancelled."""
    if record is None or record.end_time is None or build.timestamp <= record.end_time:
        return None
    if record.dagster_run.status is DagsterRunStatus.SUCCESS or build.sealed is None:
        return None
    reason = f"{build.sealed.ref.run_id} was sealed after the Dagster run {short(build.dagster_run_id)} had ended"
    return Obstacle(reason, f"launch {REBUILD_JOB}")


def _was_logged_before(build: Materialization, active: SealedRun | None) -> bool:
    """Return whether a build was logged before the active run was started: it and all that follow are older."""
    as_of = None if active is None else parse_utc(active.as_of_utc)
    return as_of is not None and build.timestamp < as_of.timestamp()


def _select_largest_set(
    repository: Repository, candidates: Sequence[Materialization]
) -> tuple[Sequence[SealedRun], Mapping[str, Obstacle]]:
    """Return the consistent set that moves most registries, and by run path why runs of the first set are not in it."""
    # Builds of overlapping rebuilds are in the event log in any order. So each candidate is tried as the newest of a
    # set, the latest moment first; of sets with equally many registries, the first one wins.
    registry_count = len({candidate.registry_id for candidate in candidates})
    best: Sequence[SealedRun] = ()
    refused: dict[str, Obstacle] = {}
    for newest in sorted(candidates, key=_moment, reverse=True):
        activatable, findings = activation.select_activatable(
            repository, [_as_checked_run(build) for build in _select_set(newest, candidates)]
        )
        if len(activatable) > len(best):
            best = [run for run, _ in activatable]
        if not refused:
            refused = {finding.path: _make_obstacle(finding) for finding in reversed(findings)}
        if len(best) == registry_count:
            break
    return best, refused


def _make_obstacle(finding: Finding) -> Obstacle:
    run_id = finding.path.rsplit("/", 1)[-1]
    reason = finding.message if run_id in finding.message else f"{run_id}: {finding.message}"
    return Obstacle(reason, finding.hint)


def _find_obstacle(
    repository: Repository, build: Materialization, active: SealedRun | None, results: CheckResults
) -> Obstacle | None:
    """Return why a build is not a candidate: the event log or the active run rules it out. None if it is one."""
    if build.sealed is None:
        return Obstacle("its newest materialization names no sealed run", f"launch {REBUILD_JOB}")
    run_id = build.sealed.ref.run_id
    if event_log.is_in_other_repository(build, repository):
        return Obstacle(
            f"{run_id} is in the repository {build.repository_root}", "give each repository its own DAGSTER_HOME"
        )
    if not build.dagster_run_id:
        command = f"registry-pipeline activate {build.registry_id} {run_id}"
        return Obstacle(f"{run_id} was sealed by the command line", f"activate it with `{command}`")
    for obstacle in find_age_obstacle(build.sealed, active):
        return Obstacle(f"{run_id}: {obstacle.message}", obstacle.hint, obstacle.code)
    checks = results.find_missing_or_failed(build)
    if not checks:
        return None
    listed = ", ".join(f"check {name} {why}" for name, why in checks.items())
    return Obstacle(f"{run_id}: {listed}", f"open the checks of {build.registry_id}, fix the cause and rebuild")


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
    # This verdict only says that the checks passed. The job does not rely on it: it validates again.
    sealed = build.sealed
    if sealed is None:
        raise ValueError("a candidate has a sealed run")
    return sealed, Verdict(
        sealed.ref.path, sealed.ref.run_id, build.registry_id, "pass", sealed.ref.manifest_sha256, ()
    )
