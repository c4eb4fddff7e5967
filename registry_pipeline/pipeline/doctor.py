"""`doctor`: everything that is wrong around the evidence, and mending it when asked to (SPEC 2.4, 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.first_parent import read_default_branch
from registry_pipeline.git.repository import read_ignored, read_text_attributes
from registry_pipeline.pipeline.init_templates import layer_ignores
from registry_pipeline.pipeline.leftovers import find_temporary_files, remove_temporary_files
from registry_pipeline.pipeline.render import render_after_change
from registry_pipeline.pipeline.status import observe
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.recovery import complete_pending, remove_leftovers, void_records, write_back
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.pointers.store import intent_path
from registry_pipeline.registries.base.seal_build import BuildRun, refuse_linked_publish_root
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline.runs.staging import quarantine_folder, stale_stagings
from registry_pipeline.values import value_type

QUARANTINE = "quarantine"


@value_type
class RepairOptions:
    """What to do with a pending record or a branch: `finish` it, or `void` these, with who and why."""

    actor: str
    reason: str = ""
    finish: bool = False
    void: tuple[str, ...] = ()


class _Work:
    """What has been mended and refused so far."""

    def __init__(self) -> None:
        self.mended: list[Repair] = []
        self.refused: list[Finding] = []
        self.not_rendered: list[Finding] = []


def diagnose(repository: Repository, now: datetime) -> DoctorDocument:
    """Return every finding on pointers, chain, active runs and what lies around them; nothing is written.

    Raises:
        NotFoundError: a run root or the pointer file is there and cannot be read.
    """
    _, seen, findings = observe(repository, now)
    leftovers = {}
    if seen.chain.state in ("committed", "not_chained"):
        leftovers["DOCTOR_INTENT_LEFTOVER"] = intent_path(repository.pointer_path)
    around = examine(repository, leftovers)
    if any(each.code == UNREADABLE for each in findings):  # why git cannot be asked is said once
        around = tuple(each for each in around if each.code != UNREADABLE)
    temporary = [
        finding("DOCTOR_TEMPORARY_LEFTOVER", path.relative_to(repository.root).as_posix())
        for path in find_temporary_files(repository)
    ]
    return DoctorDocument((), (), sorted_findings((*findings, *temporary, *around)))


def repair(repository: Repository, run: BuildRun, orders: RepairOptions) -> DoctorDocument:
    """Settle the chain as ordered, then mend what needs no decision, and tell what is left.

    In this order: a pending record or a branch, a pointer file that is not the head's, leftovers of changes that are
    over, staging. What is not ordered stays: nothing is ever finished or voided by itself.

    Raises:
        BusyError: another change holds the lock. RefusedError, NotFoundError: an order cannot be followed.
        RefusedError: publish_root lies behind a link; nothing was written.
    """
    refuse_linked_publish_root(repository)
    work = _Work()
    if orders.finish or orders.void:
        _settle(repository, run, orders, work)
    _restore(repository, work)
    _clear(repository, work)
    left = diagnose(repository, run.started)
    findings = sorted_findings((*left.findings, *work.not_rendered))
    return DoctorDocument(tuple(work.mended), tuple(work.refused), findings)


def _settle(repository: Repository, run: BuildRun, orders: RepairOptions, work: _Work) -> None:
    before = read_chain_state(repository)
    done = (
        complete_pending(repository)
        if orders.finish
        else void_records(repository, run, orders.void, actor=orders.actor, reason=orders.reason)
    )
    if isinstance(done, Refusal):
        work.refused += done.findings
    elif done is not None:
        settled = "finished" if orders.finish else f"voided by {done.record.run_id}"
        work.mended += [Repair(code, path, settled) for code, path in _settled(before, done)]
        if orders.finish:
            _render(repository, run, work, done)


def _settled(before: ChainState, done: Activation) -> Sequence[tuple[str, str]]:
    """Return what was wrong with the chain before and is not now."""
    codes = ("CHAIN_PENDING", "CHAIN_FORK", "CHAIN_DETACHED")
    told = [(f.code, f.path) for f in before.findings if f.code in codes]
    return told or [("CHAIN_PENDING", f"{done.record.run_root}/{done.record.run_id}")]


def _render(repository: Repository, run: BuildRun, work: _Work, done: Activation) -> None:
    if not done.moves:
        return
    report, missing = render_after_change(repository, run)
    work.not_rendered += missing
    if report is not None:
        work.mended.append(Repair("CHAIN_PENDING", f"{report.ref.run_root}/{report.ref.run_id}", "rendered the report"))


def _restore(repository: Repository, work: _Work) -> None:
    state = read_chain_state(repository)
    if state.state not in ("rewound", "edited") or state.head is None:
        return
    replaced = write_back(repository, repository.state_root / QUARANTINE)
    if replaced is not None:
        code = "POINTER_REWOUND" if state.state == "rewound" else "POINTER_EDITED"
        kept = "; what it said is kept in quarantine" if replaced else ""
        work.mended.append(
            Repair(code, repository.config.pointers, f"wrote back {state.head.ref.run_id}'s state{kept}")
        )


def _clear(repository: Repository, work: _Work) -> None:
    work.mended += [
        Repair("DOCTOR_TEMPORARY_LEFTOVER", path.relative_to(repository.root).as_posix(), "removed")
        for path in remove_temporary_files(repository)
    ]
    places = {"DOCTOR_INTENT_LEFTOVER": intent_path(repository.pointer_path)}
    there = {code: path for code, path in places.items() if path.is_file()}
    if there and remove_leftovers(repository):
        work.mended += [
            Repair(code, path.relative_to(repository.root).as_posix(), "removed") for code, path in there.items()
        ]
    for leftover in stale_stagings(repository.staging_root):
        target = quarantine_folder(leftover, repository.state_root / QUARANTINE)
        path, moved = (p.relative_to(repository.root).as_posix() for p in (leftover.path, target))
        work.mended.append(Repair("DOCTOR_STAGING_LEFTOVER", path, f"moved to {moved}"))


UNREADABLE: Final = "CONFIG_GIT_UNREADABLE"
_KEEPS_LINE_ENDS: Final = "unset"


@value_type
class Repair:
    """One thing that `doctor --fix` did: the code of what it mended, where, and what it did."""

    code: str
    path: str
    done: str

    def to_json(self) -> dict[str, str]:
        """Return one entry of `mended`."""
        return {"code": self.code, "path": self.path, "done": self.done}


@value_type
class DoctorDocument:
    """What was mended, what was refused and why, and every finding that holds now."""

    mended: tuple[Repair, ...]
    refused: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `doctor --json`."""
        return {
            "mended": [each.to_json() for each in self.mended],
            "refused": [each.to_json() for each in self.refused],
            "findings": [each.to_json() for each in self.findings],
        }


