"""Activate validated runs, and explain why the newest run of a registry is not active."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import is_sha256
from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.plan import (
    ActivationRequest,
    ActivationState,
    Candidate,
    InconsistentInput,
    PlanResult,
    find_inconsistent_inputs,
    find_obstacles,
    make_mixed_finding,
    plan_activation,
)
from registry_pipeline.pointers.state import read_activation_state, read_chain_state
from registry_pipeline.pointers.transaction import ChangeRequest, change_pointers
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.sealed_input import find_main_artifact, make_sealed_run
from registry_pipeline.registries.catalog import catalog_of, select_with_dependants
from registry_pipeline.registries.run_registry.build import accept_removed
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope import Inputs, stated_repository_id
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.pointer_file import read_pointers, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import RunFolder, RunListing, find_dated_runs, read_run_folder
from registry_pipeline.runs.sealed_run import Activation, Refusal, RunVerdict, SealedRun, Verdict
from registry_pipeline.values import replace, value_type

ValidatedRun = tuple[SealedRun, Verdict]
_PROGRAM: Final = "registry-pipeline"


def select_activatable(
    repository: Repository, validated: Sequence[ValidatedRun]
) -> tuple[tuple[ValidatedRun, ...], tuple[Finding, ...]]:
    """Return the runs that can be activated together, and a warning for each run that cannot.

    Only decisions of an operator and consistency matter here. Every other obstacle makes the activation itself fail.
    """
    # Only a proposal: the activation itself reads the active runs again, under its lock.
    chain, pointers = read_chain_state(repository, from_checkpoint=True), read_pointers(repository)
    state = read_activation_state(repository, chain, pointers, from_memo=True)
    findings: list[Finding] = []
    proposed: dict[str, ValidatedRun] = {}
    for run, verdict in validated:
        obstacles = find_obstacles(Candidate(run, verdict), state)
        decisions = [f for f in obstacles if f.code in ("ACTIVATE_MARKED_BAD", "ACTIVATE_ROLLED_BACK")]
        findings += decisions[:1]
        if not decisions:
            proposed[run.registry_id] = run, verdict
    # Consistency is checked last: a run that is not proposed must not count as active.
    runs = {name: run for name, (run, _) in proposed.items()}
    blocked = find_blocked_candidates(runs, state.active, state.specs, state.disabled)
    findings += [make_mixed_finding(edge, proposed[name][0].ref) for name, edge in blocked.items()]
    selected = tuple(pair for name, pair in proposed.items() if name not in blocked)
    return selected, sorted_findings(replace(obstacle, severity=Severity.WARNING) for obstacle in findings)


def find_blocked_candidates(
    candidates: Mapping[str, SealedRun],
    active: Mapping[str, SealedRun],
    specs: Mapping[str, RegistrySpec],
    disabled: frozenset[str] = frozenset(),
) -> Mapping[str, InconsistentInput]:
    """Return the candidates that cannot be activated, each with the reason; all others can be activated together."""
    # Removing one candidate can make another inconsistent, so remove them one by one until none is. For the runs of
    # one build this leaves the largest set that can be activated.
    blocked: dict[str, InconsistentInput] = {}
    while True:
        remaining = {name: run for name, run in candidates.items() if name not in blocked}
        changed = frozenset(
            name for name, run in remaining.items() if name not in active or active[name].ref != run.ref
        )
        edges = find_inconsistent_inputs({**active, **remaining}, specs)
        edge = next((edge for edge in edges if edge.touches(changed, disabled)), None)
        if edge is None:
            return blocked
        # The depending run is removed if it would change; otherwise it stays active and its upstream cannot change.
        blocked[edge.registry_id if edge.registry_id in changed else edge.upstream_id] = edge


def activate(
    repository: Repository,
    run: BuildRun,
    validated: Sequence[ValidatedRun],
    *,
    actor: str,
    reason: str,
    allow_mixed: bool = False,
    allow_foreign: bool = False,
    dry_run: bool = False,
) -> Activation | Refusal | None:
    """Activate these runs in one change with a sealed record; None without runs, or if all are active already.

    With `dry_run` nothing is written, and the result is that of the change.
    `run.started` is the time of the activation. Errors are those of `change_pointers` and `plan_activation`; BusyError
    also if the runs were validated with different pointer files.
    """
    if not validated:
        return None
    # A verdict can depend on the active runs, so it is valid only for the pointer file of its time.
    hashes = {verdict.pointer_sha256 for _, verdict in validated}
    if len(hashes) != 1:
        raise BusyError("the pointer file changed between the validations; nothing changed", "validate the runs again")
    candidates = tuple(Candidate(*pair) for pair in validated)
    request = ChangeRequest(actor, reason, candidates, allow_mixed, allow_foreign, dry_run)
    return change_pointers(repository, run, hashes.pop(), request, _plan_request)


def _plan_request(request: ActivationRequest, _pointers: bytes, _chain: ChainState) -> PlanResult:
    return plan_activation(request)


def validate_found_run(
    repository: Repository, registry_id: str, found: FoundRun, *, accept_losses: bool = False
) -> ValidatedRun | Refusal:
    """Verify and validate a run; return it with its verdict, whatever that is, or a refusal if it has no root hash.

    With `accept_losses` removed runs do not make a run_registry fail; the activation record counts them.
    """
    spec = catalog_of(repository).spec_of(registry_id)
    run_root = found.run_root or _find_run_root(repository, Path(found.path))
    report = verify_referenced_run(repository, SealedRef(found.run_id, run_root, None, ""))
    # Without a root hash there is nothing that a verdict could be bound to.
    if report.root_sha256 is None:
        refused = finding("ACTIVATE_NOT_VERIFIED", report.path, detail=report.verdict)
        return Refusal(sorted_findings((refused, *report.findings)))
    relpath = find_main_artifact(spec, [entry.relpath for entry in report.entries]) or spec.relpath
    sealed = make_sealed_run(registry_id, SealedRef(found.run_id, run_root, relpath, report.root_sha256), report)
    verdict = validate(repository, sealed)
    return sealed, accept_removed(verdict) if accept_losses else verdict


def _find_run_root(repository: Repository, folder: Path) -> str:
    """Return the run root that contains a folder, else its parent, which the plan refuses."""
    parent = Path(os.path.abspath(folder)).parent  # noqa: PTH100 - resolve() would follow a linked run folder
    matches = (r for r in repository.config.run_roots if repository.path(r).resolve() == parent.resolve())
    return next(matches, str(parent))


@value_type
class Obstacle:
    """Why a run is not active, and the command to run next ("" if there is none)."""

    because: str
    next_command: str = ""


def find_newest_runs(
    listing: RunListing, specs: Mapping[str, RegistrySpec], *, not_after: datetime | None = None
) -> dict[str, RunFolder]:
    """Return the newest run folder of each registry, by the time and the tag in its name, if not after a moment."""
    by_tag = {spec.tag: name for name, spec in specs.items() if spec.tag}
    dated = find_dated_runs(listing, by_tag)
    return {by_tag[run_id.tag]: folder for run_id, folder in dated if not_after is None or run_id.stamp <= not_after}


def read_claims(root: Path, folders: Mapping[str, RunFolder]) -> dict[str, Candidate]:
    """Return each folder as a candidate whose verdict is derived from file names and run.json; nothing is verified."""
    return {registry_id: _read_claim(root, registry_id, folder) for registry_id, folder in folders.items()}


def _read_claim(root: Path, registry_id: str, folder: RunFolder) -> Candidate:
    """Return a folder as a candidate; `pass` means sealed, with a readable run.json and a claimed root."""
    # Without a complete seal the run may still be written, so its files say nothing yet.
    sealed = folder.seal == "sealed"
    scanned = read_run_folder(root, folder.run_root, folder.run_id) if sealed else None
    claimed_root = "" if scanned is None else scanned.claimed_root or ""
    envelope = (read_run_json(root / folder.path) if sealed else None) or {}
    complete: RunVerdict = "pass" if envelope and is_sha256(claimed_root) else "fail"
    verdict = complete if folder.seal == "sealed" else folder.seal
    as_of = envelope.get("as_of_utc")
    ref = SealedRef(folder.run_id, folder.run_root, None, claimed_root)
    inputs = Inputs.from_json(envelope.get("inputs"))
    stated_id = stated_repository_id(envelope)
    return Candidate(
        SealedRun(registry_id, ref, inputs, as_of if isinstance(as_of, str) else ""),
        Verdict(folder.path, folder.run_id, registry_id, verdict, claimed_root, (), repository_id=stated_id),
    )


def explain_newest_runs(
    claims: Mapping[str, Candidate], state: ActivationState, *, pointers_valid: bool
) -> dict[str, Obstacle]:
    """Return for each registry why its newest run, which is not active, was not activated.

    `pointers_valid` is False if the pointer file or the chain has an error: then nothing can be activated.
    """
    own = {name: _explain_by_itself(claim, state, pointers_valid=pointers_valid) for name, claim in claims.items()}
    free = {name: claims[name].run for name, obstacle in own.items() if obstacle is None}
    joint = find_blocked_candidates(free, state.active, state.specs, state.disabled)
    return {name: reason or _explain_by_inputs(claims[name], joint.get(name), state) for name, reason in own.items()}


def _explain_by_itself(claim: Candidate, state: ActivationState, *, pointers_valid: bool) -> Obstacle | None:
    """Return the first obstacle that does not depend on other registries, or None."""
    # An unknown origin is only a warning, so it does not explain anything.
    name, run_id = claim.run.registry_id, claim.run.ref.run_id
    obstacles = [f for f in find_obstacles(claim, state) if f.code != "ACTIVATE_ORIGIN_UNKNOWN"]
    first = obstacles[0] if obstacles else None
    if first is not None and first.code == "ACTIVATE_NO_POINTER":
        # The registry table says why; the finding does not.
        return Obstacle(state.specs[name].excluded_because)
    if not pointers_valid:
        because = "the pointer file or the chain has an error; nothing can be activated until it is fixed"
        return Obstacle(because, f"{_PROGRAM} doctor")
    if first is None:
        return None
    if first.code == "ACTIVATE_NOT_VERIFIED" and claim.verdict.verdict == "fail":
        return Obstacle("run.json or the root hash of the run cannot be read", f"{_PROGRAM} verify {run_id}")
    if first.code == "ACTIVATE_FOREIGN":
        return Obstacle(first.message, f"{_PROGRAM} activate {name} {run_id} --allow-foreign --reason TEXT")
    return Obstacle(first.message, _name_build(name, state))


def _explain_by_inputs(claim: Candidate, edge: InconsistentInput | None, state: ActivationState) -> Obstacle:
    """Return the obstacle of a run that has none of its own: `edge`, another inconsistent input, or no request."""
    name, ref = claim.run.registry_id, claim.run.ref
    if edge is None:
        # It could be activated together with other candidates: explain what prevents activating it alone.
        edges = find_inconsistent_inputs({**state.active, name: claim.run}, state.specs)
        edge = next((edge for edge in edges if edge.touches(frozenset({name}))), None)
    if edge is None:
        because = "it was built with --only or --no-activate, or a check stopped its activation"
        return Obstacle(because, f"{_PROGRAM} activate {name} {ref.run_id} --reason TEXT")
    return Obstacle(make_mixed_finding(edge, ref).full_message, _name_build(edge.upstream_id, state))


def _name_build(registry_id: str, state: ActivationState) -> str:
    """Return the command that builds a registry and all that depends on it; all registries if it would be refused."""
    rows = select_with_dependants(state.specs.values(), [registry_id])
    # A captured registry without a run is left out by what is built from it.
    needed = {name for row in rows for name in row.depends_on if state.specs[name].kind != "captured"}
    is_possible = needed <= {*state.active, *(row.registry_id for row in rows)}
    return f"{_PROGRAM} build {registry_id}" if is_possible else f"{_PROGRAM} build"
