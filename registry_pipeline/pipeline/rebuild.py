"""Build, seal, validate and activate registries in their order, and render the health report.

Ctrl-C stops between two builds.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from functools import partial
from types import FrameType
from typing import Final, Literal

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import ConfigError, EvidenceError, HeadMovedError, RefusedError, RegistryPipelineError
from registry_pipeline.files.cache_file import find_safe_change
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.pipeline.collection import SealedMember, build_collection
from registry_pipeline.pipeline.day_runs import HistoryDay, read_sealed_days
from registry_pipeline.pipeline.health_page import add_health_page, read_health_page
from registry_pipeline.pipeline.inspect import Inspection, inspect
from registry_pipeline.pipeline.steps import add_chain_head, build, keep_unchanged, list_head_inputs, seal
from registry_pipeline.pointers.activation import activate, find_newest_runs, select_activatable
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.catalog import catalog_of, is_enabled, refuse_disabled, select_with_dependants
from registry_pipeline.registries.system_health.build import HealthInputs, render_health_report
from registry_pipeline.registries.system_health.page import HealthPage
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope import BuildContext, InputRegistry, Inputs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.scan import list_run_folders
from registry_pipeline.runs.sealed_run import Activation, Built, NotBuilt, Refusal, SealedRun, Verdict
from registry_pipeline.values import field, replace, value_type


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
    """The result for one registry; `run` is None if nothing was built. `records` counts the records of the run.

    For a collection `run` is its index, `records` its sealed members, and `members` are those that were sealed now.
    """

    registry_id: str
    seconds: float  # wall time
    findings: tuple[Finding, ...]
    run: SealedRun | None = None
    records: int | None = None
    verdict: Verdict | None = None
    activated: bool = False
    members: tuple[SealedMember, ...] = ()

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

    @property
    def is_up_to_date(self) -> bool:
        """Whether every registry that could be built keeps its run, and at least one could be built."""
        runs = [row.run for row in self.built if row.run is not None]
        return bool(runs) and all(run.reused for run in runs)


def select_registries(repository: Repository, registry_ids: Sequence[str], *, only: bool) -> tuple[RegistrySpec, ...]:
    """Return the registries to build, in dependency order, without those that the configuration disables.

    These are the named ones and, unless `only`, those that are built from or after them; without names, all. The health
    report is not among them: it is rendered from the active runs.

    Raises:
        ConfigError: `enabled` or `disabled` has a name that is no registry.
        NotFoundError: an id is unknown.
        RefusedError: a named registry is disabled, is built by day or has no builder.
    """
    config, catalog = repository.config, catalog_of(repository)
    for problem in catalog.check_registry_names(config):
        raise ConfigError(f"{problem.path}: {problem.message}", problem.hint or "")
    for registry_id in registry_ids:
        spec = catalog.spec_of(registry_id)
        if spec.registry_id == REPORT:
            continue
        if spec.partitioned:
            raise RefusedError(f"{registry_id} is built by day", "name the days: --as-of DATE or --as-of FIRST..LAST")
        if spec.builder is None:
            raise RefusedError(f"{registry_id} is not built by itself", spec.excluded_because)
        refuse_disabled(config, registry_id)
    selected = (*catalog.build_order, *catalog.collections)
    if registry_ids and not only:
        named = (spec for spec in catalog.collections if spec.registry_id in registry_ids)
        selected = (*select_with_dependants(selected, registry_ids), *named)
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

    Unless `force`, an unchanged captured registry or log keeps its run; if no registry has changed, all keep theirs.
    Of collections the members that are new or have changed are sealed last.
    What depends on a failed registry is not built. With `only` or without `move` no pointer changes and nothing is
    rendered. A report that is named is rendered in any case, and is a row of its own. A valid run that cannot be
    activated stays sealed, with a finding. Raises as `select_registries`, `build`, `seal` and `render`: runs that are
    sealed by then stay. What would be raised after an attempt to activate is a finding.
    """
    repository = repository.remembering(find_safe_change(run.started))
    run = add_chain_head(repository, run)
    moves = move and not only
    builds = Builds(repository, run, force=force, on_step=on_step, on_progress=on_progress)
    build_one = partial(_build_registry, builds)
    selected = select_registries(repository, registry_ids, only=only)
    logs = [spec for spec in selected if not spec.pointer and spec.kind != "collection"]
    collections = [spec for spec in selected if spec.kind == "collection"]
    # (1) Build. The delta log has no pointer: it does not delay the activation, and a damaged log does not prevent it.
    with_pointer = [spec for spec in selected if spec.pointer]
    rows = None if force else builds.find_unchanged(with_pointer)
    if rows is None:
        rows = _build_registries(with_pointer, build_one)
    is_report_named = REPORT in registry_ids
    if not moves:
        rows += _build_registries(logs, build_one)
        rows += [row for spec in collections for row in _build_collection(builds, spec)]
        result = RebuildResult(tuple(rows), _collect_findings(rows))
        return _add_report(builds, result) if is_report_named else result
    # (2) Activate and render.
    result = _activate_and_render(builds, rows, actor=actor, reason=reason, is_report_named=is_report_named)
    if is_report_named:
        result = _add_report(builds, result)
    # (3) Extend the log, whatever became of the activation.
    root = repository.config.publish_root
    log_rows, missing = _build_after_change(
        partial(_build_registries, logs, build_one), result, "LOG_NOT_EXTENDED", root
    )
    # (4) Seal the members of collections, which no other registry is built from.
    for spec in collections:
        rows_of_collection, not_sealed = _build_after_change(
            partial(_build_collection, builds, spec), result, "COLLECTION_NOT_SEALED", root
        )
        log_rows += rows_of_collection
        missing += not_sealed
    findings = sorted_findings([*result.findings, *_collect_findings(log_rows), *missing])
    return replace(result, built=(*result.built, *log_rows), findings=findings)


