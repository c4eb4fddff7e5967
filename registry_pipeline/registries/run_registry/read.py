"""Read the inputs of run_registry, and check a sealed run registry for removed runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.sealed_input import (
    UNCLAIMED,
    VERIFIED,
    RunKey,
    claims_no_registry,
    list_collections,
    list_main_artifacts,
    read_sealed_report,
)
from registry_pipeline.registries.run_registry import SPEC
from registry_pipeline.registries.run_registry.archives import ArchivedRuns, read_archived_runs
from registry_pipeline.registries.run_registry.build import (
    ARTIFACT,
    compare_with_previous,
    make_run_line,
)
from registry_pipeline.registries.run_registry.index_shards import add_shard_lines
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
from registry_pipeline.values import replace


def read_run_registry_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read the run folders in the run roots, except those of this build run; what cannot be read is a finding.

    A folder that has not changed since an earlier build is not read; `line_cache` says how that is known. A run without
    a folder has the line that its archive gives. If the toml switches on shards, their lines are used likewise.
    """
    artifacts, collections = list_main_artifacts(context.specs), list_collections(context.specs)
    cache = LineCache(repository.state_root / "cache" / NAME, artifacts | collections)
    excluded: defaultdict[str, set[str]] = defaultdict(set)
    for run_root, run_id in context.exclude_runs:
        excluded[run_root].add(run_id)
    adapted_roots = {adapter.root for adapter in repository.config.adapters}
    archived = read_archived_runs(repository, started=context.started if context.write_caches else None)
    folders = set[RunKey]()
    # A line does not say which Dagster run sealed its folder, but that folder's name begins with the start of the run.
    own_start = None if context.started is None else str(RunId(context.started, ""))
    shard_findings: list[Finding] = []

    def skip(root_path: str, run_root: str, run_ids: Sequence[str]) -> set[str]:
        if archived.runs:
            folders.update((run_root, run_id) for run_id in run_ids)
        if run_root in adapted_roots:
            return excluded[run_root]
        known = (run_id for run_id in run_ids if own_start is None or not run_id.startswith(own_start))
        candidates = [run_id for run_id in known if run_id not in excluded[run_root]]
        if repository.config.dagster.shards:
            shard_findings.extend(add_shard_lines(repository, cache, run_root, candidates, context.started))
        return excluded[run_root] | cache.find_unchanged(root_path, run_root, candidates)

    def visit(run: ScannedRun, identity: FolderIdentity | None, documents: Documents) -> None:
        claims_nothing = claims_no_registry(documents, artifacts, collections)
        kept_identity = None if run.run_root in adapted_roots else identity
        cache.add(make_run_line(run), kept_identity, claims_nothing=claims_nothing)

    findings = visit_run_folders(
        repository,
        repository.config.run_roots,
        visit,
        skip=skip,
        exclude_dagster_run=context.exclude_dagster_run,
        adapters=repository.config.adapters,
        find_exclusion=repository.config.find_exclusion,
        on_progress=context.on_progress,
    )
    for key, run in archived.runs.items():
        if key not in folders and not repository.config.find_exclusion(*key):
            cache.add(run.line, None, claims_nothing=False)
    # Errors are reported by the check.
    warnings = (f for f in archived.findings if f.severity is not Severity.ERROR)
    if context.write_caches and context.started is not None and repository.publish_root.is_dir():
        cache.save(context.started)
    if repository.memo is not None:
        repository.keep(UNCLAIMED, cache.list_without_claim())
    return BuildInputs(cache.lines(), (), (*findings, *shard_findings, *warnings, *find_missing_run_roots(repository)))


def check_run_registry(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of `compare_with_previous` for a sealed run registry; none if it lacks its artifact.

    Errors about archives are findings, too: the registry may lack runs that none before it listed. The previous run
    registry is the one that run.json names.

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
        # The predecessor of a run that is kept is read once, and its lines may be many megabytes.
        is_known = repository.recall(VERIFIED, previous) is not None
        reader = repository if is_known else replace(repository, memo=None)
        previous_rows = read_sealed_report(reader, SPEC, previous).kept[ARTIFACT]
    archived = read_archived_runs(repository)
    findings = compare_with_previous(
        previous_rows,
        current,
        repository.config.run_roots,
        baseline_name=f"the run registry {'' if previous is None else previous.run_id}",
        explain_missing=partial(explain_missing_folder, repository, archived),
        find_exclusion=partial(_find_exclusion, repository, archived),
    )
    return sorted_findings([*findings, *(f for f in archived.findings if f.severity is Severity.ERROR)])


def explain_missing_folder(repository: Repository, archived: ArchivedRuns, run_root: str, run_id: str) -> str | None:
    """Return why a run may exist although nothing lists it: its folder does, or an archive cannot be read; or None."""
    reason = explain_missing_run(repository.root, run_root, run_id)
    return archived.explain_missing() if reason is None else reason


def _find_exclusion(repository: Repository, archived: ArchivedRuns, run_root: str, run_id: str) -> str | None:
    """Return the glob that excludes an existing run; None for one that is missing, which is another matter."""
    glob = repository.config.find_exclusion(run_root, run_id)
    if glob is None or repository.path(f"{run_root}/{run_id}").is_dir():
        return glob
    return glob if (run_root, run_id) in archived.runs else None


def find_excluded_runs(
    repository: Repository, report: SealReport, lister: str, severity: Severity
) -> tuple[Finding, ...]:
    """Return a finding for each existing run that a verified run registry lists and `exclude` of the toml matches."""
    rows = map(json.loads, report.kept[ARTIFACT].splitlines())
    runs = [(row["run_root"], row["run_id"]) for row in rows]
    archived = read_archived_runs(repository)
    globs = ((f"{root}/{name}", _find_exclusion(repository, archived, root, name)) for root, name in runs)
    return tuple(
        finding("RUN_EXCLUDED", path, severity=severity, lister=lister, detail=f"`{glob}`")
        for path, glob in globs
        if glob is not None
    )
