"""The document that `status` prints: each registry with its active run, and the state of the repository."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import parse_utc
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.inspect import Inspection
from registry_pipeline.pointers.consistency import can_be_active
from registry_pipeline.pointers.explain_inactive import Obstacle
from registry_pipeline.pointers.moves import ActivationEntry, find_activation
from registry_pipeline.registries.base.builder_inputs import SystemDrift
from registry_pipeline.registries.base.spec import Kind, RegistrySpec
from registry_pipeline.registries.base.staleness import OperationCounts
from registry_pipeline.registries.system_health.state import HealthState
from registry_pipeline.runs.listing import RunListing
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Verdict
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
    activations: Sequence[ActivationEntry],
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
    inspection: Inspection, activations: Sequence[ActivationEntry], name: str, ref: SealedRef
) -> ActiveStatus:
    pointer, entry = inspection.pointer_file.get(name), find_activation(activations, name, ref)
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
