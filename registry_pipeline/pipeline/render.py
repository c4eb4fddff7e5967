"""Render the system health report from the active registries."""

from __future__ import annotations

from collections.abc import Iterable

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, RefusedError, RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline.inspect import Inspection, inspect
from registry_pipeline.pipeline.steps import list_head_inputs, seal
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import spec_of
from registry_pipeline.registries.system_health.build import HealthInputs, render_health_report
from registry_pipeline.runs.envelope import BuildContext, InputRegistry, Inputs
from registry_pipeline.runs.sealed_run import Built, SealedRun

REPORT = "system_health_report"


def render(repository: Repository, run: BuildRun) -> SealedRun:
    """Render the health report from the active runs and seal it; it describes the time `run.started`. Raises as `seal`.

    Raises:
        RefusedError: no op_status_table or no drift_signals is active. EvidenceError: one does not verify.
    """
    inspection = inspect(repository, run)
    _refuse_missing_inputs(inspection)
    return seal(repository, run, spec_of(REPORT), _build_report(repository, run, inspection))


def render_after_change(repository: Repository, run: BuildRun) -> tuple[SealedRun | None, tuple[Finding, ...]]:
    """Render the report after an activation or rollback; a failure is None and a finding, info if nothing is active."""
    severity = None
    # The pointers have moved already, so a failure must not hide what the command did.
    try:
        return render(repository, run), ()
    except RefusedError as error:
        reason, severity = error.message, Severity.INFO  # nothing to render from: not a failure
    except RegistryPipelineError as error:
        reason = error.message
    except OSError as error:
        reason = f"{error.strerror} ({error.filename})"
    except (KeyboardInterrupt, SystemExit):
        reason = "interrupted"
    return None, (finding("REPORT_NOT_RENDERED", repository.config.publish_root, detail=reason, severity=severity),)


def is_report_missing(findings: Iterable[Finding]) -> bool:
    """Return whether the report should have been rendered after a change and was not (exit 8)."""
    return any(f.code == "REPORT_NOT_RENDERED" and f.severity is not Severity.INFO for f in findings)


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
    lines = b"" if registry is None else registry.files.get(spec_of("run_registry").artifact, b"")
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
    return Built(REPORT, artifacts, Inputs(tuple(refs)), as_of_utc)
