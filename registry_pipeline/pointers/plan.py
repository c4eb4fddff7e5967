"""Decide whether a change of the pointers is permitted, and what it writes. Pure.

See "Activation" in docs/reference/specification.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

from registry_pipeline.canonical import json_document, parse_utc, sha256_hex
from registry_pipeline.errors import ConfigError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.pointers.chain import (
    ACCEPTED_FOREIGN,
    ACCEPTED_REMOVED,
    AFTER_FILE,
    RECORD_FILE,
    SIGNATURE_FILES,
    Action,
    ActivationRecord,
)
from registry_pipeline.pointers.checkpoint import Checkpoint
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.run_registry.build import ACCEPTABLE_LOSSES
from registry_pipeline.runs.envelope import is_foreign
from registry_pipeline.runs.reference import (
    Move,
    PointerFile,
    RunIdentity,
    SealedRef,
    pointer_file_bytes,
    with_moves,
    with_pointers,
)
from registry_pipeline.runs.sealed_run import Artifacts, Refusal, RunVerdict, SealedRun, Verdict
from registry_pipeline.values import replace, value_type


@value_type
class Candidate:
    """A run proposed for activation, with its verdict."""

    # `status` derives the verdict from the unverified folder, the sensor from passed checks.

    run: SealedRun
    verdict: Verdict


@value_type
class ActivationState:
    """The state that candidates are compared with: the active runs whose folders exist, and what the chain says."""

    active: Mapping[str, SealedRun]
    specs: Mapping[str, RegistrySpec]
    run_roots: tuple[str, ...]
    marked_bad: Mapping[str, str]
    rolled_back_runs: frozenset[str] = frozenset()
    repository_id: str | None = None
    accepted_foreign: frozenset[RunIdentity] = frozenset()
    # The registries that the configuration disables.
    disabled: frozenset[str] = frozenset()


def can_be_active(spec: RegistrySpec | None) -> bool:
    """Return whether runs of a registry can be active: it is known, has a pointer and is not external."""
    return spec is not None and spec.pointer and spec.kind != "external"


def find_obstacles(candidate: Candidate, state: ActivationState) -> Iterator[Finding]:
    """Yield every obstacle to activating a run that does not depend on other registries; a warning does not refuse."""
    yield from find_run_obstacles(candidate, state)
    run = candidate.run
    # An operator decided against this run, so it is never proposed again automatically.
    if run.ref.run_id in state.rolled_back_runs:
        yield finding("ACTIVATE_ROLLED_BACK", run.ref.path, registry=run.registry_id, run_id=run.ref.run_id)
    yield from find_age_obstacle(run, state.active.get(run.registry_id))


def find_run_obstacles(candidate: Candidate, state: ActivationState) -> Iterator[Finding]:
    """Yield the obstacles of the run itself, which a rollback has too; a warning does not refuse."""
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
    own, stated = state.repository_id, verdict.repository_id
    if is_foreign(stated, own):
        # `--allow-foreign` turns the refusal into a warning.
        severity = Severity.WARNING if ref.identity in state.accepted_foreign else Severity.ERROR
        words = {"registry": run.registry_id, "run_id": ref.run_id}
        yield finding("ACTIVATE_FOREIGN", path, expected=own, got=stated, severity=severity, **words)
    # Repositories and runs of older versions have no id, so this is only a warning.
    elif (own is None) != (stated is None):
        detail = "the run states no repository_id" if stated is None else "this repository has no repository_id"
        yield finding("ACTIVATE_ORIGIN_UNKNOWN", path, expected=own, got=stated, detail=detail)


def find_age_obstacle(run: SealedRun, active: SealedRun | None) -> Iterator[Finding]:
    """Yield ACTIVATE_OLDER if both as-of times are known and the run's is earlier than that of the active run."""
    active_as_of = None if active is None else parse_utc(active.as_of_utc)
    as_of = parse_utc(run.as_of_utc)
    if active is not None and active_as_of is not None and as_of is not None and as_of < active_as_of:
        yield finding("ACTIVATE_OLDER", run.ref.path, expected=f"{active.as_of_utc} or later", got=run.as_of_utc)


