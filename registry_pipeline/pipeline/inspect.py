"""What is in force and whether it holds: the pointer file, the chain, and the active runs, read and judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from registry_pipeline.config import Config, Repository
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.check_pointers import check_pointers
from registry_pipeline.pointers.consistency import can_be_active
from registry_pipeline.pointers.state import read_pointer_state
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.staleness import OperationCounts, count_operations
from registry_pipeline.registries.base.tracked_files import file_pathspecs
from registry_pipeline.registries.base.values import SystemDrift
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.entries.read import entry_pathspecs
from registry_pipeline.registries.system_health.state import HealthFacts, HealthState, find_health_state
from registry_pipeline.registries.validation import read_judgeable, spec_of
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file, run_folder
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.values import value_type


@value_type
class ActiveSnapshot:
    """An active run: its reference, the verdict on it (None where its folder is absent), and its artifacts' bytes.

    `files` is empty where the run does not verify: nothing is read from what may have been altered.
    """

    registry_id: str
    ref: SealedRef
    verdict: Verdict | None
    inputs: Inputs
    as_of_utc: str | None
    files: Mapping[str, bytes]


@value_type
class Inspection:
    """All that is in force, and every finding about it.

    `status_rows`, `drift_signals` and `operations` are those of the active registries, None where none is active.
    `refuses` tells that an error of the pointer file or of the chain refuses every change (SPEC 5).
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
    """Read the bytes of the chain and of every active run and judge them; `run` gives the present and git's state."""
    # One consistent read: a pointer file and a chain from two moments would contradict each other.
    state = read_pointer_state(repository)
    chain = state.chain
    pointers, malformed = parse_pointer_file(state.pointers, repository.config.pointers)
    active = {
        pointer.registry_id: _in_force(repository, pointer.registry_id, ref)
        for pointer in pointers.pointers
        if (ref := pointers.active(pointer.registry_id)) is not None and ref.run_root in repository.config.run_roots
    }
    by_ref = {held.ref: held for held in active.values()}
    against = check_pointers(
        pointers,
        repository=repository,
        specs=REGISTRIES,
        verdict_of=lambda ref: by_ref[ref].verdict if ref in by_ref else None,
        inputs_of=lambda ref: by_ref[ref].inputs if ref in by_ref else None,
        now=run.started,
        marked_bad=chain.marked_bad,
        accepted_foreign=chain.accepted_foreign(repository.config.repository_id),
    )
    judged = [f for held in active.values() if held.verdict is not None for f in held.verdict.findings]
    findings = sorted_findings([*malformed, *against, *chain.findings, *judged])
    rows, drift = _parsed(active, "op_status_table"), _parsed(active, "drift_signals")
    operations = None if rows is None else count_operations(rows, repository.config.stale_days)
    facts = HealthFacts(
        findings=findings,
        unknown_pointers=tuple(name for name, row in REGISTRIES.items() if can_be_active(row) and name not in active),
        system_drift=None if drift is None else system_drift(drift),
        operations=operations,
        working_tree_state=run.git.working_tree_state,
    )
    status_rows = None if rows is None else tuple(rows)
    refuses = has_errors(malformed) or chain.refuses
    return Inspection(
        pointers, chain, active, findings, find_health_state(facts), status_rows, drift, operations, refuses
    )


def _in_force(repository: Repository, registry_id: str, ref: SealedRef) -> ActiveSnapshot:
    if not run_folder(repository, ref).is_dir():
        return ActiveSnapshot(registry_id, ref, None, Inputs(), None, {})
    report = read_judgeable(run_folder(repository, ref), f"{ref.run_root}/{ref.run_id}")
    verdict = check_run(report, REGISTRIES)
    envelope = report.run_json or {}
    as_of = envelope.get("as_of_utc")
    return ActiveSnapshot(
        registry_id=registry_id,
        ref=ref,
        verdict=verdict,
        inputs=Inputs.from_json(envelope.get("inputs")),
        as_of_utc=as_of if isinstance(as_of, str) else None,
        files=report.kept if _sound(report, verdict, ref) else {},
    )


def _sound(report: SealReport, verdict: Verdict, ref: SealedRef) -> bool:
    return verdict.passed and report.root_sha256 == ref.manifest_sha256


def _parsed(active: Mapping[str, ActiveSnapshot], registry_id: str) -> Any:
    """Return the main artifact of an active run, parsed; its schema has been judged. None where there is none."""
    held = active.get(registry_id)
    data = None if held is None else held.files.get(spec_of(registry_id).artifact)
    return None if data is None else json.loads(data)


def system_drift(drift: Mapping[str, Any]) -> SystemDrift:
    """Return the three flags of a parsed drift_signals artifact."""
    flags = drift["system_drift"]
    return SystemDrift(*(flags[name] for name in ("canon_dirty", "schema_drift", "threshold_drift")))


def evidence_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the pathspecs of all evidence: run folders, pointer file, role pack, both logs, and registry entries."""
    files = (config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    return (*file_pathspecs(*config.run_roots, *files), *entry_pathspecs(config))
