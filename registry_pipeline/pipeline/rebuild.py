"""The whole walk at once: what `build` does, and the daily job step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from registry_pipeline.config import Repository
from registry_pipeline.errors import HeadMovedError, RefusedError
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pipeline.render import render_after_change
from registry_pipeline.pipeline.steps import build, seal, unchanged, with_chain_head
from registry_pipeline.pointers.activation import activate, select_activatable
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.registries.catalog import BUILD_ORDER, REGISTRIES, with_dependants
from registry_pipeline.registries.validation import spec_of, validate
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.sealed_run import Activation, Built, NotBuilt, Refusal, SealedRun, Verdict
from registry_pipeline.values import replace, value_type

Step = Literal["build", "seal", "validate", "activate", "render"]


@value_type
class BuiltRow:
    """One registry of a build: its run (None where its source made none), the verdict on it, whether it moved.

    `seconds` is wall time. `reused` tells that the source had not changed, so that the active run stays.
    """

    registry_id: str
    run: SealedRun | None
    records: int | None
    verdict: Verdict | None
    activated: bool
    seconds: float
    reused: bool


@value_type
class RebuildResult:
    """All that a build did; `activation` is None where nothing was to move, `report` where nothing was rendered."""

    built: tuple[BuiltRow, ...]
    activation: Activation | Refusal | None
    report: SealedRun | None
    findings: tuple[Finding, ...]
    waiting: bool


def select_registries(registry_ids: Sequence[str], *, only: bool) -> tuple[RegistrySpec, ...]:
    """Return the rows to build, in dependency order: the named ones, and unless `only` what depends on them.

    Raises:
        NotFoundError: a registry is unknown. RefusedError: one is not built at all.
    """
    for registry_id in registry_ids:
        spec = spec_of(registry_id)
        if spec.partitioned:
            raise RefusedError(f"{registry_id} is built for days", "name them: --as-of DATE or --as-of FIRST..LAST")
        if spec.builder is None:
            raise RefusedError(f"{registry_id} is not built by itself", spec.excluded_because)
    if not registry_ids:
        return BUILD_ORDER
    if only:
        return tuple(row for row in BUILD_ORDER if row.registry_id in registry_ids)
    return with_dependants(registry_ids)


def rebuild(  # noqa: PLR0913 - the options of a verb, all by keyword
    repository: Repository,
    run: BuildRun,
    registry_ids: Sequence[str] = (),
    *,
    only: bool = False,
    move: bool = True,
    force: bool = False,
    actor: str,
    reason: str,
    on_step: Callable[[Step, str], None] = lambda _step, _registry: None,
    on_progress: Callable[[int], None] | None = None,
) -> RebuildResult:
    """Build, seal and validate the chosen registries in dependency order; activate what passed; then render.

    What rests on a registry that failed, or whose source could not be read, is not built. `only` and not `move` leave
    every pointer where it was. A run that passed and cannot move without mixing the active set stays sealed and
    waiting, and is told.

    Raises:
        EvidenceError, RefusedError, PublishError, BusyError: as the steps do.
    """
    run = with_chain_head(repository, run)
    rows: list[BuiltRow] = []
    findings: list[Finding] = []
    sealed: dict[str, SealedRun] = {}
    stopped: set[str] = set()
    for spec in select_registries(registry_ids, only=only):
        if stopped.intersection(spec.depends_on):
            stopped.add(spec.registry_id)
            continue
        row, told = _one(repository, run, spec, sealed, force=force, on_step=on_step, on_progress=on_progress)
        rows.append(row)
        findings += told
        if row.run is None:  # a missing capture skips nobody (SPEC 3), a source that a builder needs does
            stopped.update({spec.registry_id} if has_errors(told) else ())
        elif row.verdict is not None and not row.verdict.passed:
            stopped.add(spec.registry_id)
        else:
            sealed[spec.registry_id] = row.run
    if only or not move:
        return RebuildResult(tuple(rows), None, None, sorted_findings(findings), waiting=False)
    return _put_in_force(repository, run, rows, findings, actor=actor, reason=reason, on_step=on_step)


def _one(
    repository: Repository,
    run: BuildRun,
    spec: RegistrySpec,
    sealed: dict[str, SealedRun],
    *,
    force: bool,
    on_step: Callable[[Step, str], None],
    on_progress: Callable[[int], None] | None,
) -> tuple[BuiltRow, tuple[Finding, ...]]:
    began = time.perf_counter()
    on_step("build", spec.registry_id)
    built: Built | NotBuilt = build(repository, run, spec, sealed, on_progress=on_progress)
    if isinstance(built, NotBuilt):
        row = BuiltRow(spec.registry_id, None, None, None, activated=False, seconds=_since(began), reused=False)
        return row, built.findings
    same = None if force else unchanged(repository, built)
    if same is None:
        on_step("seal", spec.registry_id)
    try:
        made = same or seal(repository, run, spec, built)
    except HeadMovedError:
        # A Dagster run, which takes no build lock, continued the log since: build it again, on that run's log.
        return _one(repository, run, spec, sealed, force=force, on_step=on_step, on_progress=on_progress)
    on_step("validate", spec.registry_id)
    verdict = validate(repository, made)
    records = built.artifacts.records
    row = BuiltRow(spec.registry_id, made, records, verdict, False, _since(began), same is not None)
    return row, (*built.findings, *verdict.findings)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def _put_in_force(
    repository: Repository,
    run: BuildRun,
    rows: Sequence[BuiltRow],
    findings: Sequence[Finding],
    *,
    actor: str,
    reason: str,
    on_step: Callable[[Step, str], None],
) -> RebuildResult:
    fresh = [r for r in rows if not r.reused and REGISTRIES[r.registry_id].pointer]
    passed = [(r.run, r.verdict) for r in fresh if r.run and r.verdict and r.verdict.passed]
    movable, held = select_activatable(repository, passed)
    told = [*findings, *held]
    activation: Activation | Refusal | None = None
    if movable:
        on_step("activate", ", ".join(run.registry_id for run, _ in movable))
        activation = activate(repository, run, movable, actor=actor, reason=reason)
    report: SealedRun | None = None
    moved: set[str] = set()
    if isinstance(activation, Activation):
        moved = {move.registry_id for move in activation.moves}
        told += activation.findings
        if {"op_status_table", "drift_signals"} <= _active_ids(repository):
            on_step("render", "system_health_report")
            report, missing = render_after_change(repository, run)
            told += missing
    elif isinstance(activation, Refusal):
        told += activation.findings
    marked = tuple(replace(row, activated=row.registry_id in moved) for row in rows)
    waiting = any(sealed.registry_id not in moved for sealed, _ in passed)
    return RebuildResult(marked, activation, report, sorted_findings(told), waiting=waiting)


def _active_ids(repository: Repository) -> set[str]:
    pointers = read_pointers(repository)
    return {registry_id for registry_id in REGISTRIES if pointers.active(registry_id) is not None}
