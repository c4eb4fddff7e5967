"""Decide what prevents the activation of a run, and whether active runs fit together. Pure.

Activation, rollback, the Dagster sensor, `build` and `status` all use these functions. The text of an obstacle is that
of its finding. See docs/reference/specification.md, "Activation".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from registry_pipeline.canonical import parse_utc
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.envelope import Inputs, is_foreign
from registry_pipeline.runs.reference import RunIdentity, SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import replace, value_type


@value_type
class Candidate:
    """A run proposed for activation, with its verdict.

    `status` derives the verdict from the unverified folder, the sensor from passed checks.
    Activation validates the run again.
    """

    run: SealedRun
    verdict: Verdict


@value_type
class ActivationState:
    """The state that candidates are compared with.

    Attributes:
        active: the active run of each registry whose folder exists.
        marked_bad: reason by run id.
        rolled_back_runs: run ids that a rollback deactivated.
        accepted_foreign: runs of other repositories that may be activated.
    """

    active: Mapping[str, ActiveRun]
    specs: Mapping[str, RegistrySpec]
    run_roots: tuple[str, ...]
    marked_bad: Mapping[str, str]
    rolled_back_runs: frozenset[str] = frozenset()
    repository_id: str | None = None
    accepted_foreign: frozenset[RunIdentity] = frozenset()


def find_obstacles(candidate: Candidate, state: ActivationState) -> Iterator[Finding]:
    """Yield every obstacle to activating a run that does not depend on other registries."""
    yield from find_run_obstacles(candidate, state)
    if candidate.run.ref.run_id in state.rolled_back_runs:
        # An operator decided against this run, so it is never proposed again automatically.
        registry_id = candidate.run.registry_id
        yield finding("ACTIVATE_ROLLED_BACK", candidate.run.ref.path, registry=registry_id)
    yield from find_age_obstacle(candidate.run, state.active.get(candidate.run.registry_id))


def find_run_obstacles(candidate: Candidate, state: ActivationState) -> Iterator[Finding]:
    """Yield the obstacles that refuse a rollback too: those of the run itself, whatever is active."""
    run, verdict, ref = candidate.run, candidate.verdict, candidate.run.ref
    path = ref.path
    if not can_be_active(state.specs.get(run.registry_id)):
        yield finding("ACTIVATE_NO_POINTER", path, detail=run.registry_id)
    # A pointer names folders directly in a run root; anything else could be outside the repository.
    if ref.run_root not in state.run_roots or "/" in ref.run_id or ref.run_id in ("", ".", ".."):
        yield finding("ACTIVATE_OUTSIDE_ROOTS", path, expected=", ".join(state.run_roots), got=ref.run_root)
    if ref.run_id in state.marked_bad:
        yield finding("ACTIVATE_MARKED_BAD", path, detail=state.marked_bad[ref.run_id])
    if not verdict.passed:
        codes = ", ".join(sorted({f.code for f in verdict.errors()})) or verdict.verdict
        yield finding("ACTIVATE_NOT_VERIFIED", path, expected="pass", got=verdict.verdict, detail=codes)
    # A verdict counts only for the root hash that was validated: the folder may have changed since.
    if verdict.run_id != ref.run_id or verdict.root_sha256 != ref.manifest_sha256:
        got = f"{verdict.run_id} {verdict.root_sha256 or 'without a root'}"
        yield finding("ACTIVATE_VERDICT_STALE", path, expected=f"{ref.run_id} {ref.manifest_sha256}", got=got)
    if verdict.registry_id != run.registry_id:
        got = verdict.registry_id or "no registry"
        yield finding("ACTIVATE_OTHER_REGISTRY", path, expected=run.registry_id, got=got)
    yield from _check_origin(candidate, state)


def _check_origin(candidate: Candidate, state: ActivationState) -> Iterator[Finding]:
    ref, own, stated = candidate.run.ref, state.repository_id, candidate.verdict.repository_id
    if is_foreign(stated, own):
        yield finding(
            "ACTIVATE_FOREIGN",
            ref.path,
            expected=own,
            got=stated,
            severity=Severity.WARNING if ref.identity in state.accepted_foreign else Severity.ERROR,
            registry=candidate.run.registry_id,
            run_id=ref.run_id,
        )
    # Repositories and runs of older versions have no id, so this is only a warning.
    elif (own is None) != (stated is None):
        detail = "the run states no repository_id" if stated is None else "this repository has no repository_id"
        yield finding("ACTIVATE_ORIGIN_UNKNOWN", ref.path, expected=own, got=stated, detail=detail)


def find_age_obstacle(run: SealedRun, active: ActiveRun | None) -> Iterator[Finding]:
    """Yield ACTIVATE_OLDER if both as-of times are known and the run's is earlier than that of the active run."""
    active_as_of = None if active is None else parse_utc(active.as_of_utc)
    as_of = parse_utc(run.as_of_utc)
    if active is not None and active_as_of is not None and as_of is not None and as_of < active_as_of:
        expected = f"{active.as_of_utc} or later"
        yield finding("ACTIVATE_OLDER", run.ref.path, expected=expected, got=run.as_of_utc)


def find_joint_obstacles(runs: Iterable[SealedRun], state: ActivationState) -> Mapping[str, InconsistentInput]:
    """Return the registries whose runs cannot be activated, with the reason; the others can be activated together."""
    return find_blocked_candidates({run.registry_id: as_active(run) for run in runs}, state.active, state.specs)


