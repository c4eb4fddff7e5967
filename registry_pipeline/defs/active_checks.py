"""The checks of what is active: `active` of each registry, and those of the pointer file, its chain and its runs.

None of them blocks a build. `active` is written by the activation sensor whenever its result changes, because what is
active changes without a new build.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AutomationCondition,
    DagsterInstance,
    ResourceParam,
    multi_asset_check,
)

from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.event_log import Materialization
from registry_pipeline.defs.location import Location, find_registry_id
from registry_pipeline.defs.proposal import (
    POINTERS_ASSET,
    REBUILD_JOB,
    Obstacle,
    Proposal,
    propose,
)
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import Finding, Severity, has_errors
from registry_pipeline.pipeline import inspect as pipeline_inspect
from registry_pipeline.pipeline.inspect import Inspection
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.catalog import Catalog
from registry_pipeline.runs.pointer_file import has_registry_id
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type

ACTIVE_CHECK: Final = "active"


@value_type
class ActiveResult:
    """Whether the newest build of a registry is its active run, and if not, why and what to do."""

    passed: bool
    description: str
    facts: Mapping[str, str]


def describe_active(proposal: Proposal, registry_id: str) -> ActiveResult | None:
    """Return the result of the check `active` of a registry.

    None if there is nothing to compare, or if a Dagster run is building or activating it: then it changes at once.
    """
    newest, active = proposal.newest.get(registry_id), proposal.active.get(registry_id)
    obstacle = proposal.obstacles.get(registry_id)
    facts = {
        "newest_build": "none" if newest is None or newest.sealed is None else printable(newest.sealed.ref.run_id),
        "active_run": "none" if active is None else printable(active.run_id),
    }
    if proposal.is_newest_active(registry_id):
        return ActiveResult(True, "the newest build is active", facts)
    if active is not None and (newest is None or (obstacle is not None and obstacle.code == "ACTIVATE_OLDER")):
        return ActiveResult(True, "the active run is newer than every build that Dagster knows", facts)
    return None if obstacle is None else _make_failed_result(obstacle, facts)


def _make_failed_result(obstacle: Obstacle, facts: Mapping[str, str]) -> ActiveResult:
    description = f"the newest build is not active: {obstacle.reason}. Next: {obstacle.next_step}"
    return ActiveResult(False, printable(description), {**facts, "next_step": printable(obstacle.next_step)})


def make_active_checks(
    catalog: Catalog, location: Location, condition: AutomationCondition[Any] | None
) -> AssetChecksDefinition:
    """Return the checks `active`, for an execution by hand and every hour; they explain the same as the sensor.

    A registry of which nothing can be said now has no result. The condition says when Dagster starts them by itself.
    """
    specs = [
        AssetCheckSpec(
            ACTIVE_CHECK,
            asset=location.key(registry_id),
            description="The newest build is the active run. The activation sensor writes it when its result changes.",
            automation_condition=condition,
        )
        for registry_id in catalog.with_pointer
    ]

    @multi_asset_check(name="check_active", specs=specs, can_subset=True)
    def check_active(
        context: AssetCheckExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            proposal = propose(repository.instance, repository.load_in_run(context.run.run_id))
        selected = {find_registry_id(key.asset_key) for key in context.selected_asset_check_keys}
        for registry_id in sorted(selected):
            result = describe_active(proposal, registry_id)
            if result is not None:
                yield AssetCheckResult(
                    passed=result.passed,
                    asset_key=location.key(registry_id),
                    check_name=ACTIVE_CHECK,
                    severity=AssetCheckSeverity.WARN,
                    description=result.description,
                    metadata=dict(result.facts),
                )

    return check_active


def list_changed_checks(instance: DagsterInstance, proposal: Proposal) -> list[AssetCheckEvaluation]:
    """Return the results of `active` that differ from the newest one in the event log, whose writer may be another."""
    events = []
    for registry_id, newest in proposal.newest.items():
        result = describe_active(proposal, registry_id)
        if result is None:
            continue
        event = _make_active_event(newest, result)
        if not event_log.is_newest_result(instance, event):
            events.append(event)
    return events


def _make_active_event(newest: Materialization, result: ActiveResult) -> AssetCheckEvaluation:
    return event_log.make_check_event(
        newest, ACTIVE_CHECK, passed=result.passed, description=result.description, metadata=dict(result.facts)
    )


def list_refused_checks(
    instance: DagsterInstance, location: Location, refused: Mapping[str, Obstacle], requested: Mapping[str, SealedRef]
) -> list[AssetCheckEvaluation]:
    """Return a failed check `active` for each registry whose newest build was refused."""
    events = []
    for registry_id, obstacle in refused.items():
        for newest in event_log.read_materializations(instance, location.key(registry_id), limit=1):
            if newest.sealed is not None and newest.sealed.ref == requested[registry_id]:
                facts = {"newest_build": printable(requested[registry_id].run_id)}
                events.append(_make_active_event(newest, _make_failed_result(obstacle, facts)))
    return events


_POINTER_CHECKS: Final = {
    "pointer_file": "The pointer file has its form, and every pointer names a run of its registry.",
    "chain": "The pointer file has the state of the last activation record, and every record verifies.",
    "active_seals": "Every active run exists, verifies now, and has the root hash that the pointer names.",
    "consistency": "Every active run was built from runs that are active, too.",
}
_SEAL_CODES: Final = frozenset({"POINTER_RUN_MISSING", "POINTER_SEAL_INVALID", "POINTER_ROOT_MISMATCH"})


def make_pointer_checks(location: Location, clock: Callable[[], datetime]) -> AssetChecksDefinition:
    """Return the checks of the pointers asset; `clock` returns the present."""
    pointers = location.key(POINTERS_ASSET)
    specs = [AssetCheckSpec(name, asset=pointers, description=text) for name, text in _POINTER_CHECKS.items()]

    @multi_asset_check(name="check_active_registry_pointers", specs=specs, can_subset=True)
    def check_pointers(
        context: AssetCheckExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            loaded = repository.load_in_run(context.run.run_id)
            inspection = pipeline_inspect.inspect(loaded, start_build_run(loaded, clock(), context.run.run_id))
        selected = {key.name for key in context.selected_asset_check_keys}
        for name in _POINTER_CHECKS:
            if name in selected:
                yield _make_pointer_result(pointers, name, inspection)

    return check_pointers


def _make_pointer_result(key: AssetKey, name: str, inspection: Inspection) -> AssetCheckResult:
    findings = [finding for finding in inspection.findings if _select_pointer_check(finding) == name]
    facts: dict[str, Any] = {"active_registries": len(inspection.active), "findings_count": len(findings)}
    # Without an active run there is nothing to verify, which is no success. A mixed input is a warning, but it is what
    # this check is about.
    passed = bool(inspection.active) and not has_errors(findings) and (name != "consistency" or not findings)
    # Without a record there is no state with which the pointer file could be compared.
    passed = passed and (name != "chain" or inspection.chain.head is not None)
    facts |= metadata.make_findings_metadata(findings)
    return AssetCheckResult(
        passed=passed,
        asset_key=key,
        check_name=name,
        severity=AssetCheckSeverity.ERROR if has_errors(findings) else AssetCheckSeverity.WARN,
        description=printable(_summarize(inspection, findings)),
        metadata=facts,
    )


def _summarize(inspection: Inspection, findings: Sequence[Finding]) -> str:
    """Return the first findings, errors before others, each with its next step."""
    if not findings:
        return "no findings" if inspection.active else f"no run is active: nothing to check. Next: launch {REBUILD_JOB}"
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    lines = [f"{_name_subject(inspection, f)}: {f.code}: {f.message}. Next: {f.hint}" for f in ordered]
    return list_some(lines, "; ")


def _name_subject(inspection: Inspection, finding: Finding) -> str:
    """Return the registry and run whose pointer or folder a finding is about, else the last part of its path."""
    for registry_id, active in inspection.active.items():
        if finding.path == active.ref.path or finding.path.startswith(f"{active.ref.path}/"):
            return f"{registry_id} {active.ref.run_id}"
    # A finding in the pointer file has the location /pointers/N/...
    parts, entries = (finding.location or "").split("/"), inspection.pointer_file.document.get("pointers")
    if parts[:2] == ["", "pointers"] and parts[2:] and parts[2].isdecimal() and isinstance(entries, list):
        entry: Any = next(iter(entries[int(parts[2]) :]), None)
        if has_registry_id(entry):
            active_run = inspection.active.get(entry["registry_id"])
            return str(entry["registry_id"]) + ("" if active_run is None else f" {active_run.ref.run_id}")
    return finding.path.rsplit("/", 1)[-1]


def _select_pointer_check(finding: Finding) -> str:
    """Return the check to which a finding about pointers, chain or active runs belongs."""
    family = family_of(finding)
    if finding.code == "POINTER_INPUTS_MIXED":
        return "consistency"
    if family == "chain":
        return "chain"
    return "pointer_file" if family == "pointer" and finding.code not in _SEAL_CODES else "active_seals"