@value_type
class InconsistentInput:
    """A run of `registry_id` that was built from `recorded`, while `active` is the active run of `upstream_id`."""

    registry_id: str
    ref: SealedRef
    upstream_id: str
    recorded: SealedRef
    active: SealedRef | None

    def touches(self, registry_ids: frozenset[str], disabled: frozenset[str] = frozenset()) -> bool:
        """Return whether a change of the registries touches the edge, at either end.

        A disabled registry cannot be built from another upstream run, so only its own change touches its edges.
        """
        return self.registry_id in registry_ids or (
            self.upstream_id in registry_ids and self.registry_id not in disabled
        )


def find_inconsistent_inputs(
    active: Mapping[str, SealedRun], specs: Mapping[str, RegistrySpec]
) -> tuple[InconsistentInput, ...]:
    """Return, sorted, each upstream input of an active run that is not active though its registry can have a run.

    A registry that is in no catalog has an error of its own. Nobody can build it again, so it must not stop the others.
    """
    # An active run whose folder is missing is not in `active`, so an input that names it is inconsistent.
    return tuple(
        InconsistentInput(registry_id, run.ref, upstream_id, recorded, None if upstream is None else upstream.ref)
        for registry_id, run in sorted(active.items())
        if registry_id in specs
        for upstream_id, recorded in sorted(run.inputs.upstream().items())
        if can_be_active(specs.get(upstream_id))
        and ((upstream := active.get(upstream_id)) is None or upstream.ref.identity != recorded.identity)
    )


def check_consistency_after(
    state: ActivationState, runs: Iterable[SealedRun], moved: frozenset[str], *, allow_mixed: bool
) -> Iterator[Finding]:
    """Yield the inconsistent inputs of the state after `moved` registries change to `runs` or to no run.

    Those at a moved registry are ACTIVATE_MIXED, which refuses. All others, and all with `allow_mixed`, are warnings.
    """
    unmoved = {name: active for name, active in state.active.items() if name not in moved}
    for edge in find_inconsistent_inputs(unmoved | {run.registry_id: run for run in runs}, state.specs):
        # An inconsistency elsewhere existed before this change, so it does not refuse the change.
        if edge.touches(moved, state.disabled) and not allow_mixed:
            rebuilt = edge.upstream_id if edge.upstream_id in moved else edge.registry_id
            yield make_mixed_finding(edge, edge.ref, rebuilt)
        else:
            yield _make_input_finding("POINTER_INPUTS_MIXED", edge, edge.ref, edge.registry_id)


def make_mixed_finding(edge: InconsistentInput, ref: SealedRef, rebuilt: str | None = None) -> Finding:
    """Return ACTIVATE_MIXED about the run `ref`; its hint is to build `rebuilt`, or else the upstream registry."""
    return _make_input_finding("ACTIVATE_MIXED", edge, ref, rebuilt or edge.upstream_id)


def _make_input_finding(code: str, edge: InconsistentInput, ref: SealedRef, rebuilt: str) -> Finding:
    expected, got = "no active run" if edge.active is None else edge.active.run_id, edge.recorded.run_id
    registry, upstream = edge.registry_id, edge.upstream_id
    return finding(code, ref.path, expected=expected, got=got, registry=registry, upstream=upstream, rebuilt=rebuilt)


@value_type
class ActivationRequest:
    """Everything that a plan depends on. The candidates, one for each registry, are activated together or not at all.

    `previous` is the head of the chain. `own_notes` are the reasons in its records that this tool wrote as notes of
    pointers.
    """

    candidates: tuple[Candidate, ...]
    pointers: PointerFile
    state: ActivationState
    previous: SealedRef | None
    actor: str
    reason: str
    now_utc: str
    allow_mixed: bool = False
    allow_foreign: bool = False
    own_notes: frozenset[str] = frozenset()


@value_type
class ActivationPlan:
    """A permitted change: its record, the pointer file after it, and warnings."""

    record: ActivationRecord
    after_bytes: bytes
    findings: tuple[Finding, ...] = ()
    # What signs `document`, each a file of the record's folder.
    signatures: tuple[bytes, ...] = ()

    @property
    def document(self) -> bytes:
        """The bytes of the record, which a signature signs."""
        return json_document(self.record.to_json())

    @property
    def moves(self) -> tuple[Move, ...]:
        """The pointers that move, by registry."""
        return self.record.moves

    def following(self, head: SealedRef) -> ActivationPlan:
        """Return the same change as the record after `head`, for a chain whose `init` was sealed after planning."""
        return replace(self, record=replace(self.record, previous=head))

    @property
    def artifacts(self) -> Artifacts:
        """The files of the activation record's run folder."""
        if (self.record.previous is None) != (self.record.action == "init"):
            raise ValueError("every record except `init` needs a predecessor")
        record = self.document
        files = {RECORD_FILE: record, AFTER_FILE: self.after_bytes}
        files |= zip(SIGNATURE_FILES, self.signatures, strict=False)
        return Artifacts(files, records=len(self.moves), content_sha256=sha256_hex(record))


