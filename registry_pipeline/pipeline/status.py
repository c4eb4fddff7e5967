"""Read the state of a repository, and the document that `status` prints of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.git.repository import read_work_tree
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.inspect import Inspection, inspect, list_evidence_pathspecs, parse_drift_flags
from registry_pipeline.pipeline.log import LogEntry, add_claims, list_log_entries
from registry_pipeline.pipeline.runs import Order, RunDocument, RunQuery, RunQueryResult, select_runs
from registry_pipeline.pointers.activation import Obstacle, explain_newest, newest_runs, read_claims
from registry_pipeline.pointers.chain import ACTIVATION_TAG, SealedRecord
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.plan import ActivationState, can_be_active
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.base.drift import check_tracked, make_git_unreadable_finding
from registry_pipeline.registries.base.reader import Kind, Previous, RegistrySpec, SourceContext
from registry_pipeline.registries.base.seal_build import BuildRun, check_publish_root, list_own_paths
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift, count_operations
from registry_pipeline.registries.catalog import REGISTRIES, spec_of
from registry_pipeline.registries.system_health.build import HealthState
from registry_pipeline.registries.validation import capture_checks, verify_with_artifacts
from registry_pipeline.runs.listing import RunFolder, RunListing, list_run_folders
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import asdict, fields, value_type

CheckState = Literal["pass", "fail", "missing"]
_DAY_SECONDS: Final = 86400


@value_type
class StatusFacts:
    """The state of the repository; operations or drift are None if no valid run of their registry is active."""

    root: Path
    git: GitState
    listing: RunListing
    operations: OperationCounts | None
    drift: SystemDrift | None
    health: HealthState
    findings: tuple[Finding, ...]


@value_type
class ActiveStatus:
    """The run that a pointer names; actor and reason are None if no activation record moved the pointer."""

    ref: SealedRef
    activated_utc: str | None
    actor: str | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the `active` object of the document."""
        return {
            "run_id": self.ref.run_id,
            "run_root": self.ref.run_root,
            "manifest_sha256": self.ref.manifest_sha256,
            "activated_utc": self.activated_utc,
            "actor": self.actor,
            "reason": self.reason,
        }


@value_type
class RegistryStatus:
    """The status of one registry.

    Attributes:
        pointer: whether a run of it can be active at all.
        seal: `missing` if the folder of the active run is missing, None if no run is active. So is `schema`.
        age_days: whole days since the time that the active run describes.
    """

    registry_id: str
    kind: Kind
    pointer: bool
    active: ActiveStatus | None
    seal: CheckState | None
    schema: CheckState | None
    age_days: int | None
    newest_run_id: str | None
    newest_not_active: Obstacle | None

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `registries` in the document."""
        obstacle = self.newest_not_active
        return {
            "registry_id": self.registry_id,
            "kind": self.kind,
            "active": None if self.active is None else self.active.to_json(),
            "seal": self.seal,
            "schema": self.schema,
            "newest_run_id": self.newest_run_id,
            "newest_not_active_because": None if obstacle is None else obstacle.because,
            "next_command": None if obstacle is None else obstacle.next_command or None,
            "age_days": self.age_days,
        }


@value_type
class StatusDocument:
    """The result of `status`."""

    facts: StatusFacts
    registries: tuple[RegistryStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `status --json`."""
        facts, counts = self.facts, self.facts.operations
        return {
            "repository": {
                "root": str(facts.root),
                "git_commit": facts.git.commit,
                "working_tree_state": facts.git.working_tree_state,
            },
            "runs": {
                "total": facts.listing.total,
                "by_root": {root: len(folders) for root, folders in facts.listing.by_root.items()},
                "by_seal": facts.listing.count_by_seal(),
            },
            "registries": [registry.to_json() for registry in self.registries],
            "operations": dict.fromkeys(fields(OperationCounts)) if counts is None else asdict(counts),
            "system_drift": None if facts.drift is None else asdict(facts.drift),
            "health_state": facts.health.state,
            "health_conditions": [{"state": c.state, "reason": c.reason} for c in facts.health.conditions],
            "findings": [finding.to_json() for finding in facts.findings],
        }


def describe_registry(
    spec: RegistrySpec,
    inspection: Inspection,
    activations: Sequence[SealedRecord],
    newest_run_id: str | None,
    obstacle: Obstacle | None,
    now: datetime,
) -> RegistryStatus:
    """Return the status of one registry; `obstacle` is why its newest run is not active."""
    name = spec.registry_id
    ref = inspection.pointer_file.active(name)
    snapshot = inspection.active.get(name)
    verdict = None if snapshot is None else snapshot.verdict
    return RegistryStatus(
        registry_id=name,
        kind=spec.kind,
        pointer=can_be_active(spec),
        active=None if ref is None else _describe_active_run(inspection, activations, name, ref),
        seal=None if ref is None else _seal_state(verdict, ref),
        schema=None if ref is None else _schema_state(verdict),
        age_days=None if snapshot is None else _age_in_days(snapshot.as_of_utc, now),
        newest_run_id=newest_run_id,
        newest_not_active=obstacle,
    )