def _build_after_change(
    build_rows: Callable[[], list[BuiltRow]], result: RebuildResult, code: str, publish_root: str
) -> tuple[list[BuiltRow], list[Finding]]:
    """Return the rows of what is built after an activation; if that was tried, what building raises is a finding."""
    try:
        return build_rows(), []
    except (RegistryPipelineError, OSError, KeyboardInterrupt, SystemExit) as error:
        if result.activation is None:
            raise
        return [], [finding(code, publish_root, detail=_describe_error(error))]


def _collect_findings(rows: Iterable[BuiltRow]) -> tuple[Finding, ...]:
    return sorted_findings(finding for row in rows for finding in row.findings)


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


@value_type
class Builds:
    """The builds of one rebuild, and what the comparison with the active runs left for the build that seals."""

    repository: Repository
    run: BuildRun
    force: bool = False
    on_step: Callable[[Step, str], None] = lambda _step, _registry: None
    on_progress: Callable[[int], None] | None = None
    write_caches: bool = True
    # What was built from no other registry, with the seconds that it took: it can still be sealed, once.
    compared: dict[str, tuple[Built | NotBuilt, float]] = field(default_factory=dict)
    # The rows of captures that keep their runs, whatever becomes of the others.
    kept: dict[str, BuiltRow] = field(default_factory=dict)

    def build(self, spec: RegistrySpec, sealed: Mapping[str, SealedRun]) -> tuple[Built | NotBuilt, float]:
        """Return what `steps.build` returns, and the seconds that it took."""
        if spec.registry_id in self.compared:
            return self.compared.pop(spec.registry_id)
        started = time.perf_counter()
        self.on_step("build", spec.registry_id)
        progress, caches = self.on_progress, self.write_caches
        built = build(self.repository, self.run, spec, sealed, on_progress=progress, write_caches=caches)
        return built, time.perf_counter() - started

    def validate(self, run: SealedRun) -> Verdict:
        """Return the verdict of a run that this rebuild sealed or keeps."""
        self.on_step("validate", run.registry_id)
        return validate(self.repository, run, activated=self.run.activated.get(run.registry_id))

    def find_unchanged(self, specs: Sequence[RegistrySpec]) -> list[BuiltRow] | None:
        """Return the rows of a build in which every registry keeps its active run; None if one has to be sealed.

        None also if a source or an active run has an error: then the build that seals reports it.
        """
        # A build that seals would be refused: it reports why.
        if read_chain_state(self.repository, from_checkpoint=True).refuses:
            return None
        built_specs = {spec.registry_id: spec for spec in specs if not spec.is_kept_alone}
        tags = [spec.tag for spec in built_specs.values() if spec.tag]
        listing = list_run_folders(self.repository, self.repository.config.run_roots, tags)
        newest = find_newest_runs(listing, built_specs, not_after=self.run.started)
        rows: list[BuiltRow] = []
        unchanged: dict[str, SealedRun] = {}
        for spec in specs:
            try:
                built, seconds = self.build(spec, unchanged)
            except (RefusedError, EvidenceError):
                return None
            if not spec.depends_on:
                self.compared[spec.registry_id] = built, seconds
            if isinstance(built, NotBuilt):
                if has_errors(built.findings):
                    return None
                rows.append(BuiltRow(spec.registry_id, round(seconds, 3), built.findings))
                continue
            started = time.perf_counter()
            built = keep_unchanged(self.repository, self.run, built)
            verdict = None if built.kept is None else self.validate(built.kept)
            if built.kept is None or verdict is None or not verdict.passed:
                return None
            # A newer run waits to become active: sealing all of them lets the whole set move.
            if spec.registry_id in newest and newest[spec.registry_id].run_id != built.kept.ref.run_id:
                return None
            unchanged[spec.registry_id] = built.kept
            rows.append(_make_row(built, built.kept, verdict, seconds + time.perf_counter() - started))
            if spec.is_kept_alone:
                self.kept[spec.registry_id] = rows[-1]
        return rows