@value_type
class NothingToMove:
    """The pointers are already as requested: no record is sealed and no file changes."""

    findings: tuple[Finding, ...] = ()


PlanResult = ActivationPlan | NothingToMove | Refusal


def plan_init(pointers: bytes, *, actor: str, reason: str, retired: Iterable[SealedRef] = ()) -> ActivationPlan:
    """Return the first record of a chain; `retired` are the records of a lost chain that it replaces."""
    return _plan_unchanged("init", pointers, retired, actor, reason, None)


def plan_void(
    pointers: bytes, records: Iterable[SealedRef], *, previous: SealedRef, actor: str, reason: str
) -> ActivationPlan:
    """Return the record that takes others out of the chain; `pointers` is the state after `previous`, which remains."""
    return _plan_unchanged("void", pointers, sorted(records), actor, reason, previous)


def plan_checkpoint(
    pointers: bytes, checkpoint: Checkpoint, *, previous: SealedRef, actor: str, reason: str
) -> ActivationPlan:
    """Return the record that says what all earlier ones say; `pointers` is the state after `previous`."""
    plan = _plan_unchanged("checkpoint", pointers, (), actor, reason, previous)
    return replace(plan, record=replace(plan.record, checkpoint=checkpoint))


def _plan_unchanged(
    action: Action, pointers: bytes, runs: Iterable[SealedRef], actor: str, reason: str, previous: SealedRef | None
) -> ActivationPlan:
    """Return a record that leaves the pointer file as it is."""
    digest = sha256_hex(pointers)
    record = ActivationRecord(action, (), tuple(runs), actor, reason, _count_verdicts(()), digest, digest, previous)
    return ActivationPlan(record, pointers)


def plan_mark_bad(request: ActivationRequest, pointers: bytes, run: SealedRef) -> ActivationPlan | NothingToMove:
    """Return the change that prevents every later activation of a run; pointers to it become `false`.

    `pointers` are the bytes that the request was parsed from. NothingToMove if the run is marked and no pointer names
    it; ConfigError without a reason (exit 2).
    """
    require_reason(request.reason, "marking a run bad")
    changed = [
        replace(p, known=False, notes=request.reason)
        for p in request.pointers.pointers
        if p.known is True and p.ref is not None and p.ref.run_id == run.run_id
    ]
    if run.run_id in request.state.marked_bad and not changed:
        return NothingToMove()
    record = _plan_unchanged("mark_bad", pointers, (run,), request.actor, request.reason, request.previous).record
    after = pointers
    if changed:
        after = pointer_file_bytes(with_pointers(request.pointers, changed, request.now_utc))
    # Nothing refuses this: an active bad run is worse than an inconsistent set, which is only a warning.
    emptied = frozenset(pointer.registry_id for pointer in changed)
    warnings = sorted_findings(check_consistency_after(request.state, (), emptied, allow_mixed=True))
    return ActivationPlan(replace(record, after_sha256=sha256_hex(after)), after, warnings)


def plan_activation(request: ActivationRequest) -> PlanResult:
    """Return the change that activates the candidates, a refusal with every obstacle, or NothingToMove.

    Raises:
        ConfigError: `allow_mixed` or `allow_foreign` without a reason (exit 2).
    """
    for option, given in (("--allow-mixed", request.allow_mixed), ("--allow-foreign", request.allow_foreign)):
        if given:
            require_reason(request.reason, option)
    runs = {candidate.run.registry_id: candidate.run for candidate in request.candidates}
    if len(runs) != len(request.candidates) or request.pointers.sha256 is None:
        raise ValueError("a plan needs one candidate for each registry and an existing pointer file")
    foreign = {c.run.ref.identity for c in request.candidates if request.allow_foreign and _is_foreign_run(request, c)}
    # A foreign run can be active already, in a fork for example. A move to itself then records that it is accepted.
    newly_accepted = foreign - request.state.accepted_foreign
    moves = tuple(
        Move(registry_id, request.pointers.active(registry_id), run.ref)
        for registry_id, run in sorted(runs.items())
        if request.pointers.active(registry_id) != run.ref or run.ref.identity in newly_accepted
    )
    # An activation needs --allow-foreign each time, so earlier acceptances do not count.
    state = replace(request.state, accepted_foreign=frozenset(foreign), rolled_back_runs=frozenset())
    moved = frozenset(move.registry_id for move in moves)
    findings = [f for candidate in request.candidates for f in find_obstacles(candidate, state)]
    findings += check_consistency_after(state, runs.values(), moved, allow_mixed=request.allow_mixed)
    return _build_plan(request, "activate", moves, findings)


