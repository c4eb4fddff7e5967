"""Step 5 of the runbook: render what people read, from the active registries alone (SPEC 4.4)."""

from __future__ import annotations

from collections.abc import Iterable

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, RefusedError, RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline.inspect import Inspection, inspect
from registry_pipeline.pipeline.steps import seal
from registry_pipeline.pointers.record import ACTIVATION_TAG
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.system_health.build import render_health_report
from registry_pipeline.registries.system_health.state import HealthInputs
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs.envelope import BuildContext, InputRegistry, Inputs
from registry_pipeline.runs.sealed_run import Built, SealedRun

REPORT = "system_health_report"


def render(repository: Repository, run: BuildRun) -> SealedRun:
    """Render the health report from what is active and seal it; `run.started` is its moment.

    Raises:
        RefusedError: no op_status_table or no drift_signals is active.
        EvidenceError: one of them is active and does not verify.
    """
    built = _rendered(repository, run, inspect(repository, run))
    return seal(repository, run, spec_of(REPORT), built)


def render_after_change(repository: Repository, run: BuildRun) -> tuple[SealedRun | None, tuple[Finding, ...]]:
    """Render the report after pointers moved; a failure is a finding, because the move itself is done.

    An interrupt is a finding as well: the command must still say what it moved.
    """
    try:
        return render(repository, run), ()
    except RefusedError as error:
        reason, severity = error.message, Severity.INFO  # nothing is active that a report could be rendered from
    except RegistryPipelineError as error:
        reason, severity = error.message, None
    except OSError as error:
        reason, severity = f"{error.strerror} ({error.filename})", None
    except (KeyboardInterrupt, SystemExit):
        reason, severity = "interrupted", None
    return None, (finding("REPORT_NOT_RENDERED", repository.config.publish_root, detail=reason, severity=severity),)


def is_report_missing(findings: Iterable[Finding]) -> bool:
    """Whether pointers moved and the report should have been rendered and was not (exit 8)."""
    return any(f.code == "REPORT_NOT_RENDERED" and f.severity is not Severity.INFO for f in findings)


def _rendered(repository: Repository, run: BuildRun, seen: Inspection) -> Built:
    for name in ("op_status_table", "drift_signals"):
        held = seen.active.get(name)
        if held is None or held.verdict is None:
            raise RefusedError(
                f"the report is rendered from the active {name}, and none is active here",
                "run `registry-pipeline build`",
            )
        if not held.files:
            raise EvidenceError(
                f"the active {name} ({held.ref.run_id}) does not verify; nothing is rendered from it",
                f"see `registry-pipeline verify {held.ref.run_id}`, then `registry-pipeline build {name}`",
            )
    as_of_utc = utc_text(run.started)
    sources = {name: seen.active[name] for name in spec_of(REPORT).depends_on if name in seen.active}
    registry = sources.get("run_registry")
    lines = b"" if registry is None else registry.files.get(spec_of("run_registry").artifact, b"")
    inputs = HealthInputs(
        status_rows=seen.status_rows or (),
        drift_signals=seen.drift_signals or {},
        runs_known=lines.count(b"\n"),
        input_sources={name: held.ref for name, held in sources.items()},
        stale_days=repository.config.stale_days,
        health=seen.health,
    )
    artifacts = render_health_report(inputs, BuildContext(run.started, as_of_utc, run.git))
    refs = [InputRegistry(name, "upstream", held.ref) for name, held in sources.items()]
    # The report names the head of the chain: a record that is removed or rewritten later contradicts it.
    head = seen.chain.head
    refs += [] if head is None else [InputRegistry(ACTIVATION_TAG, "previous", head.ref)]
    return Built(REPORT, artifacts, Inputs(tuple(refs)), as_of_utc)
