"""What `log` tells: activations and builds in one list, the newest first (SPEC 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import utc_text
from registry_pipeline.pointers.moves import ActivationEntry
from registry_pipeline.pointers.record import ACTIVATION_TAG
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.listing import RunListing, SealState, dated_runs
from registry_pipeline.runs.scan import read_run_folder
from registry_pipeline.values import value_type


@value_type
class BuildEntry:
    """One run folder of a registry, told by its name; the root is as claimed, and nothing of it was verified."""

    registry_id: str
    run_root: str
    run_id: str
    created_utc: str
    seal: SealState
    root_sha256: str | None = None
    git_commit: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one entry of the document."""
        return {
            "kind": "build",
            "run_id": self.run_id,
            "run_root": self.run_root,
            "created_utc": self.created_utc,
            "registry_id": self.registry_id,
            "root_sha256": self.root_sha256,
            "seal": self.seal,
            "git_commit": self.git_commit,
        }


LogEntry = ActivationEntry | BuildEntry


def log_entries(
    listing: RunListing,
    activations: Iterable[ActivationEntry],
    specs: Mapping[str, RegistrySpec],
    registry_id: str | None = None,
) -> tuple[LogEntry, ...]:
    """Return the activations and the builds of one registry, or of all, the newest first.

    At one second an activation stands above the builds that it put in force.
    """
    by_tag = {
        spec.tag: name
        for name, spec in specs.items()
        if spec.tag and name != ACTIVATION_TAG and registry_id in (None, name)
    }
    builds = [
        BuildEntry(by_tag[run_id.tag], folder.run_root, folder.run_id, utc_text(run_id.stamp), folder.seal)
        for run_id, folder in dated_runs(listing, by_tag)
    ]
    moves = [entry for entry in activations if registry_id is None or entry.moves_of(registry_id)]
    return tuple(sorted((*builds, *moves), key=partial(_moment, list(specs)), reverse=True))


def _moment(order: Sequence[str], entry: LogEntry) -> tuple[str, bool, int, str]:
    """Return what sorts entries as they came about: within one second by registry, activations behind builds."""
    if isinstance(entry, ActivationEntry):
        return entry.created_utc, True, 0, entry.ref.run_id
    return entry.created_utc, False, order.index(entry.registry_id), entry.run_id


def with_claims(root: Path, entry: LogEntry) -> LogEntry:
    """Return a build with the root and commit that its folder claims; an activation as it is."""
    if isinstance(entry, ActivationEntry):
        return entry
    run = read_run_folder(root, entry.run_root, entry.run_id)
    if run is None:
        return entry
    commit = run.envelope.get("git_commit")
    return BuildEntry(
        registry_id=entry.registry_id,
        run_root=entry.run_root,
        run_id=entry.run_id,
        created_utc=entry.created_utc,
        seal=entry.seal,
        root_sha256=run.claimed_root,
        git_commit=commit if isinstance(commit, str) else None,
    )


def entry_to_json(entry: LogEntry) -> dict[str, Any]:
    """Return an entry with its kind; an activation belongs to a registry where it moved one alone."""
    if isinstance(entry, BuildEntry):
        return entry.to_json()
    moved = {move.registry_id for move in entry.record.moves}
    return {"kind": "activation", "registry_id": moved.pop() if len(moved) == 1 else None} | entry.to_json()
