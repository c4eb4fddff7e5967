"""The entries of `log`, and the builds of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.pointers.chain import ACTIVATION_TAG, SealedRecord
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.seal_build import make_builder_name
from registry_pipeline.registries.base.sealed_input import make_sealed_run
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.runs.envelope import is_foreign, stated_repository_id
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.scan import RunFolder, find_dated_runs, list_run_folders, read_run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type


def read_log(repository: Repository, registry_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the activations and builds of one registry, or of all, the newest first, at most `limit` (0: all).

    Each is an entry of `records` in the document of `log`. Builds are not verified: root and commit are as stated.
    """
    catalog = catalog_of(repository)
    specs = catalog.registries.values() if registry_id is None else [catalog.spec_of(registry_id)]
    by_tag = {spec.tag: spec.registry_id for spec in specs if spec.tag and spec.registry_id != ACTIVATION_TAG}
    listing = list_run_folders(repository, repository.config.run_roots, by_tag)
    entries: list[dict[str, Any]] = [
        {
            "kind": "build",
            "run_id": folder.run_id,
            "run_root": folder.run_root,
            "created_utc": utc_text(run_id.stamp),
            "registry_id": by_tag[run_id.tag],
            "root_sha256": None,
            "seal": folder.seal,
            "git_commit": None,
        }
        for run_id, folder in find_dated_runs(listing, by_tag)
    ]
    records = read_chain_state(repository).records
    entries += [_activation_to_json(r) for r in records if registry_id is None or r.moves_of(registry_id)]
    key = partial(_make_sort_key, _count_builds_before(records), catalog.positions)
    newest = sorted(entries, key=key, reverse=True)[: limit or None]
    # Only the folders of printed entries are read.
    return [
        entry | _read_unverified_facts(repository, entry) if entry["kind"] == "build" else entry for entry in newest
    ]


def _activation_to_json(record: SealedRecord) -> dict[str, Any]:
    """Return an activation record as an entry; `registry_id` is None if it moves several registries."""
    # An activation can move several registries.
    moved = {move.registry_id for move in record.record.moves}
    return {"kind": "activation", "registry_id": moved.pop() if len(moved) == 1 else None} | record.to_json()


def _count_builds_before(records: Sequence[SealedRecord]) -> dict[str, int]:
    """Return for each activation record, by run id, how many builds of its second there were before it."""
    # The number of a run counts the builds of its second; that of an activation record does not. A record comes after
    # the runs that it moves a pointer to, and after the record before it.
    counts: dict[str, int] = {}
    second, number = "", 1
    for sealed in records:
        moved = [RunId.parse(move.to_ref.run_id) for move in sealed.record.moves if move.to_ref is not None]
        numbers = [run_id.number for run_id in moved if run_id is not None]
        number = max(number if sealed.created_utc == second else 1, *numbers, 1)
        second = sealed.created_utc
        counts[sealed.ref.run_id] = number
    return counts


def _make_sort_key(
    builds: Mapping[str, int], positions: Mapping[str, int], entry: Mapping[str, Any]
) -> tuple[str, int, bool, int, str]:
    # Within one second: builds in their order, each followed by the activation that activated it.
    if entry["kind"] == "activation":
        return entry["created_utc"], builds[entry["run_id"]], True, 0, entry["run_id"]
    run_id = RunId.parse(entry["run_id"])
    number = 1 if run_id is None else run_id.number
    return entry["created_utc"], number, False, positions[entry["registry_id"]], entry["run_id"]


