"""The entries that `log` prints, and the builds of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.pointers.chain import ACTIVATION_TAG, SealedRecord
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import builder_name
from registry_pipeline.registries.base.sealed_input import sealed_run
from registry_pipeline.registries.catalog import BUILD_ORDER, REGISTRIES
from registry_pipeline.runs.envelope import is_foreign, stated_repository_id
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.listing import RunFolder, RunListing, SealState, find_dated_runs, list_run_folders
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import read_run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
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


LogEntry = SealedRecord | BuildEntry


def list_log_entries(
    listing: RunListing,
    activations: Iterable[SealedRecord],
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
        if isinstance(entry, SealedRecord):
            return entry.created_utc, True, 0, entry.ref.run_id
        return entry.created_utc, False, order.index(entry.registry_id), entry.run_id

    return tuple(sorted((*builds, *moves), key=sort_key, reverse=True))


def add_claims(root: Path, entry: LogEntry) -> LogEntry:
    """Return a build entry with the root and commit that its folder states; return an activation unchanged."""
    if isinstance(entry, SealedRecord):
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


_CATALOG_ORDER = {registry_id: number for number, registry_id in enumerate(REGISTRIES)}


@value_type
class BuildGroupMember:
    """One run folder of a build; `partition` is the day that it describes, None unless the registry is daily."""

    registry_id: str
    partition: str | None
    folder: RunFolder


@value_type
class BuildGroup:
    """The run folders of one build, in the order of catalog and day; `stamp` is the start of the build in UTC."""

    stamp: datetime
    members: tuple[BuildGroupMember, ...]

    @property
    def registry_ids(self) -> tuple[str, ...]:
        """The registries of the group, without duplicates."""
        return tuple(dict.fromkeys(member.registry_id for member in self.members))

    def missing(self) -> tuple[str, ...]:
        """Return the registries that depend on one of the group and are not in it; none if the group is complete."""
        # The CLI seals in dependency order, so an interrupted build lacks registries at the end.
        present = set(self.registry_ids)
        return tuple(
            spec.registry_id
            for spec in BUILD_ORDER
            if spec.registry_id not in present and not present.isdisjoint(spec.depends_on)
        )


def list_build_groups(repository: Repository, after: datetime | None = None) -> Iterator[BuildGroup]:
    """Yield the groups that the CLI sealed later than `after`, the newest first; no folder is verified."""
    # (1) Group the run folders by the start of their build, which is in the run id.
    buildable = [spec for spec in REGISTRIES.values() if spec.builder is not None or spec.kind == "rendered"]
    specs = {spec.tag: spec.registry_id for spec in buildable if spec.tag}
    listing = list_run_folders(repository.root, repository.config.run_roots)
    by_stamp: dict[datetime, dict[tuple[str, str | None], RunFolder]] = {}
    for run_id, folder in find_dated_runs(listing, specs):
        if after is None or run_id.stamp > after:
            by_stamp.setdefault(run_id.stamp, {})[specs[run_id.tag], run_id.partition] = folder
    # (2) Read run.json of one group at a time: the caller usually needs the newest groups only.
    for stamp, folders in sorted(by_stamp.items(), reverse=True):
        members = [BuildGroupMember(*key, folder) for key, folder in folders.items()]
        members.sort(key=lambda member: (_CATALOG_ORDER[member.registry_id], member.partition or ""))
        cli_members = tuple(member for member in members if _is_cli_build(repository, member))
        if cli_members:
            yield BuildGroup(stamp, cli_members)


def _is_cli_build(repository: Repository, member: BuildGroupMember) -> bool:
    """Return whether run.json names the builder of the registry, no other repository and no Dagster run."""
    envelope = read_run_json(repository.path(member.folder.path))
    if envelope is None or "dagster_run_id" in envelope:
        return False
    if is_foreign(stated_repository_id(envelope), repository.config.repository_id):
        return False
    builder = envelope.get("builder")
    return isinstance(builder, dict) and builder.get("name") == builder_name(member.registry_id)


def read_build_group(
    repository: Repository, group: BuildGroup
) -> Iterator[tuple[BuildGroupMember, SealedRun, SealReport]]:
    """Yield each member of a group with its run and seal report, recomputed from its bytes."""
    for member in group.members:
        spec, folder = REGISTRIES[member.registry_id], member.folder
        report = verify_referenced_run(
            repository, SealedRef(folder.run_id, folder.run_root, spec.relpath, ""), spec.artifacts
        )
        scanned = read_run_folder(repository.root, folder.run_root, folder.run_id)
        # A folder that does not verify is reported too, under the root that it claims: its checks then fail.
        root = report.root_sha256 or (None if scanned is None else scanned.claimed_root) or "none"
        ref = SealedRef(folder.run_id, folder.run_root, spec.relpath, root)
        yield member, sealed_run(member.registry_id, ref, report), report
