"""Plan a change of the pointers: the new pointer file and its record, or the reasons to refuse. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.errors import ConfigError
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.pointers.obstacles import (
    ActivationState,
    Candidate,
    find_inconsistencies,
    find_obstacles,
    find_run_obstacles,
)
from registry_pipeline.pointers.record import (
    ACCEPTED_FOREIGN,
    ACCEPTED_REMOVED,
    AFTER_FILE,
    MUTATION_POLICY,
    RECORD_FILE,
    Action,
    ActivationRecord,
)
from registry_pipeline.runs.envelope import is_foreign
from registry_pipeline.runs.reference import Known, Move, Pointer, PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import Artifacts, Refusal, Verdict
from registry_pipeline.values import replace, value_type

POINTER_CONTRACT_VERSION: Final = "0.1"
DESCRIPTION: Final = "Which sealed run is active for each registry; nothing is active by name or by recency."


def empty_pointer_file(now_utc: str) -> PointerFile:
    """Return the pointer file of a repository without active runs."""
    document = {
        "pointer_contract_version": POINTER_CONTRACT_VERSION,
        "description": DESCRIPTION,
        "mutation_policy": MUTATION_POLICY,
        "last_updated_utc": now_utc,
        "pointers": [],
    }
    return PointerFile(document, (), None)


def pointer_file_bytes(file: PointerFile) -> bytes:
    """Return the bytes of the file: JSON with indent 2, pointers sorted by registry, unknown keys kept."""
    old_entries = file.document.get("pointers")
    if not isinstance(old_entries, list):
        old_entries = []
    entries = {entry.get("registry_id"): entry for entry in old_entries if isinstance(entry, dict)}
    pointers = sorted(file.pointers, key=lambda pointer: pointer.registry_id)
    document = dict(file.document)
    document["pointers"] = [_entry(entries.get(p.registry_id, {}), p) for p in pointers]
    return json_document(document)


def _entry(before: Mapping[str, Any], pointer: Pointer) -> dict[str, Any]:
    # An entry that means the same keeps the form in which an older tool wrote it.
    entry = pointer.to_json()
    same_ref = pointer.ref is None and _is_object_of_nulls(before.get("active_ref"))
    same_asof = pointer.asof_utc is None and before.get("active_asof_utc") == "unknown"
    if pointer.known == "unknown" and before.get("active_ref_known") == "unknown" and same_ref:
        entry["active_ref"] = before["active_ref"]
        entry["active_asof_utc"] = "unknown" if same_asof else entry["active_asof_utc"]
    return dict(before) | entry


def _is_object_of_nulls(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(item is None for item in value.values())


def with_moves(
    file: PointerFile, moves: Iterable[Move], now_utc: str, reason: str, own_notes: Collection[str] = ()
) -> PointerFile:
    """Return the file after the moves; a pointer that moves to no run becomes `"unknown"`.

    The notes of a moved pointer become `reason`, unless they are a user's: `own_notes` are the notes of this tool.
    """
    pointers = {pointer.registry_id: pointer for pointer in file.pointers}
    for move in moves:
        name, ref = move.registry_id, move.to_ref
        # The run was verified for this change, so its pointer is `true` as of now.
        known: Known = "unknown" if ref is None else True
        before = pointers[name].notes if name in pointers else ""
        notes = before if ref is not None and before and before not in own_notes else reason
        pointers[name] = Pointer(name, ref, known, None if ref is None else now_utc, notes)
    return _changed(file, pointers.values(), now_utc)


def with_marked_bad(file: PointerFile, run_id: str, now_utc: str, notes: str) -> PointerFile:
    """Return the file in which every active pointer to a run is `false`, with the reason as its notes."""
    pointers = [
        replace(p, known=False, notes=notes) if p.known is True and p.ref is not None and p.ref.run_id == run_id else p
        for p in file.pointers
    ]
    return _changed(file, pointers, now_utc)


def _changed(file: PointerFile, pointers: Iterable[Pointer], now_utc: str) -> PointerFile:
    document = dict(file.document)
    # A missing last_updated_utc is added before the pointers, which stay last.
    if "last_updated_utc" not in document:
        rest = document.pop("pointers", [])
        document |= {"last_updated_utc": now_utc, "pointers": rest}
    document["last_updated_utc"] = now_utc
    changed = PointerFile(document, tuple(pointers), None)
    return replace(changed, sha256=sha256_hex(pointer_file_bytes(changed)))


_VERDICTS: Final = ("pass", "fail", "unsealed", "partial")


@value_type
class ActivationRequest:
    """Everything that a plan depends on.

    Attributes:
        candidates: activated together or not at all, at most one for each registry.
        pointers: the pointer file as read under the lock.
        previous: the head of the chain, None before the first record.
        own_notes: the reasons in the records, which this tool copied into the notes of pointers.
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

    @property
    def moves(self) -> tuple[Move, ...]:
        """The pointers that move, by registry."""
        return self.record.moves

    def following(self, head: SealedRef) -> ActivationPlan:
        """Return the same change as the record after `head`, for a chain whose `init` was sealed after planning."""
        return replace(self, record=replace(self.record, previous=head))

    @property
    def artifacts(self) -> Artifacts:
        """The files of the activation record's run folder.

        Raises:
            ValueError: the record has no predecessor and is not `init` (a bug of the caller).
        """
        if (self.record.previous is None) != (self.record.action == "init"):
            raise ValueError("every record except `init` needs a predecessor")
        record = json_document(self.record.to_json())
        files = {RECORD_FILE: record, AFTER_FILE: self.after_bytes}
        return Artifacts(files, records=len(self.moves), content_sha256=sha256_hex(record))


