"""A run that somebody names for activation, taken as it lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from registry_pipeline.config import Governed
from registry_pipeline.model.attribution import main_artifact
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import sorted_findings
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.model.verdict import Refusal
from registry_pipeline.runbook.activation import Judged
from registry_pipeline.runbook.building import validate
from registry_pipeline.runbook.reading import read_report, sealed_run, spec_of
from registry_pipeline.runbook.verification import FoundRun
from registry_pipeline.validate.history import accept_removed


def propose(governed: Governed, registry_id: str, found: FoundRun, *, accept_losses: bool = False) -> Judged | Refusal:
    """Return the named run with the verdict on it, ready for `activate`; a folder without a root is refused here.

    With `accept_losses` runs that are gone no longer fail a run registry, and the record counts them (SPEC 4.1).

    Raises:
        NotFoundError: the registry is unknown.
    """
    spec = spec_of(registry_id)
    run_root = found.run_root or _run_root(governed, found.path)
    named = SealedRef(found.run_id, run_root, None, "")
    report = read_report(governed, named)
    if report.root_sha256 is None:
        refused = finding("ACTIVATE_NOT_VERIFIED", report.path, detail=report.verdict)
        return Refusal(sorted_findings((refused, *report.findings)))
    relpath = main_artifact(spec, [entry.relpath for entry in report.entries]) or spec.relpath
    sealed = sealed_run(registry_id, SealedRef(found.run_id, run_root, relpath, report.root_sha256), report)
    verdict = validate(governed, sealed)
    return sealed, accept_removed(verdict) if accept_losses else verdict


def _run_root(governed: Governed, folder: Path) -> str:
    """Return the run root that a folder named by its path lies in, else its parent as it is, for the gate to refuse."""
    parent = Path(os.path.abspath(folder)).parent  # noqa: PTH100 - resolve() would follow a linked run folder
    for run_root in governed.config.run_roots:
        if governed.path(run_root).resolve() == parent.resolve():
            return run_root
    return str(parent)
