"""Read the state of a repository, and the document that `status` prints of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import parse_utc, short
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.files.cache_file import find_safe_change
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.git.repository import read_work_tree
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.growth import RebuildFolders, count_rebuild_folders
from registry_pipeline.pipeline.inspect import (
    Inspection,
    describe_active_run,
    find_check_state,
    find_unused_limits,
    inspect,
    list_evidence_pathspecs,
    summarize_operations,
)
from registry_pipeline.pointers.activation import Obstacle, explain_newest_runs, find_newest_runs, read_claims
from registry_pipeline.pointers.chain import ACTIVATION_TAG
from registry_pipeline.pointers.plan import ActivationState
from registry_pipeline.registries.base.drift import make_git_unreadable_finding, make_missing_findings
from registry_pipeline.registries.base.reader import Previous, RegistrySpec, SourceContext
from registry_pipeline.registries.base.seal_build import BuildRun, check_publish_root, list_own_paths
from registry_pipeline.registries.base.sealed_input import RunKey, read_sealed_report
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift
from registry_pipeline.registries.catalog import Catalog, catalog_of, is_enabled
from registry_pipeline.registries.run_registry.archives import ArchivedRun, read_archived_runs
from registry_pipeline.registries.run_registry.read import find_excluded_runs
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import RunFolder, RunListing, find_missing_run_roots, list_run_folders
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline.values import asdict, fields, value_type


@value_type
class Status:
    """The state of a repository; `registries` has the JSON object of each registry."""

    root: Path
    publish_root: str
    catalog: Catalog
    git: GitState
    listing: RunListing
    inspection: Inspection
    findings: tuple[Finding, ...]
    registries: tuple[Mapping[str, Any], ...]
    # The number of runs in archives, without those that have a folder, by run root.
    archived: Mapping[str, int]
    # What rebuilds added; None before the first one.
    growth: RebuildFolders | None

    def to_heading(self) -> str:
        """Return the line that names the repository, its commit and the state of its working tree."""
        commit = "no git commit" if self.git.commit is None else f"commit {short(self.git.commit)}"
        return f"{self.root}  ({commit}, tree {self.git.working_tree_state or 'unknown'})"

    def count_by_root(self) -> dict[str, int]:
        """Return the number of runs in each run root, those in archives included."""
        folders = self.listing.count_by_root()
        roots = dict.fromkeys((*folders, *self.archived))
        return {root: folders.get(root, 0) + self.archived.get(root, 0) for root in roots}

    def count_by_state(self) -> dict[str, int]:
        """Return the number of run folders in each seal state, and of the runs that only an archive contains."""
        return {**self.listing.count_by_seal(), "archived": sum(self.archived.values())}

    def format_runs(self) -> str:
        """Return the numbers of runs as a line of text."""
        states = self.count_by_state()
        if not states["archived"]:
            del states["archived"]
        text = ", ".join(f"{count} {state}" for state, count in states.items())
        return f"{sum(states.values())}: {text} (not verified here)"

    def to_json(self) -> dict[str, Any]:
        """Return the document of `status --json`."""
        operations, drift, health = self.inspection.operations, self.inspection.drift, self.inspection.health
        return {
            "repository": {
                "root": str(self.root),
                "git_commit": self.git.commit,
                "working_tree_state": self.git.working_tree_state,
            },
            "runs": {
                "total": sum(self.count_by_root().values()),
                "by_root": self.count_by_root(),
                "by_seal": self.count_by_state(),
            },
            "growth": None if self.growth is None else asdict(self.growth),
            "registries": list(self.registries),
            "operations": dict.fromkeys(fields(OperationCounts)) if operations is None else asdict(operations),
            "system_drift": None if drift is None else asdict(drift),
            "health_state": health.state,
            "health_conditions": [condition.to_json() for condition in health.conditions],
            "findings": [finding.to_json() for finding in self.findings],
        }


def inspect_with_git(
    repository: Repository, now: datetime, *, from_checkpoint: bool = False
) -> tuple[BuildRun, Inspection, tuple[Finding, ...]]:
    """Inspect the repository; return the build run with the git state, the inspection and the findings.

    The findings are those of the inspection, and those about run roots, `enabled` and `disabled`, and evidence that git
    tracks. A repository that git cannot read is a finding; its git state is unknown then.

    Raises:
        NotFoundError: a run root or the pointer file exists and cannot be read.
    """
    try:
        git, missing = read_work_tree(
            repository.root, list_own_paths(repository), list_evidence_pathspecs(repository.config)
        )
        tracked = make_missing_findings(missing, repository.config.run_roots)
    except NotFoundError as error:
        # git cannot read the repository: its state is unknown, but pointers and runs can still be verified.
        git, tracked = GitState(None, None), (make_git_unreadable_finding(error),)
    run = BuildRun(now, git)
    inspection = inspect(repository, run, from_checkpoint=from_checkpoint)
    folders = (*check_publish_root(repository), *find_missing_run_roots(repository))
    names = catalog_of(repository).check_registry_names(repository.config)
    limits = find_unused_limits(repository.config, inspection.status_rows)
    return run, inspection, sorted_findings((*folders, *names, *limits, *tracked, *inspection.findings))


def read_status(repository: Repository, now: datetime) -> Status:
    """Return the state of the repository; only active runs and the chain are verified; raises as `inspect_with_git`."""
    # (1) Active runs, pointer file and chain, verified; then all run folders by name, and the sources.
    repository = repository.remembering(find_safe_change(now))
    run, inspection, findings = inspect_with_git(repository, now, from_checkpoint=True)
    config, catalog = repository.config, catalog_of(repository)
    tags = [spec.tag for spec in catalog.registries.values() if spec.tag]
    listing = list_run_folders(repository, config.run_roots, tags, count_all=True, find_exclusion=config.find_exclusion)
    sources = (*_check_sources(repository, inspection, now), *_find_excluded_runs(repository, inspection))
    # (2) The newest run of each registry, and why it is not active.
    newest = find_newest_runs(listing, catalog.registries)
    obstacles = _explain_inactive(repository, inspection, newest)
    registries = tuple(
        _registry_to_json(inspection, spec, newest.get(name), obstacles.get(name), now)
        for name, spec in catalog.registries.items()
        if name != ACTIVATION_TAG
    )
    archived = read_archived_runs(repository)
    all_findings = sorted_findings((*findings, *listing.findings, *archived.findings, *sources))
    counts = _count_archived_runs(repository, listing, archived.runs)
    newest_registry = newest.get("run_registry")
    growth = count_rebuild_folders(
        catalog,
        listing.names.get(config.publish_root, ()),
        None if newest_registry is None else newest_registry.run_id,
    )
    return Status(
        root=repository.root,
        publish_root=config.publish_root,
        catalog=catalog,
        git=run.git,
        listing=listing,
        inspection=inspection,
        findings=all_findings,
        registries=registries,
        archived=counts,
        growth=growth,
    )


def _count_archived_runs(
    repository: Repository, listing: RunListing, archived: Mapping[RunKey, ArchivedRun]
) -> Mapping[str, int]:
    """Return the number of runs by run root that only an archive contains, without excluded ones."""
    if not archived:
        return {}
    folders = {(run_root, name) for run_root, names in listing.names.items() for name in names}
    missing = (key for key in archived if key not in folders and not repository.config.find_exclusion(*key))
    return Counter(run_root for run_root, _ in missing)


def _registry_to_json(
    inspection: Inspection, spec: RegistrySpec, newest: RunFolder | None, obstacle: Obstacle | None, now: datetime
) -> dict[str, Any]:
    """Return an entry of `registries` in the document; `obstacle` is why the newest run is not active."""
    name = spec.registry_id
    ref, snapshot = inspection.pointer_file.active(name), inspection.active.get(name)
    as_of = None if snapshot is None else parse_utc(snapshot.as_of_utc)
    return {
        "registry_id": name,
        "kind": spec.kind,
        "in_use": name not in inspection.unused,
        "active": None if ref is None else describe_active_run(inspection, name, ref),
        "seal": None if ref is None else find_check_state(snapshot, "seal"),
        "schema": None if ref is None else find_check_state(snapshot, "schema"),
        "newest_run_id": None if newest is None else newest.run_id,
        "newest_not_active_because": None if obstacle is None else obstacle.because,
        "next_command": None if obstacle is None else obstacle.next_command or None,
        "age_days": None if as_of is None else (now - as_of).days,
    }


def _explain_inactive(
    repository: Repository, inspection: Inspection, newest: Mapping[str, RunFolder]
) -> Mapping[str, Obstacle]:
    """Return why the newest run of each registry is not active, by registry; read from unverified run.json files."""
    active = {
        name: SealedRun(name, snapshot.ref, snapshot.inputs, snapshot.as_of_utc or "")
        for name, snapshot in inspection.active.items()
        if snapshot.verdict is not None
    }
    # Read run.json only of runs that are newest and not active: there are few of them.
    inactive = {n: f for n, f in newest.items() if n not in active or active[n].ref.run_id != f.run_id}
    state = ActivationState(
        active=active,
        specs=catalog_of(repository).registries,
        run_roots=repository.config.run_roots,
        marked_bad=inspection.chain.marked_bad,
        rolled_back_runs=inspection.chain.rolled_back_runs,
        repository_id=repository.config.repository_id,
        disabled=catalog_of(repository).find_disabled(repository.config),
    )
    return explain_newest_runs(read_claims(repository.root, inactive), state, pointers_valid=not inspection.refuses)


def _check_sources(repository: Repository, inspection: Inspection, now: datetime) -> Iterator[Finding]:
    """Yield what prevents a new capture of each captured registry; a source that never existed is no finding."""
    for registry_id, spec in catalog_of(repository).registries.items():
        if spec.kind != "captured" or spec.reader is None or not is_enabled(repository.config, registry_id):
            continue
        snapshot = inspection.active.get(registry_id)
        previous = {} if snapshot is None else {registry_id: Previous(snapshot.ref.run_id, snapshot.files)}
        gathered = spec.reader(repository, SourceContext(previous=previous, started=now))
        checked = () if gathered.check is None else gathered.check.findings
        # The findings of the active run are reported there already. Their line numbers may differ by now.
        verdict = None if snapshot is None else snapshot.verdict
        reported = set() if verdict is None else {_make_comparison_key(f) for f in verdict.findings}
        new = (f for f in checked if _make_comparison_key(f) not in reported)
        yield from (f for f in (*gathered.findings, *new) if f.severity is not Severity.INFO)


def _find_excluded_runs(repository: Repository, inspection: Inspection) -> tuple[Finding, ...]:
    """Return a warning for each run that the active run registry lists and `exclude` now leaves out."""
    snapshot = inspection.active.get("run_registry")
    if snapshot is None or not repository.config.exclude:
        return ()
    # Only then the lines are needed, of which there may be a hundred thousand. A run that is damaged is reported.
    try:
        report = read_sealed_report(repository, catalog_of(repository).spec_of("run_registry"), snapshot.ref)
    except EvidenceError:
        return ()
    lister = f"the active run registry {snapshot.ref.run_id}"
    return find_excluded_runs(repository, report, lister, Severity.WARNING)


def _make_comparison_key(reported: Finding) -> tuple[str, str, str]:
    return (reported.code, reported.severity, reported.message)


def read_operations(
    repository: Repository, built: Mapping[str, SealedRef]
) -> tuple[OperationCounts | None, SystemDrift | None]:
    """Return the operation counts and the drift flags of the runs in `built`, otherwise of the active runs.

    Each is None if there is no such run or it does not verify. A run in `built` that does not verify is not replaced.
    """
    rows, signals = (
        _read_verified_artifact(repository, name, built.get(name)) for name in ("op_status_table", "drift_signals")
    )
    return summarize_operations(repository.config, rows, signals)


def _read_verified_artifact(repository: Repository, registry_id: str, built: SealedRef | None) -> Any:
    """Return the parsed main artifact of the run in `built`, or of the active one; None if it does not verify."""
    # A build without activation reports on the runs that it has just sealed.
    ref = built or read_pointers(repository).active(registry_id)
    if ref is None or not run_folder(repository, ref).is_dir():
        return None
    try:
        spec = catalog_of(repository).spec_of(registry_id)
        return json.loads(read_sealed_report(repository, spec, ref).kept[spec.artifact])
    except (EvidenceError, ValueError):
        return None