def find_inconsistencies(
    state: ActivationState, runs: Iterable[SealedRun], moved: frozenset[str], *, allow_mixed: bool
) -> Iterator[Finding]:
    """Yield the inconsistent inputs of the state after `moved` registries change to `runs` or to no run.

    Those at a moved registry are ACTIVATE_MIXED, which refuses. All others, and all with `allow_mixed`, are warnings.
    """
    unmoved = {name: active for name, active in state.active.items() if name not in moved}
    after = unmoved | {run.registry_id: as_active(run) for run in runs}
    for edge in find_inconsistent_inputs(after, state.specs):
        # An inconsistency elsewhere existed before this change, so it does not refuse the change.
        if edge.touches(moved) and not allow_mixed:
            yield mixed_finding(edge, edge.ref, edge.upstream_id if edge.upstream_id in moved else edge.registry_id)
        else:
            detail, registry_id = edge.upstream_id, edge.registry_id
            yield _input_finding("POINTER_INPUTS_MIXED", edge, edge.ref, detail=detail, registry=registry_id)


def select_activatable(
    candidates: Sequence[Candidate], state: ActivationState
) -> tuple[tuple[Candidate, ...], tuple[Finding, ...]]:
    """Return the runs that `build` and the sensor propose together, and a warning for each run that they do not.

    Only decisions of an operator and consistency matter here. Every other obstacle makes the activation itself fail.
    """
    findings: list[Finding] = []
    proposed: list[Candidate] = []
    for candidate in candidates:
        decisions = [
            obstacle
            for obstacle in find_obstacles(candidate, state)
            if obstacle.code in ("ACTIVATE_MARKED_BAD", "ACTIVATE_ROLLED_BACK")
        ]
        findings += decisions[:1]
        if not decisions:
            proposed.append(candidate)
    # Consistency is checked last: a run that is not proposed must not count as active.
    blocked = find_joint_obstacles((candidate.run for candidate in proposed), state)
    findings += [mixed_finding(blocked[c.run.registry_id], c.run.ref) for c in proposed if c.run.registry_id in blocked]
    selected = tuple(candidate for candidate in proposed if candidate.run.registry_id not in blocked)
    return selected, sorted_findings(replace(obstacle, severity=Severity.WARNING) for obstacle in findings)


def mixed_finding(edge: InconsistentInput, ref: SealedRef, rebuilt: str | None = None) -> Finding:
    """Return ACTIVATE_MIXED about the run `ref`; its hint is to build `rebuilt`, or else the upstream registry."""
    registry_id = rebuilt or edge.upstream_id
    return _input_finding("ACTIVATE_MIXED", edge, ref, detail=edge.sentence(), registry=registry_id)


def _input_finding(code: str, edge: InconsistentInput, ref: SealedRef, *, detail: str, registry: str) -> Finding:
    expected, got = "no active run" if edge.active is None else edge.active.run_id, edge.recorded.run_id
    return finding(code, ref.path, expected=expected, got=got, detail=detail, registry=registry)


def as_active(run: SealedRun) -> ActiveRun:
    """Return a run as it is compared when it is active."""
    return ActiveRun(run.ref, run.inputs, run.as_of_utc)


@value_type
class ActiveRun:
    """An active run whose folder exists; `as_of_utc` is None if run.json does not state it."""

    ref: SealedRef
    inputs: Inputs
    as_of_utc: str | None


@value_type
class InconsistentInput:
    """A run of `registry_id` that was built from `recorded`, while `active` is the active run of `upstream_id`."""

    registry_id: str
    ref: SealedRef
    upstream_id: str
    recorded: SealedRef
    active: SealedRef | None

    def touches(self, registry_ids: frozenset[str]) -> bool:
        """Return whether one of the registries is at either end of the edge."""
        return self.registry_id in registry_ids or self.upstream_id in registry_ids

    def sentence(self) -> str:
        """Return the inconsistency as a clause that follows "after this change"."""
        active = "no run of it is active" if self.active is None else f"{self.active.run_id} is active"
        return f"{self.registry_id} ({self.ref.run_id}) would depend on {self.recorded.run_id}, but {active}"


def can_be_active(spec: RegistrySpec | None) -> bool:
    """Return whether runs of a registry can be active: it is known, has a pointer and is not external."""
    return spec is not None and spec.pointer and spec.kind != "external"


def find_inconsistent_inputs(
    active: Mapping[str, ActiveRun], specs: Mapping[str, RegistrySpec]
) -> tuple[InconsistentInput, ...]:
    """Return the inputs of active runs that are not the active runs of their registries, by registry and upstream."""
    # An active run whose folder is missing is not in `active`, so an input that names it is inconsistent.
    return tuple(
        InconsistentInput(registry_id, run.ref, upstream_id, recorded, None if upstream is None else upstream.ref)
        for registry_id, run in sorted(active.items())
        for upstream_id, recorded in sorted(run.inputs.upstream().items())
        if can_be_active(specs.get(upstream_id))
        and ((upstream := active.get(upstream_id)) is None or upstream.ref.identity != recorded.identity)
    )


def find_blocked_candidates(
    candidates: Mapping[str, ActiveRun], active: Mapping[str, ActiveRun], specs: Mapping[str, RegistrySpec]
) -> Mapping[str, InconsistentInput]:
    """Return the candidates that cannot be activated, each with the reason; all others can be activated together."""
    # Removing one candidate can make another inconsistent, so remove them one by one until none is. For the runs of
    # one build this leaves the largest set that can be activated.
    blocked: dict[str, InconsistentInput] = {}
    while True:
        remaining = {name: run for name, run in candidates.items() if name not in blocked}
        changed = frozenset(
            name for name, run in remaining.items() if name not in active or active[name].ref != run.ref
        )
        edges = find_inconsistent_inputs({**active, **remaining}, specs)
        edge = next((edge for edge in edges if edge.touches(changed)), None)
        if edge is None:
            return blocked
        # The depending run is removed if it would change; otherwise it stays active and its upstream cannot change.
        blocked[edge.registry_id if edge.registry_id in changed else edge.upstream_id] = edge