@value_type
class NothingToMove:
    """The pointers are already as requested: no record is sealed and no file changes."""

    findings: tuple[Finding, ...] = ()


PlanResult = ActivationPlan | NothingToMove | Refusal


def plan_init(pointers: bytes, *, actor: str, reason: str, retired: Iterable[SealedRef] = ()) -> ActivationPlan:
    """Return the first record of a chain, which leaves the pointer file as it is.

    `pointers` are the bytes of that file, `retired` the records of a lost chain that this one replaces.
    """
    digest = sha256_hex(pointers)
    record = ActivationRecord("init", (), tuple(retired), actor, reason, count_verdicts(()), digest, digest, None)
    return ActivationPlan(record, pointers)


def plan_activation(request: ActivationRequest) -> PlanResult:
    """Return the change that activates the candidates, or a refusal with every obstacle.

    Raises:
        ConfigError: `allow_mixed` or `allow_foreign` without a reason (exit 2).
        ValueError: two candidates for one registry, or no pointer file was read (a bug of the caller).
    """
    for option, given in (("--allow-mixed", request.allow_mixed), ("--allow-foreign", request.allow_foreign)):
        if given:
            _require_reason(request, option)
    runs = {candidate.run.registry_id: candidate.run for candidate in request.candidates}
    if len(runs) != len(request.candidates) or request.pointers.sha256 is None:
        raise ValueError("a plan needs one candidate for each registry and an existing pointer file")
    foreign = {c.run.ref.identity for c in request.candidates if request.allow_foreign and _is_foreign(request, c)}
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
    findings += find_inconsistencies(state, runs.values(), moved, allow_mixed=request.allow_mixed)
    return _build_plan(request, "activate", moves, findings)


def plan_rollback(request: ActivationRequest, undone: Sequence[Move], *, restores: bool) -> PlanResult:
    """Return the change that undoes moves of one record: each registry returns to the run that its move replaced.

    Args:
        request: its candidates are the runs to return to, validated again.
        undone: the moves to undo. A registry whose move replaced nothing has no active run afterwards.
        restores: the change restores exactly the state before that record, so inconsistent inputs are only warnings.

    Raises:
        ConfigError: the reason is missing (exit 2).
        ValueError: the candidates are not the runs to return to (a bug of the caller).
    """
    _require_reason(request, "a rollback")
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
    findings = [f for candidate in moving for f in find_run_obstacles(candidate, request.state)]
    runs = [candidate.run for candidate in moving]
    findings += find_inconsistencies(request.state, runs, moved, allow_mixed=request.allow_mixed or restores)
    return _build_plan(replace(request, candidates=moving), "rollback", moves, findings)


