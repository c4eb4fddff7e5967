"""Step 5 of the runbook: render what people read, from the active registries alone (SPEC 4.4)."""

from __future__ import annotations

from registry_pipeline.canon import utc_text
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.model.envelope import BuildContext, InputRegistry, Inputs
from registry_pipeline.model.inputs import HealthInputs
from registry_pipeline.model.verdict import Built, SealedRun
from registry_pipeline.render.health_report import render_health_report
from registry_pipeline.runbook.building import BuildRun, seal
from registry_pipeline.runbook.inspection import Inspection, inspect
from registry_pipeline.runbook.reading import spec_of

REPORT = "system_health_report"


def render(governed: Governed, run: BuildRun) -> SealedRun:
    """Render the health report from what is active and seal it; `run.started` is its moment.

    Raises:
        RefusedError: no op_status_table or no drift_signals is active.
        EvidenceError: one of them is active and does not verify.
    """
    built = _rendered(governed, run, inspect(governed, run))
    return seal(governed, run, spec_of(REPORT), built)


def _rendered(governed: Governed, run: BuildRun, seen: Inspection) -> Built:
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
        stale_days=governed.config.stale_days,
        health=seen.health,
    )
    artifacts = render_health_report(inputs, BuildContext(run.started, as_of_utc, run.git))
    refs = tuple(InputRegistry(name, "upstream", held.ref) for name, held in sources.items())
    return Built(REPORT, artifacts, Inputs(refs), as_of_utc)
