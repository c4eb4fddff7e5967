"""Plan a change of the pointer file: verdicts and the state in force, to moves or to reasons against (SPEC 5). Pure.

The gate of the runbook's fourth step. What it judges is the state *after* the move, so that a set of active
registries that was not built together cannot come about one move at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from registry_pipeline.canonical import json_document, parse_utc, sha256_hex
from registry_pipeline.errors import ConfigError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.pointers.consistency import ActiveRun, can_be_active, find_inconsistent_inputs
from registry_pipeline.pointers.new_pointer_file import pointer_file_bytes, with_moves
from registry_pipeline.pointers.record import (
    ACCEPTED_FOREIGN,
    ACCEPTED_REMOVED,
    AFTER_FILE,
    RECORD_FILE,
    Action,
    ActivationRecord,
)
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import is_foreign
from registry_pipeline.runs.reference import Move, PointerFile, RunIdentity, SealedRef
from registry_pipeline.runs.sealed_run import Artifacts, Refusal, SealedRun, Verdict
from registry_pipeline.values import replace, value_type

_VERDICTS: Final = ("pass", "fail", "unsealed", "partial")


@value_type
class Candidate:
    """A sealed run that is proposed, with the verdict on it."""

    run: SealedRun
    verdict: Verdict


@value_type
class ActivationRequest:
    """All that the plan is made from; nothing else decides it.

    `candidates` move together or not at all, at most one a registry. `pointers` is the file as read under the lock.
    `active` are the active runs whose folders are there. `marked_bad` maps run id to reason. `previous` is the head
    of the chain, None where there is no record yet (`ActivationPlan.following`). `allow_mixed` and `allow_foreign`
    need a `reason`. `accepted_foreign` are the foreign runs that the chain shows as accepted: a rollback may return
    to them, while an activation needs `allow_foreign` each time. `own_notes` are the reasons in the records, which
    this tool wrote into the pointers' notes.
    """

    candidates: tuple[Candidate, ...]
    pointers: PointerFile
    active: Mapping[str, ActiveRun]
    marked_bad: Mapping[str, str]
    specs: Mapping[str, RegistrySpec]
    run_roots: tuple[str, ...]
    previous: SealedRef | None
    actor: str
    reason: str
    now_utc: str
    allow_mixed: bool = False
    own_notes: frozenset[str] = frozenset()
    repository_id: str | None = None
    allow_foreign: bool = False
    accepted_foreign: frozenset[RunIdentity] = frozenset()


@value_type
class ActivationPlan:
    """A change that may be made: what is sealed as its record, and what the pointer file becomes.

    `findings` are warnings only.
    """

    record: ActivationRecord
    after_bytes: bytes
    findings: tuple[Finding, ...] = ()

    @property
    def moves(self) -> tuple[Move, ...]:
        """The pointers that move, by registry."""
        return self.record.moves

    def following(self, head: SealedRef) -> ActivationPlan:
        """Return the same change as the record after `head`, for a chain whose `init` was sealed after planning."""
        return replace(self, record=replace(self.record, previous=head))

    @property
    def artifacts(self) -> Artifacts:
        """What the activation record's run folder holds, for the runbook to seal.

        Raises:
            ValueError: the record has no predecessor and is not `init`: the caller's mistake.
        """
        if (self.record.previous is None) != (self.record.action == "init"):
            raise ValueError("every record but `init` follows another one")
        record = json_document(self.record.to_json())
        files = {RECORD_FILE: record, AFTER_FILE: self.after_bytes}
        return Artifacts(files, records=len(self.moves), content_sha256=sha256_hex(record))


@value_type
class NothingToMove:
    """Every candidate is active already: no record is sealed, no file changes."""

    findings: tuple[Finding, ...] = ()


def plan_init(pointers: bytes, *, actor: str, reason: str, retired: Iterable[SealedRef] = ()) -> ActivationPlan:
    """Return the first record of the chain, which takes the existing pointer file as it is.

    `pointers` are the file's bytes, `retired` the records of a lost chain that this one replaces.
    """
    digest = sha256_hex(pointers)
    record = ActivationRecord("init", (), tuple(retired), actor, reason, counted(()), digest, digest, None)
    return ActivationPlan(record, pointers)


def plan_activation(request: ActivationRequest) -> ActivationPlan | NothingToMove | Refusal:
    """Return the change that puts the candidates in force, or every reason against it.

    Raises:
        ConfigError: `allow_mixed` or `allow_foreign` without a reason (exit 2).
        ValueError: two candidates for one registry, or no pointer file was read: the caller's mistake.
    """
    for option, given in (("--allow-mixed", request.allow_mixed), ("--allow-foreign", request.allow_foreign)):
        if given and not request.reason.strip():
            raise ConfigError(f"{option} needs a reason", "say why with --reason TEXT")
    runs = {c.run.registry_id: c.run for c in request.candidates}
    if len(runs) != len(request.candidates) or request.pointers.sha256 is None:
        raise ValueError("a plan takes one candidate a registry, and a pointer file that exists")
    # A foreign run can be active already, in a fork for instance: then the move to itself is its acceptance.
    to_accept = {c.run.ref.identity for c in request.candidates if request.allow_foreign and _is_foreign(request, c)}
    to_accept -= request.accepted_foreign
    moves = tuple(
        Move(registry_id, request.pointers.active(registry_id), run.ref)
        for registry_id, run in sorted(runs.items())
        if request.pointers.active(registry_id) != run.ref or run.ref.identity in to_accept
    )
    request = replace(request, accepted_foreign=frozenset())
    against = [
        *(f for c in request.candidates for f in run_obstacles(request, c)),
        *set_obstacles(request, moves, runs),
    ]
    against += [f for run in runs.values() for f in _judge_age(request, run)]
    return planned(request, "activate", moves, against)


def planned(
    request: ActivationRequest, action: Action, moves: tuple[Move, ...], against: Sequence[Finding]
) -> ActivationPlan | NothingToMove | Refusal:
    """Return the plan of judged moves: a refusal where anything judged is an error."""
    findings = sorted_findings(against)
    if has_errors(findings):
        return Refusal(findings)
    if not moves:
        return NothingToMove(findings)
    after = pointer_file_bytes(with_moves(request.pointers, moves, request.now_utc, request.reason, request.own_notes))
    record = ActivationRecord(
        action=action,
        moves=moves,
        runs=(),
        actor=request.actor,
        reason=request.reason,
        verdicts=counted(c.verdict for c in request.candidates) | _counted_foreign(request, moves),
        before_sha256=request.pointers.sha256 or "",
        after_sha256=sha256_hex(after),
        previous=request.previous,
    )
    return ActivationPlan(record, after, findings)


def run_obstacles(request: ActivationRequest, candidate: Candidate) -> Iterable[Finding]:
    """Yield what speaks against one candidate by itself; its age is for `plan_activation` alone to judge."""
    run, verdict = candidate.run, candidate.verdict
    ref, place = run.ref, _place(run.ref)
    if not can_be_active(request.specs.get(run.registry_id)):
        yield finding("ACTIVATE_NO_POINTER", place, detail=run.registry_id)
    if ref.run_root not in request.run_roots or "/" in ref.run_id or ref.run_id in ("", ".", ".."):
        yield finding("ACTIVATE_OUTSIDE_ROOTS", place, expected=", ".join(request.run_roots), got=ref.run_root)
    if verdict.run_id != ref.run_id or verdict.root_sha256 != ref.manifest_sha256:
        got = f"{verdict.run_id} {verdict.root_sha256 or 'without a root'}"
        yield finding("ACTIVATE_VERDICT_STALE", place, expected=f"{ref.run_id} {ref.manifest_sha256}", got=got)
    if not verdict.passed:
        codes = ", ".join(sorted({f.code for f in verdict.errors()})) or verdict.verdict
        yield finding("ACTIVATE_NOT_VERIFIED", place, expected="pass", got=verdict.verdict, detail=codes)
    if verdict.registry_id != run.registry_id:
        got = verdict.registry_id or "no registry"
        yield finding("ACTIVATE_OTHER_REGISTRY", place, expected=run.registry_id, got=got)
    if ref.run_id in request.marked_bad:
        yield finding("ACTIVATE_MARKED_BAD", place, detail=request.marked_bad[ref.run_id])
    yield from _check_origin(request, candidate)


def _is_foreign(request: ActivationRequest, candidate: Candidate) -> bool:
    return is_foreign(candidate.verdict.repository_id, request.repository_id)


def _check_origin(request: ActivationRequest, candidate: Candidate) -> Iterable[Finding]:
    """Yield the finding on a run of another repository, or on one that cannot be compared with this repository."""
    ref, own, stated = candidate.run.ref, request.repository_id, candidate.verdict.repository_id
    if _is_foreign(request, candidate):
        accepted = request.allow_foreign or ref.identity in request.accepted_foreign
        yield finding(
            "ACTIVATE_FOREIGN",
            _place(ref),
            expected=own,
            got=stated,
            severity=Severity.WARNING if accepted else Severity.ERROR,
            registry=candidate.run.registry_id,
            run_id=ref.run_id,
        )
    elif (own is None) != (stated is None):
        lacking = "the run states no repository_id" if stated is None else "this repository has no repository_id"
        yield finding("ACTIVATE_ORIGIN_UNKNOWN", _place(ref), expected=own, got=stated, detail=lacking)


def _counted_foreign(request: ActivationRequest, moves: Sequence[Move]) -> dict[str, int]:
    """Return how many foreign runs a record accepts: nothing is planned while one of them is refused."""
    moved = {move.to_ref for move in moves}
    count = sum(c.run.ref in moved and _is_foreign(request, c) for c in request.candidates)
    return {ACCEPTED_FOREIGN: count} if count else {}


def _judge_age(request: ActivationRequest, run: SealedRun) -> Iterable[Finding]:
    """Yield ACTIVATE_OLDER where both instants are known; what is unknown is not judged."""
    active = request.active.get(run.registry_id)
    if active is None or active.ref != request.pointers.active(run.registry_id):
        return
    now_active, proposed = parse_utc(active.as_of_utc), parse_utc(run.as_of_utc)
    if now_active is not None and proposed is not None and proposed < now_active:
        place, expected = _place(run.ref), f"{active.as_of_utc} or later"
        yield finding("ACTIVATE_OLDER", place, expected=expected, got=run.as_of_utc)


def set_obstacles(
    request: ActivationRequest, moves: Sequence[Move], runs: Mapping[str, SealedRun]
) -> Iterable[Finding]:
    """Yield the mixed edges of the state after the moves: refusals where a move touches them, else warnings.

    `runs` are the candidates by registry; a registry that moves to nothing has none.
    """
    moved = frozenset(move.registry_id for move in moves)
    emptied = {move.registry_id for move in moves if move.to_ref is None}
    after = {
        registry_id: active
        for registry_id, active in request.active.items()
        if active.ref == request.pointers.active(registry_id) and registry_id not in emptied
    } | {name: ActiveRun(run.ref, run.inputs, run.as_of_utc) for name, run in runs.items()}
    for edge in find_inconsistent_inputs(after, request.specs):
        refused = edge.touches(moved) and not request.allow_mixed
        rebuilt = edge.upstream_id if refused and edge.upstream_id in moved else edge.registry_id
        yield finding(
            "ACTIVATE_MIXED" if refused else "POINTER_INPUTS_MIXED",
            _place(edge.ref),
            expected="no active run" if edge.active is None else edge.active.run_id,
            got=edge.recorded.run_id,
            detail=edge.sentence() if refused else edge.upstream_id,
            registry=rebuilt,
        )


def _place(ref: SealedRef) -> str:
    return f"{ref.run_root}/{ref.run_id}"


def counted(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return the `verdicts` of a record: how many of each, and how many removed runs were accepted, if any."""
    judged = list(verdicts)
    counts = Counter(verdict.verdict for verdict in judged)
    accepted = sum(f.code == "RUN_REMOVED" and f.severity is Severity.WARNING for v in judged for f in v.findings)
    return {name: counts[name] for name in _VERDICTS} | ({ACCEPTED_REMOVED: accepted} if accepted else {})