def plan_mark_bad(request: ActivationRequest, pointers: bytes, run: SealedRef) -> ActivationPlan | NothingToMove:
    """Return the change that prevents every later activation of a run; pointers to it become `false`.

    `pointers` are the bytes that the request was parsed from.

    Raises:
        ConfigError: the reason is missing (exit 2).
    """
    _require_reason(request, "marking a run bad")
    affected = [
        p for p in request.pointers.pointers if p.known is True and p.ref is not None and p.ref.run_id == run.run_id
    ]
    if run.run_id in request.state.marked_bad and not affected:
        return NothingToMove()
    after = pointers
    if affected:
        after = pointer_file_bytes(with_marked_bad(request.pointers, run.run_id, request.now_utc, request.reason))
    # Nothing refuses this: an active bad run is worse than an inconsistent set, which is only a warning.
    emptied = frozenset(pointer.registry_id for pointer in affected)
    warnings = sorted_findings(find_inconsistencies(request.state, (), emptied, allow_mixed=True))
    record = ActivationRecord(
        action="mark_bad",
        moves=(),
        runs=(run,),
        actor=request.actor,
        reason=request.reason,
        verdicts=count_verdicts(()),
        before_sha256=sha256_hex(pointers),
        after_sha256=sha256_hex(after),
        previous=request.previous,
    )
    return ActivationPlan(record, after, warnings)


def plan_void(
    pointers: bytes, records: Iterable[SealedRef], *, previous: SealedRef, actor: str, reason: str
) -> ActivationPlan:
    """Return the record that takes other records out of the chain; it leaves the pointer file as it is.

    `pointers` is the state after `previous`, the last record that remains.
    """
    digest = sha256_hex(pointers)
    voided = tuple(sorted(records))
    record = ActivationRecord("void", (), voided, actor, reason, count_verdicts(()), digest, digest, previous)
    return ActivationPlan(record, pointers)


def _build_plan(
    request: ActivationRequest, action: Action, moves: tuple[Move, ...], findings: Iterable[Finding]
) -> PlanResult:
    findings = sorted_findings(findings)
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
        verdicts=count_verdicts(c.verdict for c in request.candidates) | _count_foreign(request, moves),
        before_sha256=request.pointers.sha256 or "",
        after_sha256=sha256_hex(after),
        previous=request.previous,
    )
    return ActivationPlan(record, after, findings)


def count_verdicts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return the `verdicts` of a record: how many of each, and how many removed runs were accepted, if any."""
    verdicts = list(verdicts)
    counts = Counter(verdict.verdict for verdict in verdicts)
    accepted = sum(f.code == "RUN_REMOVED" and f.severity is Severity.WARNING for v in verdicts for f in v.findings)
    return {name: counts[name] for name in _VERDICTS} | ({ACCEPTED_REMOVED: accepted} if accepted else {})


def _count_foreign(request: ActivationRequest, moves: Sequence[Move]) -> dict[str, int]:
    # A plan with a foreign run that is not accepted was refused before, so every one that moves is accepted.
    moved = {move.to_ref for move in moves}
    count = sum(c.run.ref in moved and _is_foreign(request, c) for c in request.candidates)
    return {ACCEPTED_FOREIGN: count} if count else {}


def _is_foreign(request: ActivationRequest, candidate: Candidate) -> bool:
    return is_foreign(candidate.verdict.repository_id, request.state.repository_id)


def _require_reason(request: ActivationRequest, action: str) -> None:
    if not request.reason.strip():
        raise ConfigError(f"{action} needs a reason", "add --reason TEXT")