def _describe_active_run(
    inspection: Inspection, activations: Sequence[SealedRecord], name: str, ref: SealedRef
) -> ActiveStatus:
    pointer = inspection.pointer_file.get(name)
    # Without an entry the pointer is older than the chain.
    entry = next((e for e in reversed(activations) if any(move.to_ref == ref for move in e.moves_of(name))), None)
    # The pointer file may be edited by hand: print its time only if it is one.
    activated_utc = None if pointer is None or parse_utc(pointer.asof_utc) is None else pointer.asof_utc
    if entry is None:
        return ActiveStatus(ref, activated_utc, None, None)
    return ActiveStatus(ref, activated_utc, entry.record.actor or None, entry.record.reason or None)


def _seal_state(verdict: Verdict | None, ref: SealedRef) -> CheckState:
    if verdict is None:
        return "missing"
    # A valid seal with another root than the pointer names is a failure as well: the run was sealed again.
    is_other_root = verdict.root_sha256 != ref.manifest_sha256
    return "fail" if _has_failed(verdict, "seal") or is_other_root else "pass"


def _schema_state(verdict: Verdict | None) -> CheckState:
    if verdict is None:
        return "missing"
    return "fail" if _has_failed(verdict, "schema") else "pass"


def _has_failed(verdict: Verdict, family: str) -> bool:
    # Without a seal nothing is proven, so neither seal nor schema passes.
    return verdict.verdict in ("unsealed", "partial") or any(family_of(f) == family for f in verdict.errors())