def is_up_to_date(repository: Repository, run: BuildRun, built: Built | None = None) -> bool:
    """Return whether a rebuild of all registries with a pointer would seal nothing; writes no run folder.

    `built` is what `run` has just built of one of them. It is not built again if it depends on no other.
    """
    builds = Builds(repository.remembering(find_safe_change(run.started)), run)
    specs = [spec for spec in catalog_of(repository).build_order if spec.pointer]
    for spec in specs:
        if built is not None and spec.registry_id == built.registry_id and not spec.depends_on:
            builds.compared[spec.registry_id] = built, 0.0
    return builds.find_unchanged(specs) is not None


def _build_registry(builds: Builds, spec: RegistrySpec, sealed: Mapping[str, SealedRun]) -> BuiltRow:
    """Build, seal and validate one registry; without `force` an unchanged capture or log keeps its run."""
    if spec.registry_id in builds.kept:
        return builds.kept[spec.registry_id]
    built, seconds = builds.build(spec, sealed)
    started = time.perf_counter()
    while True:
        if isinstance(built, NotBuilt):
            return BuiltRow(spec.registry_id, round(seconds, 3), built.findings)
        if spec.is_kept_alone and not builds.force:
            built = keep_unchanged(builds.repository, builds.run, built)
        if built.kept is None:
            builds.on_step("seal", spec.registry_id)
        # A Dagster run (it takes no build lock) may continue the log meanwhile: then build again, on its log.
        with suppress(HeadMovedError):
            new_run = built.kept or seal(builds.repository, builds.run, spec, built)
            break
        built, _ = builds.build(spec, sealed)
    # What is sealed is read from the disk, so it need not be in memory twice.
    built = replace(built, artifacts=replace(built.artifacts, files={}))
    verdict = builds.validate(new_run)
    return _make_row(built, new_run, verdict, seconds + time.perf_counter() - started)


