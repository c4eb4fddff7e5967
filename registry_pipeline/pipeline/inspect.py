"""Read and verify the current state: the pointer file, the chain and the active runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import CONFIG_NAME, Config, Repository
from registry_pipeline.findings.codes import family_of, finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pipeline.registries_in_use import find_unused_registries
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.check_pointers import advise_on_file, check_pointers
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.pointers.state import read_pointer_state
from registry_pipeline.registries.base.check_run import check_run, find_needed_files
from registry_pipeline.registries.base.drift import make_pathspecs
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun, has_present_schema
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift, count_operations
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.entries.schemas import make_entry_pathspecs
from registry_pipeline.registries.system_health.build import HealthFacts, HealthState, find_health_state
from registry_pipeline.registries.validation import verify_with_artifacts
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file, run_folder
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import field, value_type


@value_type
class ActiveSnapshot:
    """The run that a pointer names, and what it contains."""

    ref: SealedRef
    verdict: Verdict | None = None  # None if the folder is missing
    inputs: Inputs = Inputs()
    as_of_utc: str | None = None
    # The bytes of its artifacts, by name, without those of run_registry; empty if the run does not verify.
    files: Mapping[str, bytes] = field(default_factory=dict)


@value_type
class Inspection:
    """The active runs by registry (in configured run roots), and every finding about pointer file, chain and runs."""

    pointer_file: PointerFile
    chain: ChainState
    active: Mapping[str, ActiveSnapshot]
    findings: tuple[Finding, ...]
    health: HealthState
    # The rows of the active op_status_table, and their numbers; None if no valid one is active.
    status_rows: Sequence[Mapping[str, Any]] | None
    operations: OperationCounts | None
    # The active drift_signals, and its flags; None if no valid one is active.
    drift_signals: Mapping[str, Any] | None
    drift: SystemDrift | None
    # An error of the pointer file or of the chain refuses every change of pointers.
    refuses: bool
    # The registries that the repository does not use, which do not count for the health state.
    unused: frozenset[str]


def inspect(repository: Repository, run: BuildRun, *, from_checkpoint: bool = False) -> Inspection:
    """Read and verify the pointer file, the chain and every active run; `run` gives the time and the git state.

    With `from_checkpoint` the chain is verified from its newest checkpoint on only (see `read_pointer_state`).
    """
    # (1) Read pointer file and chain together: read at two moments they could contradict each other.
    state = read_pointer_state(repository, from_checkpoint=from_checkpoint)
    pointers, malformed = parse_pointer_file(state.pointers, repository.config.pointers)
    malformed = advise_on_file(malformed, has_records=bool(state.chain.records))
    # (2) Verify the active runs. Other run roots than those of the configuration are a finding of (3).
    last_moves = {} if state.chain.refuses else state.chain.facts.last_moves
    activated = {registry_id: move.to_ref for registry_id, move in last_moves.items()}
    active = {
        registry_id: _read_active_run(repository, registry_id, ref, is_activated=activated.get(registry_id) == ref)
        for registry_id, ref in pointers.active_refs().items()
        if ref.run_root in repository.config.run_roots
    }
    # (3) Check the pointers against the runs.
    snapshots = {snapshot.ref: snapshot for snapshot in active.values()}
    specs = catalog_of(repository).registries
    pointer_findings = check_pointers(
        pointers,
        repository=repository,
        specs=specs,
        verdict_of=lambda ref: snapshots[ref].verdict if ref in snapshots else None,
        inputs_of=lambda ref: snapshots[ref].inputs if ref in snapshots else None,
        now=run.started,
        marked_bad=state.chain.marked_bad,
        accepted_foreign=state.chain.accepted_foreign(repository.config.repository_id),
    )
    run_findings = [f for s in active.values() if s.verdict is not None for f in s.verdict.findings]
    findings = sorted_findings([*malformed, *pointer_findings, *state.chain.findings, *run_findings])
    # (4) Derive the health state.
    rows, signals = (_parse_main_artifact(active, specs[name]) for name in ("op_status_table", "drift_signals"))
    operations, drift = summarize_operations(repository.config, rows, signals)
    unused = find_unused_registries(repository, pointers, state.chain.facts.last_moves)
    unknown = tuple(
        name for name, spec in specs.items() if can_be_active(spec) and name not in active and name not in unused
    )
    facts = HealthFacts(
        findings=findings,
        unknown_pointers=unknown,
        system_drift=drift,
        operations=operations,
        working_tree_state=run.git.working_tree_state,
        expects_versions="expected_versions" not in unused,
        versions={} if signals is None else signals["expected"],
    )
    return Inspection(
        pointer_file=pointers,
        chain=state.chain,
        active=active,
        findings=findings,
        health=find_health_state(facts),
        status_rows=rows,
        operations=operations,
        drift_signals=signals,
        drift=drift,
        refuses=has_errors(malformed) or state.chain.refuses,
        unused=unused,
    )


def _read_active_run(repository: Repository, registry_id: str, ref: SealedRef, *, is_activated: bool) -> ActiveSnapshot:
    """Verify an active run; if it is missing, only `ref` is set, and if it does not verify, `files` is empty.

    `is_activated` says that a record of the chain activated it, which validated its lines: they are then not validated
    again with the same schema, and not in `files`.
    """
    if not run_folder(repository, ref).is_dir():
        return ActiveSnapshot(ref)
    report, verdict = _verify_active_run(repository, registry_id, ref, is_activated=is_activated)
    envelope = report.run_json or {}
    as_of = envelope.get("as_of_utc")
    # Nothing is read from a run that may have been altered.
    is_verified = verdict.passed and report.root_sha256 == ref.manifest_sha256
    return ActiveSnapshot(
        ref=ref,
        verdict=verdict,
        inputs=Inputs.from_json(envelope.get("inputs")),
        as_of_utc=as_of if isinstance(as_of, str) else None,
        files=report.kept if is_verified else {},
    )


def _verify_active_run(
    repository: Repository, registry_id: str, ref: SealedRef, *, is_activated: bool
) -> tuple[SealReport, Verdict]:
    """Return report and verdict of an active run whose folder exists."""
    specs, folder = catalog_of(repository).registries, run_folder(repository, ref)
    spec = specs.get(registry_id)
    # The run registry may have a hundred thousand lines. If they need no validation, they are hashed and not kept.
    if is_activated and spec is not None and spec.kind == "built" and spec.artifact.endswith(".jsonl"):
        report = verify_folder(folder, display_path=ref.path, keep=find_needed_files(specs) - {spec.artifact})
        if report.root_sha256 == ref.manifest_sha256 and has_present_schema(report, spec.artifact, spec):
            return report, check_run(report, specs, known_lines={spec.artifact: None})
    report = verify_with_artifacts(folder, ref.path, specs, registry_id)
    return report, check_run(report, specs)


def describe_active_run(inspection: Inspection, name: str, ref: SealedRef) -> dict[str, Any]:
    """Return `active` of an entry; actor and reason are those of the last record that activated this run."""
    pointer = inspection.pointer_file.get(name)
    # A pointer that is older than the chain has no record.
    records = reversed(inspection.chain.records)
    matches = (r.record for r in records if any(move.to_ref == ref for move in r.moves_of(name)))
    # Of the records before a checkpoint only the last move of each registry is known.
    move = inspection.chain.facts.last_moves.get(name)
    entry = next(matches, None) or (move if move is not None and move.to_ref == ref else None)
    # The pointer file may be edited by hand: print its time only if it is one.
    activated_utc = None if pointer is None or parse_utc(pointer.asof_utc) is None else pointer.asof_utc
    return {
        "run_id": ref.run_id,
        "run_root": ref.run_root,
        "manifest_sha256": ref.manifest_sha256,
        "activated_utc": activated_utc,
        "actor": None if entry is None else entry.actor or None,
        "reason": None if entry is None else entry.reason or None,
    }


def find_check_state(snapshot: ActiveSnapshot | None, family: str) -> Literal["pass", "fail", "missing"]:
    """Return whether the seal or the schema (`family`) of an active run passes, or that its folder is missing."""
    if snapshot is None or snapshot.verdict is None:
        return "missing"
    verdict = snapshot.verdict
    # Without a seal nothing is proven, so neither seal nor schema passes.
    failed = verdict.verdict in ("unsealed", "partial") or any(family_of(f) == family for f in verdict.errors())
    # A valid seal with another root than the pointer names is a failure as well: the run was sealed again.
    is_other_run = family == "seal" and verdict.root_sha256 != snapshot.ref.manifest_sha256
    return "fail" if failed or is_other_run else "pass"


def _parse_main_artifact(active: Mapping[str, ActiveSnapshot], spec: RegistrySpec) -> Any:
    """Return the parsed main artifact of an active run, or None if no verified run is active."""
    snapshot = active.get(spec.registry_id)
    data = None if snapshot is None else snapshot.files.get(spec.artifact)
    return None if data is None else json.loads(data)


def summarize_operations(
    config: Config, rows: Sequence[Mapping[str, Any]] | None, drift_signals: Mapping[str, Any] | None
) -> tuple[OperationCounts | None, SystemDrift | None]:
    """Return the counts of the rows of an op_status_table and the flags of a drift_signals; each None for None."""
    operations = None if rows is None else count_operations(rows, config.stale_days)
    if drift_signals is None:
        return operations, None
    flags = drift_signals["system_drift"]
    return operations, SystemDrift(*(flags[name] for name in ("canon_dirty", "schema_drift", "threshold_drift")))


def find_unused_limits(config: Config, rows: Sequence[Mapping[str, Any]] | None) -> tuple[Finding, ...]:
    """Return a warning for each limit of `[stale_days]` that no operation of a status table can have."""
    if rows is None:
        return ()
    ids, options = {row["operation_id"] for row in rows}, {row["option"] for row in rows}
    limits = config.stale_days
    unused = [
        ("operations", glob, "no operation has that id")
        for glob in limits.operations
        if not any(fnmatchcase(name, glob) for name in ids)
    ]
    unused += [("options", name, "no operation has that option") for name in limits.options if name not in options]
    return tuple(
        finding("CONFIG_STALE_LIMIT_UNUSED", CONFIG_NAME, key=key, name=printable(repr(name)), detail=detail)
        for key, name, detail in unused
    )


def list_evidence_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the git pathspecs of all evidence: run folders, pointer file, role pack, logs and registry entries."""
    files = (config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    return (*make_pathspecs(*config.run_roots, *files), *make_entry_pathspecs(config))
