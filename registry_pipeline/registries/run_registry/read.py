"""Read the inputs of run_registry, and check a sealed run registry for removed runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.sealed_input import (
    UNCLAIMED,
    claims_no_registry,
    list_collections,
    list_main_artifacts,
    read_sealed_report,
)
from registry_pipeline.registries.run_registry import SPEC
from registry_pipeline.registries.run_registry.build import (
    ARTIFACT,
    compare_with_previous,
    make_run_line,
)
from registry_pipeline.registries.run_registry.line_cache import NAME, LineCache
from registry_pipeline.runs.envelope import ScannedRun
from registry_pipeline.runs.pointer_file import run_folder
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.scan import (
    Documents,
    FolderIdentity,
    explain_missing_run,
    find_missing_run_roots,
    visit_run_folders,
)
from registry_pipeline.runs.sealed_run import SealedRun, SealReport


def read_run_registry_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read the run folders in the run roots, except those of this build run; what cannot be read is a finding.

    A folder that has not changed since an earlier build is not read; `line_cache` says how that is known.
    """
    artifacts, collections = list_main_artifacts(context.specs), list_collections(context.specs)
    cache = LineCache(repository.state_root / "cache" / NAME, artifacts | collections)
    excluded: defaultdict[str, set[str]] = defaultdict(set)
    for run_root, run_id in context.exclude_runs:
        excluded[run_root].add(run_id)
    adapted_roots = {adapter.root for adapter in repository.config.adapters}
    # A line does not say which Dagster run sealed its folder, but that folder's name begins with the start of the run.
    own_start = None if context.started is None else str(RunId(context.started, ""))

    def skip(root_path: str, run_root: str, run_ids: Sequence[str]) -> set[str]:
        if run_root in adapted_roots:
            return excluded[run_root]
        known = (run_id for run_id in run_ids if own_start is None or not run_id.startswith(own_start))
        candidates = [run_id for run_id in known if run_id not in excluded[run_root]]
        return excluded[run_root] | cache.find_unchanged(root_path, run_root, candidates)

    def visit(run: ScannedRun, identity: FolderIdentity | None, documents: Documents) -> None:
        claims_nothing = claims_no_registry(documents, artifacts, collections)
        kept_identity = None if run.run_root in adapted_roots else identity
        cache.add(make_run_line(run), kept_identity, claims_nothing=claims_nothing)

    findings = visit_run_folders(
        repository.root,
        repository.config.run_roots,
        visit,
        skip=skip,
        exclude_dagster_run=context.exclude_dagster_run,
        adapters=repository.config.adapters,
        find_exclusion=repository.config.find_exclusion,
        on_progress=context.on_progress,
    )
    if context.write_caches and context.started is not None and repository.publish_root.is_dir():
        cache.save(context.started)
    if repository.memo is not None:
        repository.memo[UNCLAIMED] = cache.list_without_claim()
    return BuildInputs(cache.lines(), (), (*findings, *find_missing_run_roots(repository)))


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
        find_exclusion=partial(_find_exclusion, repository),
    )


def _find_exclusion(repository: Repository, run_root: str, run_id: str) -> str | None:
    """Return the glob that excludes an existing run folder; None for one that is missing, which is another matter."""
    glob = repository.config.find_exclusion(run_root, run_id)
    return glob if glob is not None and repository.path(f"{run_root}/{run_id}").is_dir() else None


def find_excluded_runs(
    repository: Repository, report: SealReport, lister: str, severity: Severity
) -> tuple[Finding, ...]:
    """Return a finding for each existing run that a verified run registry lists and `exclude` of the toml matches."""
    rows = map(json.loads, report.kept[ARTIFACT].splitlines())
    runs = [(row["run_root"], row["run_id"]) for row in rows]
    excluded = [(f"{root}/{name}", glob) for root, name in runs if (glob := _find_exclusion(repository, root, name))]
    return tuple(
        finding("RUN_EXCLUDED", path, severity=severity, lister=lister, detail=f"`{glob}`") for path, glob in excluded
    )
