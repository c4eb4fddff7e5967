"""Read the inputs of run_registry, and check a sealed run registry for removed runs."""

from __future__ import annotations

from functools import partial

from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.run_registry import SPEC
from registry_pipeline.registries.run_registry.build import ARTIFACT, RunRegistryInputs, compare_with_previous
from registry_pipeline.runs.pointer_file import run_folder
from registry_pipeline.runs.scan import explain_missing_run, read_run_folders
from registry_pipeline.runs.sealed_run import SealedRun, SealReport


def read_run_registry_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read the run folders in the run roots, except those of this build run; what cannot be read is a finding."""
    scan = read_run_folders(
        repository.root,
        repository.config.run_roots,
        exclude_runs=context.exclude_runs,
        exclude_dagster_run=context.exclude_dagster_run,
        adapters=repository.config.adapters,
        on_progress=context.on_progress,
    )
    return BuildInputs(RunRegistryInputs(scan.runs), (), scan.findings)


def check_run_registry(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of `compare_with_previous` for a sealed run registry; none if it lacks its artifact.

    The previous run registry is the one that run.json names.

    Raises:
        EvidenceError: the previous run registry does not verify.
    """
    current = report.kept.get(ARTIFACT)
    if current is None:
        return ()
    # Not the one that is active now, which may be newer.
    previous = sealed.inputs.previous("run_registry")
    previous_rows: bytes | None = None
    if previous is not None and run_folder(repository, previous).is_dir():
        previous_rows = read_sealed_report(repository, SPEC, previous).kept[ARTIFACT]
    return compare_with_previous(
        previous_rows,
        current,
        repository.config.run_roots,
        baseline_name=f"the run registry {'' if previous is None else previous.run_id}",
        explain_missing=partial(explain_missing_run, repository.root),
    )