def _read_unverified_facts(repository: Repository, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return `root_sha256` and `git_commit` as the folder of a build states them; {} if it cannot be read."""
    run = read_run_folder(repository.root, entry["run_root"], entry["run_id"])
    if run is None:
        return {}
    # `git_commit` may be any JSON value: accept nothing but a string.
    commit = run.envelope.get("git_commit")
    return {"root_sha256": run.claimed_root, "git_commit": commit if isinstance(commit, str) else None}


@value_type
class BuildGroupMember:
    """One run folder of a build; `partition` is the day that it describes, None unless the registry is daily."""

    registry_id: str
    partition: str | None
    folder: RunFolder


@value_type
class BuildGroup:
    """The run folders that builds of one start time (`stamp`, in UTC) sealed, in the order of catalog and day."""

    stamp: datetime
    members: tuple[BuildGroupMember, ...]

    @property
    def registry_ids(self) -> tuple[str, ...]:
        """The registries of the group, without duplicates, in the order of the members."""
        return tuple(dict.fromkeys(member.registry_id for member in self.members))

    def find_missing_dependants(self, catalog: Catalog) -> tuple[str, ...]:
        """Return the registries that depend on one of the group and are not in it; none if the group is complete."""
        # The CLI seals in dependency order, so an interrupted build lacks registries at the end.
        present = set(self.registry_ids)
        return tuple(
            spec.registry_id
            for spec in catalog.build_order
            if spec.registry_id not in present and not present.isdisjoint(spec.depends_on)
        )


def list_build_groups(repository: Repository, after: datetime | None = None) -> Iterator[BuildGroup]:
    """Yield the groups that the CLI sealed (later than `after`), the newest first; no folder is verified."""
    # (1) Group the run folders by the start of their build, which is in the run id.
    catalog = catalog_of(repository)
    buildable = [spec for spec in catalog.registries.values() if spec.builder is not None or spec.kind == "rendered"]
    specs = {spec.tag: spec.registry_id for spec in buildable if spec.tag}
    listing = list_run_folders(repository, repository.config.run_roots, specs)
    by_stamp: dict[datetime, dict[tuple[str, str | None], RunFolder]] = {}
    for run_id, folder in find_dated_runs(listing, specs):
        if after is None or run_id.stamp > after:
            by_stamp.setdefault(run_id.stamp, {})[specs[run_id.tag], run_id.partition] = folder
    # (2) Read run.json of one group at a time: the caller usually needs the newest groups only.
    for stamp, folders in sorted(by_stamp.items(), reverse=True):
        members = [BuildGroupMember(*key, folder) for key, folder in folders.items()]
        members.sort(key=lambda member: (catalog.positions[member.registry_id], member.partition or ""))
        cli_members = tuple(member for member in members if _is_cli_build(repository, member))
        if cli_members:
            yield BuildGroup(stamp, cli_members)


def _is_cli_build(repository: Repository, member: BuildGroupMember) -> bool:
    """Return whether run.json names the builder of the registry, but neither another repository nor a Dagster run."""
    envelope = read_run_json(repository.path(member.folder.path))
    if envelope is None or "dagster_run_id" in envelope:
        return False
    if is_foreign(stated_repository_id(envelope), repository.config.repository_id):
        return False
    builder = envelope.get("builder")
    return isinstance(builder, dict) and builder.get("name") == make_builder_name(member.registry_id)


def verify_build_group(
    repository: Repository, group: BuildGroup
) -> Iterator[tuple[BuildGroupMember, SealedRun, SealReport]]:
    """Verify each member of a group and yield it with its run (an invalid one has the claimed root) and seal report."""
    for member in group.members:
        spec, folder = catalog_of(repository).registries[member.registry_id], member.folder
        report = verify_referenced_run(
            repository, SealedRef(folder.run_id, folder.run_root, spec.relpath, ""), spec.artifacts
        )
        scanned = read_run_folder(repository.root, folder.run_root, folder.run_id)
        # A folder that does not verify is reported too, under the root that it claims: its checks then fail.
        root = report.root_sha256 or (None if scanned is None else scanned.claimed_root) or "none"
        ref = SealedRef(folder.run_id, folder.run_root, spec.relpath, root)
        yield member, make_sealed_run(member.registry_id, ref, report), report
