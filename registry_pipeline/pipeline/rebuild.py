"""Build, seal, validate and activate registries in their order, and render the health report.

Ctrl-C stops between two builds.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Literal

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Config, Repository
from registry_pipeline.errors import ConfigError, EvidenceError, HeadMovedError, RefusedError, RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.pipeline.inspect import Inspection, inspect
from registry_pipeline.pipeline.steps import add_chain_head, build, find_unchanged_run, list_head_inputs, seal
from registry_pipeline.pointers.activation import activate, select_activatable
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.catalog import (
    BUILD_ORDER,
    REGISTRIES,
    check_registry_names,
    is_enabled,
    refuse_disabled,
    select_with_dependants,
    spec_of,
)
from registry_pipeline.registries.system_health.build import HealthInputs, render_health_report
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope import BuildContext, InputRegistry, Inputs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.sealed_run import Activation, Built, NotBuilt, Refusal, SealedRun, Verdict
from registry_pipeline.values import replace, value_type


@contextmanager
def defer_signals(*numbers: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Defer signals to the end of the block; yield a function that returns whether one has arrived.

    Only the first signal is deferred, and raised again after the block unless the block raises. A second one acts at
    once. In a thread other than the main thread nothing is deferred.
    """
    # Python delivers signals to the main thread only, and only there handlers can be set.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in numbers}

    def record(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        # A second Ctrl-C stops at once.
        _restore_handlers(handlers)

    for number in numbers:
        signal.signal(number, record)
    try:
        yield lambda: bool(received)
    finally:
        _restore_handlers(handlers)
    if received:
        signal.raise_signal(signal.Signals(received[0]))


def _restore_handlers(handlers: Mapping[signal.Signals, object]) -> None:
    for number, handler in handlers.items():
        # None: the handler was not set from Python, so Python cannot set it again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]


Step = Literal["build", "seal", "validate", "activate", "render"]


@value_type
class BuiltRow:
    """The result for one registry; `run` is None if nothing was built. `records` counts the records of the run."""

    registry_id: str
    seconds: float  # wall time
    findings: tuple[Finding, ...]
    run: SealedRun | None = None
    records: int | None = None
    verdict: Verdict | None = None
    activated: bool = False

    @property
    def reused(self) -> bool:
        """Whether the content had not changed, so that `run` is an earlier run."""
        return self.run is not None and self.run.reused

    @property
    def has_no_source(self) -> bool:
        """Whether nothing was built only because the sources never existed."""
        missing = (f.code == "CAPTURE_MISSING" and f.severity is Severity.INFO for f in self.findings)
        return self.run is None and bool(self.findings) and all(missing)


@value_type
class RebuildResult:
    """The result of a rebuild; activation and report are None if there was nothing to activate or to render."""

    built: tuple[BuiltRow, ...]  # without what depends on a failed registry
    findings: tuple[Finding, ...]
    activation: Activation | Refusal | None = None
    report: SealedRun | None = None
    waiting: bool = False  # a valid run could not be activated


def select_registries(config: Config, registry_ids: Sequence[str], *, only: bool) -> tuple[RegistrySpec, ...]:
    """Return the registries to build, in dependency order, without those that the configuration disables.

    These are the named ones and, unless `only`, those that are built from or after them; without names, all.

    Raises:
        ConfigError: `enabled` or `disabled` has a name that is no registry.
        NotFoundError: an id is unknown.
        RefusedError: a named registry is disabled, is built by day or has no builder.
    """
    for problem in check_registry_names(config):
        raise ConfigError(f"{problem.path}: {problem.message}", problem.hint or "")
    for registry_id in registry_ids:
        spec = spec_of(registry_id)
        if spec.partitioned:
            raise RefusedError(f"{registry_id} is built by day", "name the days: --as-of DATE or --as-of FIRST..LAST")
        if spec.builder is None:
            raise RefusedError(f"{registry_id} is not built by itself", spec.excluded_because)
        refuse_disabled(config, registry_id)
    selected = BUILD_ORDER if not registry_ids or only else select_with_dependants(registry_ids)
    selected = tuple(spec for spec in selected if is_enabled(config, spec.registry_id))
    return tuple(spec for spec in selected if spec.registry_id in registry_ids) if only else selected


def rebuild(  # noqa: PLR0913 - the options of a command, all by keyword
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
    """Build, seal and validate the selected registries, activate the valid new runs, render the report, extend the log.

    Unless `force`, an unchanged captured registry or log keeps its run. What depends on a failed registry is not built.
    With `only` or without `move` no pointer changes and nothing is rendered. A valid run that cannot be activated stays
    sealed, with a finding. Raises as `select_registries`, `build` and `seal`: runs that are sealed by then stay. What
    would be raised after an attempt to activate is a finding.
    """
    repository = replace(repository, memo={})
    run = add_chain_head(repository, run)
    moves = move and not only
    build_one = partial(_build_registry, repository, run, force=force, on_step=on_step, on_progress=on_progress)
    selected = select_registries(repository.config, registry_ids, only=only)
    # (1) Build. The delta log has no pointer: it does not delay the activation, and a damaged log does not prevent it.
    rows = _build_registries([spec for spec in selected if spec.pointer or not moves], build_one)
    findings = [finding for row in rows for finding in row.findings]
    if not moves:
        return RebuildResult(tuple(rows), sorted_findings(findings))
    # (2) Activate and render.
    result = _activate_and_render(repository, run, rows, findings, actor=actor, reason=reason, on_step=on_step)
    # (3) Extend the log, whatever became of the activation.
    try:
        logs = _build_registries([spec for spec in selected if not spec.pointer], build_one)
    except (RegistryPipelineError, OSError, KeyboardInterrupt, SystemExit) as error:
        if result.activation is None:
            raise
        detail = _describe_error(error)
        missing = finding("LOG_NOT_EXTENDED", repository.config.publish_root, detail=detail)
        return replace(result, findings=sorted_findings([*result.findings, missing]))
    log_findings = [finding for row in logs for finding in row.findings]
    return replace(result, built=(*result.built, *logs), findings=sorted_findings([*result.findings, *log_findings]))


def _build_registries(
    specs: Sequence[RegistrySpec], build_one: Callable[[RegistrySpec, Mapping[str, SealedRun]], BuiltRow]
) -> list[BuiltRow]:
    """Build registries in their order, without those that depend on a failed one."""
    rows: list[BuiltRow] = []
    sealed: dict[str, SealedRun] = {}
    failed: set[str] = set()
    for spec in specs:
        if failed.intersection(spec.depends_on):
            failed.add(spec.registry_id)
            continue
        row = build_one(spec, sealed)
        rows.append(row)
        if row.run is None:
            # A missing source of a capture is no error: its dependants are built without it.
            failed.update({spec.registry_id} if has_errors(row.findings) else ())
        elif row.verdict is not None and not row.verdict.passed:
            failed.add(spec.registry_id)
        else:
            sealed[spec.registry_id] = row.run
    return rows


def _build_registry(
    repository: Repository,
    run: BuildRun,
    spec: RegistrySpec,
    sealed: Mapping[str, SealedRun],
    *,
    force: bool,
    on_step: Callable[[Step, str], None],
    on_progress: Callable[[int], None] | None,
) -> BuiltRow:
    """Build, seal and validate one registry; without `force` an unchanged run is validated instead of a new one."""
    started = time.perf_counter()
    name = spec.registry_id
    while True:
        on_step("build", name)
        built = build(repository, run, spec, sealed, on_progress=on_progress)
        if isinstance(built, NotBuilt):
            return BuiltRow(name, _seconds_since(started), built.findings)
        earlier = None if force else find_unchanged_run(repository, built)
        if earlier is None:
            on_step("seal", name)
        # A Dagster run (it takes no build lock) may continue the log meanwhile: then build again, on its log.
        with suppress(HeadMovedError):
            new_run = earlier or seal(repository, run, spec, built)
            break
    on_step("validate", name)
    verdict = validate(repository, new_run, activated=run.activated.get(name))
    findings = (*built.findings, *verdict.findings)
    return BuiltRow(name, _seconds_since(started), findings, new_run, built.artifacts.records, verdict)


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _activate_and_render(
    repository: Repository,
    run: BuildRun,
    rows: Sequence[BuiltRow],
    findings: list[Finding],
    *,
    actor: str,
    reason: str,
    on_step: Callable[[Step, str], None],
) -> RebuildResult:
    """Activate the valid new runs by one record; if a pointer moved and both sources are active, render the report."""
    # (1) Select the new valid runs that keep the active set consistent.
    new_rows = [row for row in rows if not row.reused and REGISTRIES[row.registry_id].pointer]
    passed = [(row.run, row.verdict) for row in new_rows if row.run and row.verdict and row.verdict.passed]
    selected, obstacles = select_activatable(repository, passed)
    findings = [*findings, *obstacles]
    # (2) Activate them with one record.
    activation: Activation | Refusal | None = None
    if selected:
        on_step("activate", ", ".join(sealed.registry_id for sealed, _ in selected))
        activation = activate(repository, run, selected, actor=actor, reason=reason)
        findings += () if activation is None else activation.findings
    # (3) Render the report from the new active set.
    report: SealedRun | None = None
    moved: set[str] = set()
    if isinstance(activation, Activation):
        moved = {move.registry_id for move in activation.moves}
        pointers = read_pointers(repository)
        if all(pointers.active(name) is not None for name in ("op_status_table", "drift_signals")):
            on_step("render", "system_health_report")
            report, not_rendered = render_after_change(repository, run)
            findings += not_rendered
    built = tuple(replace(row, activated=row.registry_id in moved) for row in rows)
    waiting = any(sealed.registry_id not in moved for sealed, _ in passed)
    return RebuildResult(built, sorted_findings(findings), activation, report, waiting)


REPORT = "system_health_report"


def render(repository: Repository, run: BuildRun) -> SealedRun:
    """Render the health report from the active runs and seal it; it describes the time `run.started`. Raises as `seal`.

    Raises:
        RefusedError: no op_status_table or no drift_signals is active. EvidenceError: one does not verify.
    """
    inspection = inspect(repository, run, from_checkpoint=True)
    _refuse_missing_inputs(inspection)
    return seal(repository, run, spec_of(REPORT), _build_report(repository, run, inspection))


def render_after_change(repository: Repository, run: BuildRun) -> tuple[SealedRun | None, tuple[Finding, ...]]:
    """Render the report after an activation or rollback; a failure is None and a finding, info if nothing is active."""
    severity = None
    # The pointers have moved already, so a failure must not hide what the command did.
    try:
        return render(repository, run), ()
    except (RegistryPipelineError, OSError, KeyboardInterrupt, SystemExit) as error:
        detail = _describe_error(error)
        if isinstance(error, RefusedError):
            severity = Severity.INFO  # nothing to render from: not a failure
    return None, (finding("REPORT_NOT_RENDERED", repository.config.publish_root, detail=detail, severity=severity),)


def _describe_error(error: BaseException) -> str:
    if isinstance(error, RegistryPipelineError):
        return error.message
    return f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else "interrupted"


def is_change_incomplete(findings: Iterable[Finding]) -> bool:
    """Return whether the report or the delta log should have been written after a change and was not (exit 8)."""
    codes = ("REPORT_NOT_RENDERED", "LOG_NOT_EXTENDED")
    return any(f.code in codes and f.severity is not Severity.INFO for f in findings)


def _refuse_missing_inputs(inspection: Inspection) -> None:
    for name in ("op_status_table", "drift_signals"):
        snapshot = inspection.active.get(name)
        if snapshot is None or snapshot.verdict is None:
            raise RefusedError(
                f"the report is rendered from the active {name}, but none is active", "run `registry-pipeline build`"
            )
        if not snapshot.files:
            run_id = snapshot.ref.run_id
            raise EvidenceError(
                f"the active {name} ({run_id}) does not verify; the report is not rendered",
                f"see `registry-pipeline verify {run_id}`, then run `registry-pipeline build {name}`",
            )


def _build_report(repository: Repository, run: BuildRun, inspection: Inspection) -> Built:
    as_of_utc = utc_text(run.started)
    sources = {name: inspection.active[name] for name in spec_of(REPORT).depends_on if name in inspection.active}
    registry = sources.get("run_registry")
    # The run registry has one line per run folder. Without an active one the report counts none.
    lines = b""
    if registry is not None:
        # One that does not verify has no lines that count; its findings say so.
        with suppress(EvidenceError):
            spec = spec_of("run_registry")
            lines = read_sealed_report(repository, spec, registry.ref).kept.get(spec.artifact, b"")
    inputs = HealthInputs(
        status_rows=tuple(inspection.status_rows or ()),
        drift_signals=inspection.drift_signals or {},
        runs_known=lines.count(b"\n"),
        input_sources={name: snapshot.ref for name, snapshot in sources.items()},
        stale_days=repository.config.stale_days,
        health=inspection.health,
    )
    artifacts = render_health_report(inputs, BuildContext(run.started, as_of_utc, run.git))
    refs = [InputRegistry(name, "upstream", snapshot.ref) for name, snapshot in sources.items()]
    head = inspection.chain.head
    refs += list_head_inputs(None if head is None else head.ref)
    return Built(REPORT, artifacts, Inputs(tuple(refs)), as_of_utc, str(repository.root))
