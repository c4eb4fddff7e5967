"""Plan every change of the pointer file that is no activation: rollback, mark-bad and void (SPEC 5). Pure.

A rollback is judged as an activation is, but for age: it may go back to an older instant, and gives a reason for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import ConfigError
from registry_pipeline.findings.finding import sorted_findings
from registry_pipeline.pointers.new_pointer_file import pointer_file_bytes, with_marked_bad
from registry_pipeline.pointers.plan import (
    ActivationPlan,
    ActivationRequest,
    NothingToMove,
    counted,
    planned,
    run_obstacles,
    set_obstacles,
)
from registry_pipeline.pointers.record import ActivationRecord
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.runs.sealed_run import Refusal
from registry_pipeline.values import replace


def plan_rollback(
    request: ActivationRequest, undone: Sequence[Move], *, restores: bool
) -> ActivationPlan | NothingToMove | Refusal:
    """Return the change that takes moves back: each registry returns to what its move had replaced.

    `undone` are moves of one record. The request's candidates are the runs to return to, verified anew; a registry
    for which nothing was replaced moves to nothing. With `restores` the state afterwards is the one that stood
    before that record, so that its mixed edges only warn; else the rule of `plan_activation` holds.

    Raises:
        ConfigError: no reason is given, or `allow_mixed` without one (exit 2).
        ValueError: the candidates are not the runs to return to: the caller's mistake.
    """
    _demand_reason(request, "a rollback")
    back = {move.registry_id: move.from_ref for move in undone}
    if {c.run.registry_id: c.run.ref for c in request.candidates} != {n: ref for n, ref in back.items() if ref}:
        raise ValueError("a rollback takes the runs that were replaced, each with its verdict")
    moves = tuple(
        Move(name, request.pointers.active(name), ref)
        for name, ref in sorted(back.items())
        if request.pointers.active(name) != ref
    )
    moving = {move.registry_id for move in moves}
    judged = replace(
        request,
        candidates=tuple(c for c in request.candidates if c.run.registry_id in moving),
        allow_mixed=request.allow_mixed or restores,
    )
    against = [f for candidate in judged.candidates for f in run_obstacles(judged, candidate)]
    against += set_obstacles(judged, moves, {c.run.registry_id: c.run for c in judged.candidates})
    return planned(judged, "rollback", moves, against)


def plan_mark_bad(request: ActivationRequest, pointers: bytes, run: SealedRef) -> ActivationPlan | NothingToMove:
    """Return the change that keeps a run from ever being activated again; where it is active its pointer is `false`.

    `pointers` are the bytes of the file that the request was parsed from: they stay where the run is not active.
    Nothing is refused, since a bad run in force is worse than a mixed set, which is told as a warning.

    Raises:
        ConfigError: no reason is given (exit 2).
    """
    _demand_reason(request, "marking a run bad")
    named = [
        p for p in request.pointers.pointers if p.known is True and p.ref is not None and p.ref.run_id == run.run_id
    ]
    if run.run_id in request.marked_bad and not named:
        return NothingToMove()
    after = pointers
    if named:
        after = pointer_file_bytes(with_marked_bad(request.pointers, run.run_id, request.now_utc, request.reason))
    emptied = [Move(pointer.registry_id, pointer.ref, None) for pointer in named]
    warnings = sorted_findings(set_obstacles(replace(request, allow_mixed=True), emptied, {}))
    record = ActivationRecord(
        action="mark_bad",
        moves=(),
        runs=(run,),
        actor=request.actor,
        reason=request.reason,
        verdicts=counted(()),
        before_sha256=sha256_hex(pointers),
        after_sha256=sha256_hex(after),
        previous=request.previous,
    )
    return ActivationPlan(record, after, warnings)


def plan_void(
    standing: bytes, records: Iterable[SealedRef], *, previous: SealedRef, actor: str, reason: str
) -> ActivationPlan:
    """Return the record that takes other records out of the chain; it leaves the pointer file as it is.

    `standing` is the state after `previous`, the last record that stands without those that are voided.
    """
    digest = sha256_hex(standing)
    record = ActivationRecord("void", (), tuple(sorted(records)), actor, reason, counted(()), digest, digest, previous)
    return ActivationPlan(record, standing)


def _demand_reason(request: ActivationRequest, what: str) -> None:
    if not request.reason.strip():
        raise ConfigError(f"{what} needs a reason", "say why with --reason TEXT")
