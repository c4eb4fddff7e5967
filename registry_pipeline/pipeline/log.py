"""The entries that `log` prints: activations and builds, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import utc_text
from registry_pipeline.pointers.moves import ActivationEntry
from registry_pipeline.pointers.record import ACTIVATION_TAG
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.listing import RunListing, SealState, find_dated_runs
from registry_pipeline.runs.scan import read_run_folder
from registry_pipeline.values import asdict, replace, value_type


@value_type
class BuildEntry:
    """One run folder of a registry. Root and commit are as its files state them: nothing is verified."""

    run_id: str
    run_root: str
    created_utc: str
    registry_id: str
    root_sha256: str | None
    seal: SealState
    git_commit: str | None


LogEntry = ActivationEntry | BuildEntry


def list_log_entries(
    listing: RunListing,
    activations: Iterable[ActivationEntry],
    specs: Mapping[str, RegistrySpec],
    registry_id: str | None = None,
) -> tuple[LogEntry, ...]:
    """Return the activations and builds of one registry, or of all, the newest first."""
    by_tag = {
        spec.tag: name
        for name, spec in specs.items()
        if spec.tag and name != ACTIVATION_TAG and registry_id in (None, name)
    }
    builds = [
        BuildEntry(
            run_id=folder.run_id,
            run_root=folder.run_root,
            created_utc=utc_text(run_id.stamp),
            registry_id=by_tag[run_id.tag],
            root_sha256=None,
            seal=folder.seal,
            git_commit=None,
        )
        for run_id, folder in find_dated_runs(listing, by_tag)
    ]
    # An activation can move several registries: it is an entry of each of them.
    moves = [entry for entry in activations if registry_id is None or entry.moves_of(registry_id)]
    order = list(specs)

    def sort_key(entry: LogEntry) -> tuple[str, bool, int, str]:
        # Within one second: builds in the order of the catalog, then the activation that activated them.
        if isinstance(entry, ActivationEntry):
            return entry.created_utc, True, 0, entry.ref.run_id
        return entry.created_utc, False, order.index(entry.registry_id), entry.run_id

    return tuple(sorted((*builds, *moves), key=sort_key, reverse=True))


def add_claims(root: Path, entry: LogEntry) -> LogEntry:
    """Return a build entry with the root and commit that its folder states; return an activation unchanged."""
    if isinstance(entry, ActivationEntry):
        return entry
    # `git_commit` is text that the folder states: accept nothing but a string.
    run = read_run_folder(root, entry.run_root, entry.run_id)
    if run is None:
        return entry
    commit = run.envelope.get("git_commit")
    return replace(entry, root_sha256=run.claimed_root, git_commit=commit if isinstance(commit, str) else None)


def entry_to_json(entry: LogEntry) -> dict[str, Any]:
    """Return an entry with its kind; an activation has a registry_id only if it moved a single registry."""
    if isinstance(entry, BuildEntry):
        return {"kind": "build"} | asdict(entry)
    moved = {move.registry_id for move in entry.record.moves}
    return {"kind": "activation", "registry_id": moved.pop() if len(moved) == 1 else None} | entry.to_json()
