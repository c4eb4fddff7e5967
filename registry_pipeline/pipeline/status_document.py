"""What `status` tells (SPEC 6 and 7): for every registry what is active and why, and the state of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import parse_utc
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.values import GitState
from registry_pipeline.pointers.consistency import ActiveRun, can_be_active
from registry_pipeline.pointers.explain_inactive import Obstacle
from registry_pipeline.pointers.moves import ActivationEntry, activation_of
from registry_pipeline.pointers.record import ACTIVATION_TAG
from registry_pipeline.registries.base.spec import Kind, RegistrySpec
from registry_pipeline.registries.base.staleness import OperationCounts
from registry_pipeline.registries.base.values import SystemDrift
from registry_pipeline.registries.system_health.state import HealthState
from registry_pipeline.runs.listing import RunFolder, RunListing
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import asdict, fields, value_type

Judgement = Literal["pass", "fail", "missing"]
_DAY_SECONDS: Final = 86400


@value_type
class StatusFacts:
    """All that was read for one `status`.

    `active` are the active runs whose folders are there, `verdicts` those on them. `reasons` say why a newest run is
    not active. `operations` and `drift` are None where no status table or drift signals are active and readable.
    """

    root: Path
    now: datetime
    git: GitState
    specs: Mapping[str, RegistrySpec]
    listing: RunListing
    pointers: PointerFile
    active: Mapping[str, ActiveRun]
    verdicts: Mapping[str, Verdict]
    activations: tuple[ActivationEntry, ...]
    newest: Mapping[str, RunFolder]
    reasons: Mapping[str, Obstacle]
    operations: OperationCounts | None
    drift: SystemDrift | None
    health: HealthState
    findings: tuple[Finding, ...]


@value_type
class ActiveStatus:
    """The run that a pointer names; actor and reason are None where the pointer is older than the chain."""

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
    """One registry: what is active, whether it holds, what is newest and why that is not active.

    `pointer` tells whether a snapshot of it can be active at all.
    `seal` and `schema` are None where nothing is active; `missing` tells that the active run's folder is not there.
    `age_days` are whole days since the instant that the active run describes.
    """

    registry_id: str
    kind: Kind
    pointer: bool
    active: ActiveStatus | None
    seal: Judgement | None
    schema: Judgement | None
    age_days: int | None
    newest_run_id: str | None
    newest_not_active: Obstacle | None

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `registries` in the document."""
        reason = self.newest_not_active
        return {
            "registry_id": self.registry_id,
            "kind": self.kind,
            "active": None if self.active is None else self.active.to_json(),
            "seal": self.seal,
            "schema": self.schema,
            "newest_run_id": self.newest_run_id,
            "newest_not_active_because": None if reason is None else reason.because,
            "next_command": (reason.next_command or None) if reason is not None else None,
            "age_days": self.age_days,
        }


@value_type
class StatusDocument:
    """The answer of `status`, whole."""

    facts: StatusFacts
    registries: tuple[RegistryStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `status --json`."""
        facts = self.facts
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
            "operations": _operations(facts.operations),
            "system_drift": None if facts.drift is None else asdict(facts.drift),
            "health_state": facts.health.state,
            "health_conditions": [{"state": c.state, "reason": c.reason} for c in facts.health.conditions],
            "findings": [finding.to_json() for finding in facts.findings],
        }


def _operations(counts: OperationCounts | None) -> dict[str, int | None]:
    return {name: None if counts is None else getattr(counts, name) for name in fields(OperationCounts)}


def status_document(facts: StatusFacts) -> StatusDocument:
    """Return the document: every registry of the table but the activation records, in the table's order."""
    told = (spec for spec in facts.specs.values() if spec.registry_id != ACTIVATION_TAG)
    return StatusDocument(facts, tuple(_registry(facts, spec) for spec in told))


def _registry(facts: StatusFacts, spec: RegistrySpec) -> RegistryStatus:
    name = spec.registry_id
    ref = facts.pointers.active(name)
    newest = facts.newest.get(name)
    run = facts.active.get(name)
    return RegistryStatus(
        registry_id=name,
        kind=spec.kind,
        pointer=can_be_active(spec),
        active=None if ref is None else _active(facts, name, ref),
        seal=None if ref is None else _seal(facts.verdicts.get(name), ref),
        schema=None if ref is None else _schema(facts.verdicts.get(name)),
        age_days=None if run is None else _age(run.as_of_utc, facts.now),
        newest_run_id=None if newest is None else newest.run_id,
        newest_not_active=facts.reasons.get(name),
    )


def _active(facts: StatusFacts, name: str, ref: SealedRef) -> ActiveStatus:
    pointer, entry = facts.pointers.get(name), activation_of(facts.activations, name, ref)
    asof = None if pointer is None or parse_utc(pointer.asof_utc) is None else pointer.asof_utc
    if entry is None:
        return ActiveStatus(ref, asof, None, None)
    return ActiveStatus(ref, asof, entry.record.actor or None, entry.record.reason or None)


def _seal(verdict: Verdict | None, ref: SealedRef) -> Judgement:
    """Return whether the seal holds and is the one that the pointer names."""
    if verdict is None:
        return "missing"
    broken = verdict.verdict in ("unsealed", "partial") or any(family_of(f) == "seal" for f in verdict.errors())
    return "fail" if broken or verdict.root_sha256 != ref.manifest_sha256 else "pass"


def _schema(verdict: Verdict | None) -> Judgement:
    if verdict is None:
        return "missing"
    if verdict.verdict in ("unsealed", "partial"):
        return "fail"
    return "fail" if any(family_of(f) == "schema" for f in verdict.errors()) else "pass"


def _age(as_of_utc: str | None, now: datetime) -> int | None:
    instant = parse_utc(as_of_utc)
    return None if instant is None else int((now - instant).total_seconds() // _DAY_SECONDS)
