"""Which builds can be activated now, and why the newest build of a registry is not active.

A build is a candidate if it is newer than the active run and every blocking check passed on this very materialization.
The activation sensor and a hand launch of the activation job propose the same set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dagster import DagsterInstance

from registry_pipeline.canonical import parse_utc, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log
from registry_pipeline.defs.event_log import CheckResults, Materialization
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers import activation
from registry_pipeline.pointers.plan import find_age_obstacle
from registry_pipeline.pointers.state import read_active_runs
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import value_type

REBUILD_JOB: Final = "rebuild_job"
POINTED: Final = tuple(spec.registry_id for spec in BUILD_ORDER if spec.pointer)
# Of one registry; overlapping rebuilds leave few that can be combined with each other.
_MAX_CANDIDATES: Final = 5


@value_type
class Obstacle:
    """Why something is not activated, and what to do about it."""

    reason: str
    next_step: str

    def __str__(self) -> str:
        """Return both as one text, the next step last."""
        return f"{self.reason}; {self.next_step}"


@value_type
class Proposal:
    """The runs that can be activated together, and what keeps the newest builds of other registries out.

    Attributes:
        newest: the newest materialization of each registry that has one.
        active: the active run of each registry that has one.
        obstacles: by registry; none for a registry whose newest build is active or proposed.
    """

    runs: tuple[SealedRun, ...]
    newest: Mapping[str, Materialization]
    active: Mapping[str, SealedRef]
    obstacles: Mapping[str, Obstacle]

    @property
    def closure(self) -> str:
        """The hash of the registries and roots, which identifies the set in every tick."""
        lines = sorted(f"{run.registry_id} {run.ref.manifest_sha256}\n" for run in self.runs)
        return sha256_hex("".join(lines).encode())

    def is_newest_active(self, registry_id: str) -> bool:
        """Return whether the newest build of a registry is its active run."""
        newest, active = self.newest.get(registry_id), self.active.get(registry_id)
        return newest is not None and newest.sealed is not None and newest.sealed.ref == active


def propose(instance: DagsterInstance, repository: Repository) -> Proposal:
    """Return the set of builds to activate, the one that moves most registries, and why other builds are not in it."""
    # (1) The builds that could be activated, each by itself.
    pointers = pointer_file.read_pointers(repository)
    active = read_active_runs(repository, pointers)
    results = CheckResults(instance)
    newest: dict[str, Materialization] = {}
    candidates: list[Materialization] = []
    obstacles: dict[str, Obstacle] = {}
    for registry_id in POINTED:
        active_ref, found = pointers.active(registry_id), 0
        for build in event_log.iterate_materializations(instance, registry_id):
            newest.setdefault(registry_id, build)
            if build.sealed is not None and build.sealed.ref == active_ref:
                break
            obstacle = _find_obstacle(instance, repository, build, active.get(registry_id), results)
            if obstacle is None:
                candidates.append(build)
                found += 1
            elif build is newest[registry_id]:
                obstacles[registry_id] = obstacle
            if found == _MAX_CANDIDATES or _was_logged_before(build, active.get(registry_id)):
                break
    # (2) The largest set that is consistent, and why the others are not in it.
    best, refused = _select_largest_set(repository, candidates)
    proposed = {run.registry_id for run in best}
    for build in candidates:
        if build.registry_id not in proposed and build.sealed is not None:
            why = refused.get(build.sealed.ref.path) or Obstacle(
                f"{build.sealed.ref.run_id} does not fit the other builds", f"launch {REBUILD_JOB}"
            )
            obstacles.setdefault(build.registry_id, why)
    return Proposal(tuple(best), newest, pointers.active_refs(), obstacles)


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
    instance: DagsterInstance,
    repository: Repository,
    build: Materialization,
    active: SealedRun | None,
    results: CheckResults,
) -> Obstacle | None:
    """Return why a build is not a candidate: the event log or the active run rules it out. None if it is one."""
    if build.sealed is None:
        return Obstacle("its newest materialization names no sealed run", f"launch {REBUILD_JOB}")
    run_id = build.sealed.ref.run_id
    if event_log.is_foreign(build, repository):
        return Obstacle(f"{run_id} is in the repository {build.root}", "give each repository its own DAGSTER_HOME")
    if not build.dagster_run_id:
        command = f"registry-pipeline activate {build.registry_id} {run_id}"
        return Obstacle(f"{run_id} was sealed by the command line", f"activate it with `{command}`")
    run = instance.get_run_by_id(build.dagster_run_id)
    if run is not None and not run.is_finished:
        return Obstacle(f"{run_id} belongs to a Dagster run that is not finished", "wait for its end")
    for obstacle in find_age_obstacle(build.sealed, active):
        return Obstacle(f"{run_id}: {obstacle.message}", obstacle.hint)
    checks = results.find_unpassed(build)
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
    # The job does not rely on this verdict, which stands for the passed checks: it validates again.
    sealed = build.sealed
    if sealed is None:
        raise ValueError("a candidate has a sealed run")
    return sealed, Verdict(
        sealed.ref.path, sealed.ref.run_id, build.registry_id, "pass", sealed.ref.manifest_sha256, ()
    )