def _build_collection(builds: Builds, spec: RegistrySpec) -> list[BuiltRow]:
    """Seal what is new of a collection, validate its index, and return its row; Ctrl-C stops after a batch."""
    started = time.perf_counter()
    builds.on_step("seal", spec.registry_id)
    with defer_signals(signal.SIGINT) as is_interrupted:
        result = build_collection(
            builds.repository,
            builds.run,
            spec,
            force=builds.force,
            on_progress=builds.on_progress,
            is_cancelled=is_interrupted,
        )
    verdict = None if result.index is None else builds.validate(result.index)
    findings = sorted_findings([*result.findings, *(() if verdict is None else verdict.findings)])
    seconds = round(time.perf_counter() - started, 3)
    return [BuiltRow(spec.registry_id, seconds, findings, result.index, result.members, verdict, members=result.sealed)]


def _make_row(built: Built, run: SealedRun, verdict: Verdict, seconds: float) -> BuiltRow:
    findings = (*built.findings, *verdict.findings)
    return BuiltRow(run.registry_id, round(seconds, 3), findings, run, built.artifacts.records, verdict)


def _activate_and_render(
    builds: Builds, rows: Sequence[BuiltRow], *, actor: str, reason: str, is_report_named: bool
) -> RebuildResult:
    """Activate the valid new runs by one record; if a pointer moved and both sources are active, render the report."""
    repository, run = builds.repository, builds.run
    # (1) Select the new valid runs that keep the active set consistent.
    new_rows = [row for row in rows if not row.reused and catalog_of(repository).registries[row.registry_id].pointer]
    passed = [(row.run, row.verdict) for row in new_rows if row.run and row.verdict and row.verdict.passed]
    selected, obstacles = select_activatable(repository, passed)
    findings = [*_collect_findings(rows), *obstacles]
    # (2) Activate them with one record.
    activation: Activation | Refusal | None = None
    if selected:
        builds.on_step("activate", ", ".join(sealed.registry_id for sealed, _ in selected))
        activation = activate(repository, run, selected, actor=actor, reason=reason)
        findings += () if activation is None else activation.findings
    # (3) Render the report from the new active set.
    report: SealedRun | None = None
    moved: set[str] = set()
    if isinstance(activation, Activation):
        moved = {move.registry_id for move in activation.moves}
        pointers = read_pointers(repository)
        if is_report_named or all(pointers.active(name) is not None for name in _NEEDED):
            builds.on_step("render", REPORT)
            report, not_rendered = render_after_change(repository, run, is_named=is_report_named)
            findings += not_rendered
    built = tuple(replace(row, activated=row.registry_id in moved) for row in rows)
    waiting = any(sealed.registry_id not in moved for sealed, _ in passed)
    return RebuildResult(built, sorted_findings(findings), activation, report, waiting)


def _add_report(builds: Builds, result: RebuildResult) -> RebuildResult:
    """Return the result with a row for the health report, rendered now unless pointers moved; raises as `render`."""
    started = time.perf_counter()
    report = result.report
    # After a move it was rendered already, or the findings say why not.
    if report is None and not isinstance(result.activation, Activation):
        builds.on_step("render", REPORT)
        report = render(builds.repository, builds.run)
    if report is None:
        return result
    verdict = builds.validate(report)
    seconds = round(time.perf_counter() - started, 3)
    row = BuiltRow(REPORT, seconds, verdict.findings, report, verdict=verdict)
    findings = sorted_findings([*result.findings, *verdict.findings])
    return replace(result, built=(*result.built, row), findings=findings, report=report)


REPORT: Final = "system_health_report"
# Without these the report would say nothing.
_NEEDED: Final = ("op_status_table", "drift_signals")


def render(repository: Repository, run: BuildRun) -> SealedRun:
    """Render the health report from the active runs and seal it; it describes the time `run.started`.

    Raises as `build_report` and `seal`.
    """
    return seal(repository, run, catalog_of(repository).spec_of(REPORT), build_report(repository, run))


def build_report(repository: Repository, run: BuildRun) -> Built:
    """Render the health report from the active runs; write nothing.

    Raises:
        RefusedError: no op_status_table or no drift_signals is active.
        EvidenceError: one does not verify, or it is not known what is active.
    """
    return make_report(repository, run, read_report(repository, run))