_BUILD_OWN: Final = "run `registry-pipeline build` to make runs of this repository"


def plan_rollback(request: ActivationRequest, undone: Sequence[Move], *, restores: bool) -> PlanResult:
    """Return the change that undoes moves of one record: each registry returns to the run that its move replaced.

    The candidates are the runs to return to, validated again. A registry whose move replaced nothing has no active run
    afterwards. If the change `restores` exactly the state before that record, inconsistent inputs are only warnings.
    NothingToMove if the pointers are so already; ConfigError without a reason (exit 2).
    """
    require_reason(request.reason, "a rollback")
    targets = {move.registry_id: move.from_ref for move in undone}
    if {c.run.registry_id: c.run.ref for c in request.candidates} != {n: ref for n, ref in targets.items() if ref}:
        raise ValueError("the candidates of a rollback are the runs that were replaced")
    moves = tuple(
        Move(name, request.pointers.active(name), ref)
        for name, ref in sorted(targets.items())
        if request.pointers.active(name) != ref
    )
    moved = frozenset(move.registry_id for move in moves)
    moving = tuple(c for c in request.candidates if c.run.registry_id in moved)
    # A rollback returns to older runs, so age is not checked.
    obstacles = (f for candidate in moving for f in find_run_obstacles(candidate, request.state))
    # `activate` would refuse such a run because of its age.
    findings = [replace(f, hint=_BUILD_OWN) if f.code == "ACTIVATE_FOREIGN" else f for f in obstacles]
    runs = [candidate.run for candidate in moving]
    findings += check_consistency_after(request.state, runs, moved, allow_mixed=request.allow_mixed or restores)
    return _build_plan(replace(request, candidates=moving), "rollback", moves, findings)


def _build_plan(
    request: ActivationRequest, action: Action, moves: tuple[Move, ...], findings: Iterable[Finding]
) -> PlanResult:
    """Return the change that makes these moves; a refusal if a finding is an error, NothingToMove without moves."""
    findings = sorted_findings(findings)
    if has_errors(findings):
        return Refusal(findings)
    if not moves:
        return NothingToMove(findings)
    after = pointer_file_bytes(with_moves(request.pointers, moves, request.now_utc, request.reason, request.own_notes))
    verdicts = _count_verdicts(candidate.verdict for candidate in request.candidates)
    # A plan with a foreign run that is not accepted was refused before, so every one that moves is accepted.
    moved = {move.to_ref for move in moves}
    if foreign := sum(c.run.ref in moved and _is_foreign_run(request, c) for c in request.candidates):
        verdicts[ACCEPTED_FOREIGN] = foreign
    record = ActivationRecord(
        action=action,
        moves=moves,
        runs=(),
        actor=request.actor,
        reason=request.reason,
        verdicts=verdicts,
        before_sha256=request.pointers.sha256 or "",
        after_sha256=sha256_hex(after),
        previous=request.previous,
    )
    return ActivationPlan(record, after, findings)


def _count_verdicts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return the `verdicts` of a record: how many of each, and how many removed runs were accepted, if any."""
    verdicts = list(verdicts)
    counts = Counter(verdict.verdict for verdict in verdicts)
    accepted = sum(f.code in ACCEPTABLE_LOSSES and f.severity is Severity.WARNING for v in verdicts for f in v.findings)
    return {name: counts[name] for name in get_args(RunVerdict)} | ({ACCEPTED_REMOVED: accepted} if accepted else {})


def _is_foreign_run(request: ActivationRequest, candidate: Candidate) -> bool:
    return is_foreign(candidate.verdict.repository_id, request.state.repository_id)


def require_reason(reason: str, action: str) -> None:
    """Raise ConfigError (exit 2) if the reason of a change is empty or blank; `action` is for the message."""
    if not reason.strip():
        raise ConfigError(f"{action} needs a reason", "add --reason TEXT")
