"""When which job ran and where it left its folder: the plan of all runs, before any byte of them is made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal

from registry_pipeline.example.defects import BEFORE_SEALS, LEGACY, SEALED_DEFECTS, UNSEALED_DEFECTS, Defect
from registry_pipeline.example.operations import CODEX, OPERATIONS, OPTIONS, REPORTS, ExampleOperation
from registry_pipeline.example.seeded import LineOrder, draw
from registry_pipeline.values import replace, value_type

HISTORY_DAYS: Final = 120
SEALS_SINCE_DAYS: Final = 114
_ROOT_CHANGED_DAYS: Final = 60
_DIRTY_PERCENT: Final = 11
_LEGACY: Final = (
    *((CODEX, f"nightly-old-{number}", "nightly") for number in (15, 16, 17, 18)),
    (REPORTS, "restore drill 1", "restore_drill"),
    (REPORTS, "restore.2", "restore_drill"),
)
Seal = Literal["ours", "none"] | LineOrder


@value_type
class PlannedRun:
    """One run folder to be: its name and place, when it ran, of what, and what happened to it afterwards.

    `operation` is None for an agent's session; `latest` marks the newest run of its operation.
    """

    run_root: str
    run_id: str
    at: datetime
    run_type: str
    operation: ExampleOperation | None
    actor: str
    dirty: bool
    latest: bool
    seal: Seal
    defect: Defect | None = None

    @property
    def path(self) -> str:
        """The folder, relative to the repository root."""
        return f"{self.run_root}/{self.run_id}"


def plan_runs(seed: int, end: datetime) -> tuple[PlannedRun, ...]:
    """Return every run of the 120 days before `end`, sorted by path; the same for the same arguments."""
    runs = [*_operation_runs(seed, end), *_agent_sessions(seed, end), *_legacy(end)]
    hurt = _spread_defects(seed, end, runs)
    return tuple(sorted((hurt.get(run.path, run) for run in runs), key=lambda run: run.path))


def _operation_runs(seed: int, end: datetime) -> Iterator[PlannedRun]:
    for operation in OPERATIONS:
        if operation.last_hours is None:
            continue
        age = timedelta(hours=operation.last_hours)
        turn = 0
        while age < timedelta(days=OPTIONS[operation.option].since_days - 1):
            at = end - age - timedelta(seconds=draw(2400, seed, operation.job, turn, "jitter"))
            moved = operation.earlier_root is not None and age > timedelta(days=_ROOT_CHANGED_DAYS)
            root = operation.earlier_root if moved and operation.earlier_root else operation.run_root
            dirty = draw(100, seed, operation.job, turn, "dirty") < _DIRTY_PERCENT if turn else operation.last_dirty
            yield _planned(end, at, root, operation.job, operation, dirty=dirty, latest=turn == 0)
            age += timedelta(days=operation.every_days)
            turn += 1


def _agent_sessions(seed: int, end: datetime) -> Iterator[PlannedRun]:
    for turn in range(11):
        at = end - timedelta(days=4 + 10 * turn, seconds=draw(30000, seed, "agent", turn))
        run = _planned(end, at, CODEX, "agent_session", None, dirty=turn % 3 == 1, latest=False)
        yield run
        if turn == 1:  # the agent tried again within the second
            yield replace(run, run_id=f"{run.run_id}__02")


def _legacy(end: datetime) -> Iterator[PlannedRun]:
    for root, name, job in _LEGACY:
        at = end - timedelta(days=HISTORY_DAYS - 2)
        yield PlannedRun(root, name, at, job, None, "cron", dirty=False, latest=False, seal="none", defect=LEGACY)


def _planned(
    end: datetime, at: datetime, root: str, tag: str, operation: ExampleOperation | None, *, dirty: bool, latest: bool
) -> PlannedRun:
    seal = _tool_of_the_day(root, (end - at).days)
    return PlannedRun(
        run_root=root,
        run_id=f"{at:%Y-%m-%d__%H%M%S}__{tag}",
        at=at,
        run_type=tag,
        operation=operation,
        actor="scheduler" if operation else "agent-bollard",
        dirty=dirty,
        latest=latest,
        seal=seal,
        defect=BEFORE_SEALS if seal == "none" else None,
    )


def _tool_of_the_day(root: str, days: int) -> Seal:
    if days >= SEALS_SINCE_DAYS:
        return "none"
    if days >= 85:
        return "manifest_last"
    if days >= 55:
        return "whole_line"
    return "ours" if root == CODEX and days < 25 else "relpath"


def _spread_defects(seed: int, end: datetime, runs: list[PlannedRun]) -> dict[str, PlannedRun]:
    """Return the runs that something happened to, by path; never the latest of an operation, nor one of our seals."""
    spared = ("ours", "none")
    candidates = [
        run for run in runs if not run.latest and run.operation and run.seal not in spared and (end - run.at).days >= 3
    ]
    candidates.sort(key=lambda run: draw(2**64, seed, "defect", run.path))
    defects = (*SEALED_DEFECTS, *UNSEALED_DEFECTS)
    return {
        run.path: replace(run, defect=defect, seal=run.seal if defect.sealed else "none")
        for run, defect in zip(candidates, defects, strict=False)
    }