def examine(repository: Repository, leftovers: Mapping[str, Path]) -> tuple[Finding, ...]:
    """Return the findings on staging and what git is asked, and one for each of `leftovers` (code to file) there is."""
    told: list[Finding] = [
        finding("DOCTOR_STAGING_LEFTOVER", _shown(repository, left.path))
        for left in stale_stagings(repository.staging_root)
    ]
    told += [finding(code, _shown(repository, path)) for code, path in leftovers.items() if path.is_file()]
    try:
        told += [*_line_ends(repository), *_not_ignored(repository), *_without_days(repository)]
    except NotFoundError as error:
        told.append(finding(UNREADABLE, ".git", detail=error.message))
    return sorted_findings(told)


def _line_ends(repository: Repository) -> Iterator[Finding]:
    """Yield what git may convert: a sealed file, wherever it will lie, and the pointer file."""
    config = repository.config
    sealed = f"{config.publish_root}/RUN/manifest.json"
    attributes = read_text_attributes(repository.root, (sealed, config.pointers)) or {}
    for path, shown in ((sealed, config.publish_root), (config.pointers, config.pointers)):
        if attributes.get(path, _KEEPS_LINE_ENDS) != _KEEPS_LINE_ENDS:
            yield finding("DOCTOR_LINE_ENDS", shown, detail=attributes[path])


def _not_ignored(repository: Repository) -> Iterable[Finding]:
    config = repository.config
    lines = layer_ignores(config.publish_root, config.pointers, track_runs=True)
    # Git refuses a path beyond a link, which is a finding of its own.
    state = [path for line in lines if not _is_beyond_link(repository.root, path := line.strip("/"))]
    ignored = read_ignored(repository.root, state)
    return [] if ignored is None else [finding("DOCTOR_NOT_IGNORED", path) for path in state if path not in ignored]


def _is_beyond_link(root: Path, path: str) -> bool:
    return any((root / folder).is_symlink() for folder in PurePosixPath(path).parents)


def _without_days(repository: Repository) -> Iterator[Finding]:
    """Yield that a repository with commits does not say when its history begins."""
    if repository.config.history_start is None and read_default_branch(repository.root) is not None:
        yield finding("CONFIG_HISTORY_START", CONFIG_NAME)


def _shown(repository: Repository, path: Path) -> str:
    return path.relative_to(repository.root).as_posix()
