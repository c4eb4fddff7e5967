"""What `show` tells of one run: its envelope, the state of its seal, what it was built from, who put it in force."""

from __future__ import annotations

from typing import Any

from registry_pipeline.model.envelope import Inputs
from registry_pipeline.model.verdict import SealReport, Verdict
from registry_pipeline.query.activations import ActivationEntry
from registry_pipeline.values import value_type


@value_type
class RunDocument:
    """One run folder as it is now; `active_for` are the registries whose pointers name exactly this content."""

    verdict: Verdict
    report: SealReport
    active_for: tuple[str, ...]
    activations: tuple[ActivationEntry, ...]

    @property
    def inputs(self) -> Inputs:
        """What the run records that it was built from."""
        return Inputs.from_json((self.report.run_json or {}).get("inputs"))

    def to_json(self) -> dict[str, Any]:
        """Return the document of `show --json`."""
        verdict = self.verdict
        return {
            "path": verdict.path,
            "run_id": verdict.run_id,
            "registry_id": verdict.registry_id,
            "verdict": verdict.verdict,
            "root_sha256": verdict.root_sha256,
            "active_for": list(self.active_for),
            "run": None if self.report.run_json is None else dict(self.report.run_json),
            "inputs": self.inputs.to_json(),
            "files": [{"relpath": e.relpath, "bytes": e.bytes, "sha256": e.sha256} for e in self.report.entries],
            "activations": [entry.to_json() for entry in self.activations],
            "findings": [f.to_json() for f in verdict.findings],
        }
