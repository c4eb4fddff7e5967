"""What builds of the command line have sealed, set by set: the folders of one build run belong together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from registry_pipeline.config import Repository
from registry_pipeline.registries.base.seal_build import builder_name
from registry_pipeline.registries.base.sealed_input import sealed_run
from registry_pipeline.registries.catalog import BUILD_ORDER, REGISTRIES
from registry_pipeline.runs.envelope import is_foreign, stated_repository_id
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.listing import RunFolder, dated_runs, list_run_folders
from registry_pipeline.runs.pointer_file import read_report
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import read_run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type

_HISTORY = tuple(spec for spec in REGISTRIES.values() if spec.partitioned)
_SHOWN = (*BUILD_ORDER, *_HISTORY, *(spec for spec in REGISTRIES.values() if spec.kind == "rendered"))
_PLACE = {registry_id: place for place, registry_id in enumerate(REGISTRIES)}


@value_type
class BuildGroupMember:
    """One folder of a set; `partition` is the day that it describes, None but in history."""

    registry_id: str
    partition: str | None
    folder: RunFolder


@value_type
class BuildGroup:
    """The folders that one build run sealed, by catalog and day; `stamp` is its start, UTC."""

    stamp: datetime
    members: tuple[BuildGroupMember, ...]

    @property
    def registry_ids(self) -> tuple[str, ...]:
        """The registries in the set, each once."""
        return tuple(dict.fromkeys(member.registry_id for member in self.members))

    def missing(self) -> tuple[str, ...]:
        """Return the registries that are built from one of the set and are not in it; none in a whole set."""
        rest = [spec for spec in BUILD_ORDER if spec.registry_id not in self.registry_ids]
        return tuple(spec.registry_id for spec in rest if set(self.registry_ids) & set(spec.depends_on))


def list_build_groups(repository: Repository, after: datetime | None = None) -> Iterator[BuildGroup]:
    """Yield the sets that the command line sealed after a moment, the newest first.

    A folder is ours if its run.json says that we built that registry and names no other repository, and the command
    line's if it names no Dagster run. Nothing is verified here.
    """
    specs = {spec.tag: spec.registry_id for spec in _SHOWN if spec.tag}
    listing = list_run_folders(repository.root, repository.config.run_roots)
    by_stamp: dict[datetime, dict[tuple[str, str | None], RunFolder]] = {}
    for run_id, folder in dated_runs(listing, specs):
        if after is None or run_id.stamp > after:
            by_stamp.setdefault(run_id.stamp, {})[specs[run_id.tag], run_id.partition] = folder
    for stamp, folders in sorted(by_stamp.items(), reverse=True):
        members = [BuildGroupMember(*key, folder) for key, folder in folders.items()]
        members.sort(key=lambda member: (_PLACE[member.registry_id], member.partition or ""))
        ours = tuple(member for member in members if _is_ours(repository, member))
        if ours:
            yield BuildGroup(stamp, ours)


def _is_ours(repository: Repository, member: BuildGroupMember) -> bool:
    envelope = read_run_json(repository.path(member.folder.path))
    if envelope is None or "dagster_run_id" in envelope:
        return False
    if is_foreign(stated_repository_id(envelope), repository.config.repository_id):
        return False
    builder = envelope.get("builder")
    return isinstance(builder, dict) and builder.get("name") == builder_name(member.registry_id)


def read_build_group(
    repository: Repository, one: BuildGroup
) -> Iterator[tuple[BuildGroupMember, SealedRun, SealReport]]:
    """Yield each member of a set as the run that its bytes are now, with the bytes of its artifacts.

    A folder that does not verify is told as well, under the root that it has or claims: its checks will fail.
    """
    for member in one.members:
        spec, folder = REGISTRIES[member.registry_id], member.folder
        report = read_report(repository, SealedRef(folder.run_id, folder.run_root, spec.relpath, ""), spec.artifacts)
        scanned = read_run_folder(repository.root, folder.run_root, folder.run_id)
        root = report.root_sha256 or (None if scanned is None else scanned.claimed_root) or "none"
        ref = SealedRef(folder.run_id, folder.run_root, spec.relpath, root)
        yield member, sealed_run(member.registry_id, ref, report), report
