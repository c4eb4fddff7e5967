"""Read and verify the current state: the pointer file, the chain, the active runs, and a row for each registry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from registry_pipeline.config import Config, Repository
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.check_pointers import check_pointers
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.pointers.state import read_pointer_state
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.base.drift import file_pathspecs
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift, count_operations
from registry_pipeline.registries.catalog import REGISTRIES, spec_of
from registry_pipeline.registries.entries.documents import entry_pathspecs
from registry_pipeline.registries.system_health.build import HealthFacts, HealthState, find_health_state
from registry_pipeline.registries.validation import verify_with_artifacts
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file, run_folder
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import value_type


@value_type
class ActiveSnapshot:
    """An active run.

    Attributes:
        verdict: None if the folder is missing.
        files: the bytes of its artifacts, by name; empty if the run does not verify.
    """

    registry_id: str
    ref: SealedRef
    verdict: Verdict | None
    inputs: Inputs
    as_of_utc: str | None
    files: Mapping[str, bytes]


@value_type
class Inspection:
    """The active runs, and every finding about pointer file, chain and active runs.

    Attributes:
        active: the active run by registry.
        status_rows: the rows of the active op_status_table, or None. `operations` counts them.
        drift_signals: the content of the active drift_signals, or None.
        refuses: whether an error of the pointer file or of the chain refuses every change of pointers.
    """

    pointer_file: PointerFile
    chain: ChainState
    active: Mapping[str, ActiveSnapshot]
    findings: tuple[Finding, ...]
    health: HealthState
    status_rows: tuple[Mapping[str, Any], ...] | None
    drift_signals: Mapping[str, Any] | None
    operations: OperationCounts | None
    refuses: bool


def inspect(repository: Repository, run: BuildRun) -> Inspection:
    """Read and verify the pointer file, the chain and every active run; `run` gives the time and the git state."""
    # (1) Read pointer file and chain together: read at two moments they could contradict each other.
    state = read_pointer_state(repository)
    pointers, malformed = parse_pointer_file(state.pointers, repository.config.pointers)
    # (2) Verify the active runs. Other run roots than those of the configuration are a finding of (3).
    active = {
        registry_id: _read_active_run(repository, registry_id, ref)
        for registry_id, ref in pointers.active_refs().items()
        if ref.run_root in repository.config.run_roots
    }
    # (3) Check the pointers against the runs.
    findings = sorted_findings(
        [
            *malformed,
            *_check_pointer_file(repository, run, pointers, state.chain, active),
            *state.chain.findings,
            *(f for snapshot in active.values() if snapshot.verdict is not None for f in snapshot.verdict.findings),
        ]
    )
    # (4) Derive the health state.
    rows, drift = _parse_main_artifact(active, "op_status_table"), _parse_main_artifact(active, "drift_signals")
    operations = None if rows is None else count_operations(rows, repository.config.stale_days)
    facts = HealthFacts(
        findings=findings,
        unknown_pointers=tuple(name for name, spec in REGISTRIES.items() if can_be_active(spec) and name not in active),
        system_drift=None if drift is None else parse_drift_flags(drift),
        operations=operations,
        working_tree_state=run.git.working_tree_state,
    )
    return Inspection(
        pointer_file=pointers,
        chain=state.chain,
        active=active,
        findings=findings,
        health=find_health_state(facts),
        status_rows=None if rows is None else tuple(rows),
        drift_signals=drift,
        operations=operations,
        refuses=has_errors(malformed) or state.chain.refuses,
    )


def _check_pointer_file(
    repository: Repository,
    run: BuildRun,
    pointers: PointerFile,
    chain: ChainState,
    active: Mapping[str, ActiveSnapshot],
) -> tuple[Finding, ...]:
    by_ref = {snapshot.ref: snapshot for snapshot in active.values()}
    return check_pointers(
        pointers,
        repository=repository,
        specs=REGISTRIES,
        verdict_of=lambda ref: by_ref[ref].verdict if ref in by_ref else None,
        inputs_of=lambda ref: by_ref[ref].inputs if ref in by_ref else None,
        now=run.started,
        marked_bad=chain.marked_bad,
        accepted_foreign=chain.accepted_foreign(repository.config.repository_id),
    )


def _read_active_run(repository: Repository, registry_id: str, ref: SealedRef) -> ActiveSnapshot:
    if not run_folder(repository, ref).is_dir():
        return ActiveSnapshot(registry_id, ref, None, Inputs(), None, {})
    report = verify_with_artifacts(run_folder(repository, ref), ref.path)
    verdict = check_run(report, REGISTRIES)
    envelope = report.run_json or {}
    as_of = envelope.get("as_of_utc")
    # Nothing is read from a run that may have been altered.
    is_verified = verdict.passed and report.root_sha256 == ref.manifest_sha256
    return ActiveSnapshot(
        registry_id=registry_id,
        ref=ref,
        verdict=verdict,
        inputs=Inputs.from_json(envelope.get("inputs")),
        as_of_utc=as_of if isinstance(as_of, str) else None,
        files=report.kept if is_verified else {},
    )


def _parse_main_artifact(active: Mapping[str, ActiveSnapshot], registry_id: str) -> Any:
    """Return the parsed main artifact of an active run, or None if no verified run is active."""
    snapshot = active.get(registry_id)
    data = None if snapshot is None else snapshot.files.get(spec_of(registry_id).artifact)
    return None if data is None else json.loads(data)


def parse_drift_flags(drift: Mapping[str, Any]) -> SystemDrift:
    """Return the three flags of a parsed drift_signals artifact."""
    flags = drift["system_drift"]
    return SystemDrift(*(flags[name] for name in ("canon_dirty", "schema_drift", "threshold_drift")))


def list_evidence_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the git pathspecs of all evidence: run folders, pointer file, role pack, logs and registry entries."""
    files = (config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    return (*file_pathspecs(*config.run_roots, *files), *entry_pathspecs(config))


@value_type
class RegistryRow:
    """What the text output shows of a registry, and its JSON object.

    Attributes:
        artifact: the main artifact, `-` if there is none in the repository.
        pointer: `yes` if a run of it can be active.
        note: why no run of it can be active, otherwise what it is built from.
    """

    registry_id: str
    kind: str
    artifact: str
    pointer: str
    note: str
    document: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the row of the document."""
        return dict(self.document)


def list_registry_rows(specs: Iterable[RegistrySpec]) -> tuple[RegistryRow, ...]:
    """Return the rows in the order of the catalog."""
    return tuple(_row(spec) for spec in specs)


def _row(spec: RegistrySpec) -> RegistryRow:
    is_pointer = can_be_active(spec)
    sources = f"from {', '.join(spec.depends_on)}" if spec.depends_on else ""
    document = {
        "registry_id": spec.registry_id,
        "kind": spec.kind,
        "title": spec.title,
        "artifacts": list(spec.artifacts),
        "schemas": dict(spec.schemas),
        "version": spec.version,
        "operation_id": spec.operation_id,
        "tag": spec.tag,
        "depends_on": list(spec.depends_on),
        "feeds_back": list(spec.previous_inputs),
        "sources": list(spec.sources),
        "pointer": is_pointer,
        "delta": spec.delta,
        "excluded_because": spec.excluded_because,
    }
    return RegistryRow(
        registry_id=spec.registry_id,
        kind=spec.kind,
        artifact=spec.artifacts[0] if spec.artifacts else "-",
        pointer="yes" if is_pointer else "no",
        note=sources if is_pointer else spec.excluded_because,
        document=document,
    )
