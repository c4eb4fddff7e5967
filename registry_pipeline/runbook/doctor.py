"""`doctor`: everything that is wrong around the evidence, and mending it when asked to (SPEC 2.4, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from registry_pipeline.activate.swap import intent_path
from registry_pipeline.config import Governed
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding, sorted_findings
from registry_pipeline.model.verdict import Activation, Refusal
from registry_pipeline.query.doctor import UNREADABLE, DoctorDocument, Mended, examine
from registry_pipeline.runbook.building import BuildRun
from registry_pipeline.runbook.leftovers import find_temporary_files, remove_temporary_files
from registry_pipeline.runbook.publish_root import refuse_linked_publish_root
from registry_pipeline.runbook.rendering import render_after_change
from registry_pipeline.runbook.settlement import finish, remove_leftovers, void, write_back
from registry_pipeline.runbook.status import observe
from registry_pipeline.runbook.store import read_chain_state
from registry_pipeline.seal.staging import quarantine_folder, stale_stagings
from registry_pipeline.validate.chain import ChainState
from registry_pipeline.values import value_type

QUARANTINE = "quarantine"


@value_type
class Orders:
    """What to do with a pending record or a branch: `finish` it, or `void` these, with who and why."""

    actor: str
    reason: str = ""
    finish: bool = False
    void: tuple[str, ...] = ()


class _Work:
    """What has been mended and refused so far."""

    def __init__(self) -> None:
        self.mended: list[Mended] = []
        self.refused: list[Finding] = []
        self.not_rendered: list[Finding] = []


def diagnose(governed: Governed, now: datetime) -> DoctorDocument:
    """Return every finding on pointers, chain, active runs and what lies around them; nothing is written.

    Raises:
        NotFoundError: a run root or the pointer file is there and cannot be read.
    """
    _, seen, findings = observe(governed, now)
    leftovers = {}
    if seen.chain.state in ("committed", "not_chained"):
        leftovers["DOCTOR_INTENT_LEFTOVER"] = intent_path(governed.pointer_path)
    around = examine(governed, leftovers)
    if any(each.code == UNREADABLE for each in findings):  # why git cannot be asked is said once
        around = tuple(each for each in around if each.code != UNREADABLE)
    temporary = [
        finding("DOCTOR_TEMPORARY_LEFTOVER", path.relative_to(governed.root).as_posix())
        for path in find_temporary_files(governed)
    ]
    return DoctorDocument((), (), sorted_findings((*findings, *temporary, *around)))


def mend(governed: Governed, run: BuildRun, orders: Orders) -> DoctorDocument:
    """Settle the chain as ordered, then mend what needs no decision, and tell what is left.

    In this order: a pending record or a branch, a pointer file that is not the head's, leftovers of changes that are
    over, staging. What is not ordered stays: nothing is ever finished or voided by itself.

    Raises:
        BusyError: another change holds the lock. RefusedError, NotFoundError: an order cannot be followed.
        RefusedError: publish_root lies behind a link; nothing was written.
    """
    refuse_linked_publish_root(governed)
    work = _Work()
    if orders.finish or orders.void:
        _settle(governed, run, orders, work)
    _restore(governed, work)
    _clear(governed, work)
    left = diagnose(governed, run.started)
    findings = sorted_findings((*left.findings, *work.not_rendered))
    return DoctorDocument(tuple(work.mended), tuple(work.refused), findings)


def _settle(governed: Governed, run: BuildRun, orders: Orders, work: _Work) -> None:
    before = read_chain_state(governed)
    done = (
        finish(governed)
        if orders.finish
        else void(governed, run, orders.void, actor=orders.actor, reason=orders.reason)
    )
    if isinstance(done, Refusal):
        work.refused += done.findings
    elif done is not None:
        settled = "finished" if orders.finish else f"voided by {done.record.run_id}"
        work.mended += [Mended(code, path, settled) for code, path in _settled(before, done)]
        if orders.finish:
            _render(governed, run, work, done)


def _settled(before: ChainState, done: Activation) -> Sequence[tuple[str, str]]:
    """Return what was wrong with the chain before and is not now."""
    codes = ("CHAIN_PENDING", "CHAIN_FORK", "CHAIN_DETACHED")
    told = [(f.code, f.path) for f in before.findings if f.code in codes]
    return told or [("CHAIN_PENDING", f"{done.record.run_root}/{done.record.run_id}")]


def _render(governed: Governed, run: BuildRun, work: _Work, done: Activation) -> None:
    if not done.moves:
        return
    report, missing = render_after_change(governed, run)
    work.not_rendered += missing
    if report is not None:
        work.mended.append(Mended("CHAIN_PENDING", f"{report.ref.run_root}/{report.ref.run_id}", "rendered the report"))


def _restore(governed: Governed, work: _Work) -> None:
    state = read_chain_state(governed)
    if state.state not in ("rewound", "edited") or state.head is None:
        return
    replaced = write_back(governed, governed.state_root / QUARANTINE)
    if replaced is not None:
        code = "POINTER_REWOUND" if state.state == "rewound" else "POINTER_EDITED"
        kept = "; what it said is kept in quarantine" if replaced else ""
        work.mended.append(Mended(code, governed.config.pointers, f"wrote back {state.head.ref.run_id}'s state{kept}"))


def _clear(governed: Governed, work: _Work) -> None:
    work.mended += [
        Mended("DOCTOR_TEMPORARY_LEFTOVER", path.relative_to(governed.root).as_posix(), "removed")
        for path in remove_temporary_files(governed)
    ]
    places = {"DOCTOR_INTENT_LEFTOVER": intent_path(governed.pointer_path)}
    there = {code: path for code, path in places.items() if path.is_file()}
    if there and remove_leftovers(governed):
        work.mended += [
            Mended(code, path.relative_to(governed.root).as_posix(), "removed") for code, path in there.items()
        ]
    for leftover in stale_stagings(governed.staging_root):
        target = quarantine_folder(leftover, governed.state_root / QUARANTINE)
        path, moved = (p.relative_to(governed.root).as_posix() for p in (leftover.path, target))
        work.mended.append(Mended("DOCTOR_STAGING_LEFTOVER", path, f"moved to {moved}"))