def _age_in_days(as_of_utc: str | None, now: datetime) -> int | None:
    instant = parse_utc(as_of_utc)
    return None if instant is None else int((now - instant).total_seconds() // _DAY_SECONDS)


def observe(repository: Repository, now: datetime) -> tuple[BuildRun, Inspection, tuple[Finding, ...]]:
    """Inspect the repository; return also the findings about publish_root and about evidence that git tracks.

    Raises:
        NotFoundError: a run root or the pointer file exists and cannot be read.
    """
    try:
        git, missing = read_work_tree(
            repository.root, list_own_paths(repository), list_evidence_pathspecs(repository.config)
        )
        tracked = check_tracked(missing, repository.config.run_roots)
    except NotFoundError as error:
        # git cannot read the repository: its state is unknown, but pointers and runs can still be verified.
        git, tracked = GitState(None, None), (make_git_unreadable_finding(error),)
    run = BuildRun(now, git)
    inspection = inspect(repository, run)
    return run, inspection, sorted_findings((*check_publish_root(repository), *tracked, *inspection.findings))


def read_status(repository: Repository, now: datetime) -> StatusDocument:
    """Return the state of the repository; only active runs and the chain are verified.

    Raises:
        NotFoundError: a run root or the pointer file exists and cannot be read.
    """
    # (1) Active runs, pointer file and chain, verified; then all run folders by name, and the sources.
    run, inspection, findings = observe(repository, now)
    listing = list_run_folders(repository.root, repository.config.run_roots)
    sources = _check_sources(repository, inspection, now)
    facts = StatusFacts(
        root=repository.root,
        git=run.git,
        listing=listing,
        operations=inspection.operations,
        drift=None if inspection.drift_signals is None else parse_drift_flags(inspection.drift_signals),
        health=inspection.health,
        findings=sorted_findings((*findings, *listing.findings, *sources)),
    )
    # (2) The newest run of each registry, and why it is not active.
    newest = newest_runs(listing, REGISTRIES)
    obstacles = _explain_inactive(repository, inspection, newest)
    activations = inspection.chain.records
    registries = tuple(
        describe_registry(
            spec, inspection, activations, newest[name].run_id if name in newest else None, obstacles.get(name), now
        )
        for name, spec in REGISTRIES.items()
        if name != ACTIVATION_TAG
    )
    return StatusDocument(facts, registries)


def _explain_inactive(
    repository: Repository, inspection: Inspection, newest: Mapping[str, RunFolder]
) -> Mapping[str, Obstacle]:
    active = {
        name: SealedRun(name, snapshot.ref, snapshot.inputs, snapshot.as_of_utc or "")
        for name, snapshot in inspection.active.items()
        if snapshot.verdict is not None
    }
    # Read run.json only of runs that are newest and not active: there are few of them.
    inactive = {n: f for n, f in newest.items() if n not in active or active[n].ref.run_id != f.run_id}
    state = ActivationState(
        active=active,
        specs=REGISTRIES,
        run_roots=repository.config.run_roots,
        marked_bad=inspection.chain.marked_bad,
        rolled_back_runs=inspection.chain.rolled_back_runs,
        repository_id=repository.config.repository_id,
    )
    return explain_newest(read_claims(repository.root, inactive), state, pointers_valid=not inspection.refuses)


def _check_sources(repository: Repository, inspection: Inspection, now: datetime) -> Iterator[Finding]:
    """Yield what prevents a new capture of each captured registry; a source that never existed is no finding."""
    checks = capture_checks(repository, now)
    for registry_id, spec in REGISTRIES.items():
        if spec.kind != "captured" or spec.reader is None:
            continue
        snapshot = inspection.active.get(registry_id)
        previous = {} if snapshot is None else {registry_id: Previous(snapshot.ref.run_id, snapshot.files)}
        gathered = spec.reader(repository, SourceContext(previous=previous, checks=checks))
        checked = () if gathered.check is None else gathered.check.findings
        # The findings of the active run are reported there already. Their line numbers may differ by now.
        verdict = None if snapshot is None else snapshot.verdict
        reported = set() if verdict is None else {_identity(f) for f in verdict.findings}
        new = (f for f in checked if _identity(f) not in reported)
        yield from (f for f in (*gathered.findings, *new) if f.severity is not Severity.INFO)


def _identity(reported: Finding) -> tuple[str, str, str]:
    return (reported.code, reported.severity, reported.message)


def read_operations(
    repository: Repository, built: Mapping[str, SealedRef]
) -> tuple[OperationCounts | None, SystemDrift | None]:
    """Return the operation counts and the drift flags of the runs in `built`, otherwise of the active runs.

    Each is None if there is no such run or it does not verify.
    """
    rows, drift = (
        _read_main_artifact(repository, name, built.get(name)) for name in ("op_status_table", "drift_signals")
    )
    operations = None if rows is None else count_operations(rows, repository.config.stale_days)
    return operations, None if drift is None else parse_drift_flags(drift)


def _read_main_artifact(repository: Repository, registry_id: str, built: SealedRef | None) -> Any:
    # A build without activation reports on the runs that it has just sealed.
    ref = built or read_pointers(repository).active(registry_id)
    if ref is None or not run_folder(repository, ref).is_dir():
        return None
    try:
        return json.loads(read_sealed(repository, spec_of(registry_id), ref).kept[spec_of(registry_id).artifact])
    except (EvidenceError, ValueError):
        return None


def read_log(repository: Repository, registry_id: str | None, limit: int) -> tuple[LogEntry, ...]:
    """Return activations and builds, the newest first, at most `limit` of them (0: all).

    Raises:
        NotFoundError: the registry is unknown.
    """
    if registry_id is not None:
        spec_of(registry_id)
    listing = list_run_folders(repository.root, repository.config.run_roots)
    entries = list_log_entries(listing, read_chain_state(repository).records, REGISTRIES, registry_id)
    # Only the folders of printed entries are read.
    return tuple(add_claims(repository.root, entry) for entry in (entries[:limit] if limit else entries))


def read_runs(repository: Repository, query: RunQuery, order: Order, limit: int) -> RunQueryResult:
    """Return the records of the active run registry that match a query; the run is verified.

    Raises:
        NotFoundError: no run registry is active, or its folder is missing.
        EvidenceError: it does not verify, or contains a line that is not a run record.
    """
    advice = "run `registry-pipeline build`"
    ref = read_pointers(repository).active("run_registry")
    if ref is None:
        raise NotFoundError("no run_registry is active, so no runs can be listed", advice)
    if not run_folder(repository, ref).is_dir():
        raise NotFoundError(
            f"the folder of the active run_registry {ref.run_id} is missing", f"restore it, or {advice}"
        )
    # The lines are read from the verified artifact, not from the run folders: those may have changed since.
    data = read_sealed(repository, spec_of("run_registry"), ref).kept[spec_of("run_registry").artifact]
    try:
        return select_runs(ref, filter(None, data.split(b"\n")), query, order=order, limit=limit)
    except ValueError as error:
        raise EvidenceError(f"the run registry {ref.run_id} cannot be read: {error}", advice) from None


def read_run_document(repository: Repository | None, found: FoundRun) -> RunDocument:
    """Return one run folder, verified, with the activations that name it (none without a repository)."""
    report = verify_with_artifacts(found.path, found.shown)
    verdict = check_run(report, REGISTRIES)
    if repository is None:
        return RunDocument(verdict, report, (), ())
    refs = read_pointers(repository).active_refs()
    # Compare run id and root: a copy of the folder elsewhere has the same content, so it counts.
    active_for = tuple(
        name for name, ref in refs.items() if (ref.run_id, ref.manifest_sha256) == (report.run_id, report.root_sha256)
    )
    activations = [entry for entry in read_chain_state(repository).records if report.run_id in entry.run_ids]
    return RunDocument(verdict, report, active_for, tuple(activations))