@value_type
class ReportSources:
    """What a health report is rendered from, and the content of its page."""

    inspection: Inspection
    # The lines of the active run registry; empty if none verifies.
    run_lines: bytes
    days: tuple[HistoryDay, ...]
    page: HealthPage


def read_report(repository: Repository, run: BuildRun) -> ReportSources:
    """Read what the health report is rendered from; raises as `build_report`."""
    inspection = inspect(repository, run, from_checkpoint=True)
    _refuse_missing_inputs(inspection)
    registry = inspection.active.get("run_registry")
    # The run registry has one line per run folder. Without an active one the report counts none.
    lines = b""
    if registry is not None:
        # One that does not verify has no lines that count; its findings say so.
        with suppress(EvidenceError):
            spec = catalog_of(repository).spec_of("run_registry")
            lines = read_sealed_report(repository, spec, registry.ref).kept.get(spec.artifact, b"")
    days = tuple(read_sealed_days(repository, run.started.astimezone(UTC).date()))
    return ReportSources(inspection, lines, days, read_health_page(repository, run, inspection, lines, days))


def render_after_change(
    repository: Repository, run: BuildRun, *, is_named: bool = False
) -> tuple[SealedRun | None, tuple[Finding, ...]]:
    """Render the report after an activation or rollback; a failure is None and a finding.

    If nothing is active to render from, it is an info, or a warning if the report `is_named` by the command.
    """
    # The pointers have moved already, so a failure must not hide what the command did.
    try:
        return render(repository, run), ()
    except (RegistryPipelineError, OSError, KeyboardInterrupt, SystemExit) as error:
        found = finding("REPORT_NOT_RENDERED", repository.config.publish_root, detail=_describe_error(error))
        if isinstance(error, RefusedError):
            # Nothing to render from: not a failure, and `report` would be refused, too.
            severity = found.severity if is_named else Severity.INFO
            found = replace(found, severity=severity, hint=f"do not repeat the command; {error.advice}")
    return None, (found,)


def _describe_error(error: BaseException) -> str:
    if isinstance(error, RegistryPipelineError):
        return error.message
    return f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else "interrupted"


def is_change_incomplete(findings: Iterable[Finding]) -> bool:
    """Return whether the report, the delta log or a collection was not written after a change (exit 8)."""
    codes = ("REPORT_NOT_RENDERED", "LOG_NOT_EXTENDED", "COLLECTION_NOT_SEALED")
    return any(f.code in codes and f.severity is not Severity.INFO for f in findings)


def _refuse_missing_inputs(inspection: Inspection) -> None:
    for name in _NEEDED:
        snapshot = inspection.active.get(name)
        if snapshot is None and inspection.refuses:
            raise EvidenceError(
                f"the report is rendered from the active {name}, but the pointer file or the chain has an error",
                "run `registry-pipeline doctor`",
            )
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


def make_report(repository: Repository, run: BuildRun, sources: ReportSources) -> Built:
    """Return the health report of what was read."""
    as_of_utc, inspection = utc_text(run.started), sources.inspection
    spec = catalog_of(repository).spec_of(REPORT)
    active = {name: inspection.active[name] for name in spec.depends_on if name in inspection.active}
    inputs = HealthInputs(
        status_rows=tuple(inspection.status_rows or ()),
        drift_signals=inspection.drift_signals or {},
        runs_known=sources.run_lines.count(b"\n"),
        input_sources={name: snapshot.ref for name, snapshot in active.items()},
        stale_limits=repository.config.stale_days,
        health=inspection.health,
    )
    artifacts = render_health_report(inputs, BuildContext(run.started, as_of_utc, run.git))
    artifacts = add_health_page(artifacts, sources.page)
    refs = [InputRegistry(name, "upstream", snapshot.ref) for name, snapshot in active.items()]
    head = inspection.chain.head
    refs += list_head_inputs(None if head is None else head.ref)
    return Built(REPORT, artifacts, Inputs(tuple(refs)), as_of_utc, str(repository.root))
