"""Why the newest run of a registry is not the active one (SPEC 7): told from what it claims, never from its bytes.

Nothing here decides: `activate` verifies and judges anew. A claim that is false only makes the explanation wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import is_sha256
from registry_pipeline.pointers.consistency import (
    ActiveRun,
    InconsistentInput,
    blocked_candidates,
    can_be_active,
    find_inconsistent_inputs,
)
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import Inputs, is_foreign, stated_repository_id
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.listing import RunFolder, RunListing, dated_runs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import read_run_folder
from registry_pipeline.values import value_type

_PROGRAM: Final = "registry-pipeline"
_DOCTOR: Final = f"{_PROGRAM} doctor"


@value_type
class Obstacle:
    """Why, in a sentence, and the command to run next ("" where there is none)."""

    because: str
    next_command: str = ""


@value_type
class ActivationContext:
    """What the newest runs are compared with.

    `active` are the active runs whose folders are there; `settled` is False while a finding about the pointer file or
    the chain refuses every move; `marked_bad` maps run id to reason; `rolled_back_runs` are run ids that a rollback left.
    `repository_id` is this repository's, None where it has none.
    """

    active: Mapping[str, ActiveRun]
    settled: bool
    marked_bad: Mapping[str, str]
    rolled_back_runs: frozenset[str]
    repository_id: str | None = None


def newest_runs(listing: RunListing, specs: Mapping[str, RegistrySpec]) -> dict[str, RunFolder]:
    """Return the newest run folder of each registry by its name, which tells the moment and the registry's tag."""
    by_tag = {spec.tag: name for name, spec in specs.items() if spec.tag}
    return {by_tag[run_id.tag]: folder for run_id, folder in dated_runs(listing, by_tag)}


def read_claims(root: Path, folders: Mapping[str, RunFolder]) -> dict[str, ActiveRun]:
    """Return what each folder claims to be, by registry; one that claims no root or has no run.json is left out."""
    claims: dict[str, ActiveRun] = {}
    for registry_id, folder in folders.items():
        scanned = read_run_folder(root, folder.run_root, folder.run_id)
        envelope = read_run_json(root / folder.path)
        if scanned is None or envelope is None or not is_sha256(scanned.claimed_root):
            continue
        ref = SealedRef(folder.run_id, folder.run_root, None, scanned.claimed_root or "")
        as_of = envelope.get("as_of_utc")
        told = as_of if isinstance(as_of, str) else None
        inputs, stated_id = Inputs.from_json(envelope.get("inputs")), stated_repository_id(envelope)
        claims[registry_id] = ActiveRun(ref, inputs, told, stated_id)
    return claims


def explain_newest(
    newest: Mapping[str, RunFolder],
    claims: Mapping[str, ActiveRun],
    standing: ActivationContext,
    specs: Mapping[str, RegistrySpec],
) -> dict[str, Obstacle]:
    """Return the reason for each registry whose newest run is not active; those that are active have none."""
    waiting = {
        name: folder
        for name, folder in newest.items()
        if name not in standing.active or standing.active[name].ref.run_id != folder.run_id
    }
    alone = {
        name: _of_itself(name, folder, claims.get(name), standing, specs[name]) for name, folder in waiting.items()
    }
    candidates = {name: claims[name] for name, reason in alone.items() if reason is None}
    held = blocked_candidates(candidates, standing.active, specs)
    return {
        name: reason or _of_others(name, waiting[name], claims[name], held.get(name), standing, specs)
        for name, reason in alone.items()
    }


def _of_itself(
    name: str, folder: RunFolder, claim: ActiveRun | None, standing: ActivationContext, spec: RegistrySpec
) -> Obstacle | None:
    """Return what keeps a run back whatever else is active."""
    if not can_be_active(spec):
        return Obstacle(spec.excluded_because)
    build = f"{_PROGRAM} build {name}"
    if folder.seal != "sealed":
        return Obstacle("it is not sealed" if folder.seal == "unsealed" else "a part of its seal is missing", build)
    if folder.run_id in standing.marked_bad:
        return Obstacle(f"it is marked bad: {standing.marked_bad[folder.run_id]}", build)
    if claim is None:
        return Obstacle("its run.json or its root cannot be read", f"{_PROGRAM} verify {folder.run_id}")
    if not standing.settled:
        return Obstacle("the pointer file or the chain has an error, and until it is mended nothing moves", _DOCTOR)
    if is_foreign(claim.repository_id, standing.repository_id):
        because = f"it belongs to another repository, whose repository_id is {claim.repository_id}"
        return Obstacle(because, f"{_PROGRAM} activate {name} {folder.run_id} --allow-foreign --reason TEXT")
    if folder.run_id in standing.rolled_back_runs:
        return Obstacle("a rollback moved away from it; only `activate` puts it back", build)
    active = standing.active.get(name)
    if active is not None and claim.as_of_utc and active.as_of_utc and claim.as_of_utc < active.as_of_utc:
        return Obstacle(f"it describes an older instant than the active {active.ref.run_id}", build)
    return None


def _of_others(
    name: str,
    folder: RunFolder,
    claim: ActiveRun,
    held: InconsistentInput | None,
    standing: ActivationContext,
    specs: Mapping[str, RegistrySpec],
) -> Obstacle:
    """Return what the other active runs have to do with it; else all that can be told without judging it."""
    edge = held or _edge_alone(name, claim, standing, specs)
    if edge is None:
        because = "it was never put in force: it was built with --only or --no-activate, or a check stopped it"
        return Obstacle(because, f"{_PROGRAM} activate {name} {folder.run_id} --reason TEXT")
    first = edge.upstream_id if edge.registry_id == name else name
    return Obstacle(f"with it active, {edge.sentence()}", f"{_PROGRAM} build {first}")


def _edge_alone(
    name: str, claim: ActiveRun, standing: ActivationContext, specs: Mapping[str, RegistrySpec]
) -> InconsistentInput | None:
    """Return what a move of this run alone would mix, where it could move with others."""
    after = {**standing.active, name: claim}
    return next((e for e in find_inconsistent_inputs(after, specs) if e.touches(frozenset({name}))), None)
