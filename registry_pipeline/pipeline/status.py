"""What `status`, `log` and `show` tell: the facts are gathered here, `query` makes the documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.git.repository import read_work_tree
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.inspect import Inspection, evidence_pathspecs, inspect, system_drift
from registry_pipeline.pipeline.log import LogEntry, log_entries, with_claims
from registry_pipeline.pipeline.runs import Order, RunDocument, RunQuery, RunQueryResult, select_runs
from registry_pipeline.pipeline.status_document import StatusDocument, StatusFacts, status_document
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.consistency import ActiveRun
from registry_pipeline.pointers.explain_inactive import explain_newest, newest_runs, read_claims
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.moves import ActivationEntry, activations_naming
from registry_pipeline.pointers.obstacles import ActivationState
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.base.reader import Previous, SourceContext
from registry_pipeline.registries.base.seal_build import BuildRun, check_publish_root, own_paths
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.base.staleness import OperationCounts, count_operations
from registry_pipeline.registries.base.tracked_files import check_tracked, git_unreadable
from registry_pipeline.registries.base.values import SystemDrift
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.validation import capture_checks, read_judgeable, spec_of
from registry_pipeline.runs.listing import list_run_folders
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef


def observe(repository: Repository, now: datetime) -> tuple[BuildRun, Inspection, tuple[Finding, ...]]:
    """Return what is active and every finding about it and about evidence that git tracks.

    Where git cannot read the repository, its state is unknown and a finding says so.

    Raises:
        NotFoundError: a run root or the pointer file exists and cannot be read.
    """
    try:
        git, missing = read_work_tree(repository.root, own_paths(repository), evidence_pathspecs(repository.config))
        tracked = check_tracked(missing, repository.config.run_roots)
    except NotFoundError as error:
        git, tracked = GitState(None, None), (git_unreadable(error),)
    run = BuildRun(now, git)
    seen = inspect(repository, run)
    return run, seen, sorted_findings((*check_publish_root(repository), *tracked, *seen.findings))


def read_status(repository: Repository, now: datetime) -> StatusDocument:
    """Return the state of the repository: bytes are read of active runs and of the chain only (SPEC 2.2).

    Raises:
        NotFoundError: a run root or the pointer file is there and cannot be read.
    """
    run, seen, findings = observe(repository, now)
    listing = list_run_folders(repository.root, repository.config.run_roots)
    active = {
        name: ActiveRun(held.ref, held.inputs, held.as_of_utc)
        for name, held in seen.active.items()
        if held.verdict is not None
    }
    newest = newest_runs(listing, REGISTRIES)
    behind = {n: f for n, f in newest.items() if n not in active or active[n].ref.run_id != f.run_id}
    state = ActivationState(
        active=active,
        specs=REGISTRIES,
        run_roots=repository.config.run_roots,
        marked_bad=seen.chain.marked_bad,
        rolled_back_runs=seen.chain.rolled_back_runs,
        repository_id=repository.config.repository_id,
    )
    return status_document(
        StatusFacts(
            root=repository.root,
            now=now,
            git=run.git,
            specs=REGISTRIES,
            listing=listing,
            pointers=seen.pointer_file,
            active=active,
            verdicts={n: held.verdict for n, held in seen.active.items() if held.verdict is not None},
            activations=_entries(seen.chain),
            newest=newest,
            reasons=explain_newest(read_claims(repository.root, behind), state, pointers_valid=not seen.refuses),
            operations=seen.operations,
            drift=None if seen.drift_signals is None else system_drift(seen.drift_signals),
            health=seen.health,
            findings=sorted_findings((*findings, *listing.findings, *_sources(repository, seen, now))),
        )
    )


def _sources(repository: Repository, seen: Inspection, now: datetime) -> Iterator[Finding]:
    """Yield what prevents a new capture of each captured registry; a source that never existed is not mentioned."""
    checks = capture_checks(repository, now)
    for registry_id, spec in REGISTRIES.items():
        if spec.kind == "captured" and spec.reader is not None:
            held = seen.active.get(registry_id)
            before = {} if held is None else {registry_id: Previous(held.ref.run_id, held.files)}
            gathered = spec.reader(repository, SourceContext(previous=before, checks=checks))
            reported = set() if held is None or held.verdict is None else set(map(_content, held.verdict.findings))
            checked = () if gathered.check is None else gathered.check.findings
            # What the active run has too is reported there, wherever in the file it stands now.
            new = (each for each in checked if _content(each) not in reported)
            yield from (each for each in (*gathered.findings, *new) if each.severity is not Severity.INFO)


def _content(found: Finding) -> tuple[str, str, str]:
    return (found.code, found.severity, found.message)


def read_operations(
    repository: Repository, built: Mapping[str, SealedRef]
) -> tuple[OperationCounts | None, SystemDrift | None]:
    """Return how the operations and the system stand: by the runs just built, else by the active ones.

    Each is None where there is no such run, or it does not verify.
    """
    rows, drift = (_main_artifact(repository, name, built.get(name)) for name in ("op_status_table", "drift_signals"))
    operations = None if rows is None else count_operations(rows, repository.config.stale_days)
    return operations, None if drift is None else system_drift(drift)


def _main_artifact(repository: Repository, registry_id: str, built: SealedRef | None) -> Any:
    ref = built or read_pointers(repository).active(registry_id)
    if ref is None or not run_folder(repository, ref).is_dir():
        return None
    try:
        return json.loads(read_sealed(repository, spec_of(registry_id), ref).kept[spec_of(registry_id).artifact])
    except (EvidenceError, ValueError):
        return None


def _entries(chain: ChainState) -> tuple[ActivationEntry, ...]:
    return chain.records


def read_log(repository: Repository, registry_id: str | None, limit: int) -> tuple[LogEntry, ...]:
    """Return activations and builds, the newest first, at most `limit` of them (0: all).

    Raises:
        NotFoundError: the registry is unknown.
    """
    if registry_id is not None:
        spec_of(registry_id)
    listing = list_run_folders(repository.root, repository.config.run_roots)
    entries = log_entries(listing, _entries(read_chain_state(repository)), REGISTRIES, registry_id)
    return tuple(with_claims(repository.root, entry) for entry in (entries[:limit] if limit else entries))


def read_runs(repository: Repository, asked: RunQuery, order: Order, limit: int) -> RunQueryResult:
    """Return the lines that are asked for of the run registry in force, which is verified while it is read.

    Raises:
        NotFoundError: no run registry is active, or its folder is not there.
        EvidenceError: it does not verify, or has a line that is none of SPEC 4.1.
    """
    advice = "run `registry-pipeline build`"
    ref = read_pointers(repository).active("run_registry")
    if ref is None:
        raise NotFoundError("no run_registry is active: there is nothing to ask", advice)
    if not run_folder(repository, ref).is_dir():
        raise NotFoundError(f"the active run_registry {ref.run_id} is not there", f"fetch its folder, or {advice}")
    data = read_sealed(repository, spec_of("run_registry"), ref).kept[spec_of("run_registry").artifact]
    try:
        return select_runs(ref, filter(None, data.split(b"\n")), asked, order=order, limit=limit)
    except ValueError as error:
        raise EvidenceError(f"the run registry {ref.run_id} cannot be asked: {error}", advice) from None


def read_run_document(repository: Repository | None, found: FoundRun) -> RunDocument:
    """Return one run folder, verified anew, with the activations that name it; those of no repository have none."""
    report = read_judgeable(found.path, found.shown)
    verdict = check_run(report, REGISTRIES)
    if repository is None:
        return RunDocument(verdict, report, (), ())
    pointers = read_pointers(repository)
    named = [(p.registry_id, ref) for p in pointers.pointers if (ref := pointers.active(p.registry_id)) is not None]
    active_for = tuple(
        name for name, ref in named if (ref.run_id, ref.manifest_sha256) == (report.run_id, report.root_sha256)
    )
    entries = activations_naming(_entries(read_chain_state(repository)), report.run_id)
    return RunDocument(verdict, report, active_for, entries)
