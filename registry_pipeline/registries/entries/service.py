"""The registry entries as commands use them: lock, plan, judge, write (SPEC 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.files.atomic_write import read_own_file
from registry_pipeline.files.transaction import Recovery, StageFolder, hold_stage, recover, write_files
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.claims import artifacts_in
from registry_pipeline.registries.base.tracked_files import check_tracked_files, file_pathspecs
from registry_pipeline.registries.entries import (
    ABILITY_REGISTRY_SPEC,
    HOOK_REGISTRY_SPEC,
    MODULE_REGISTRY_SPEC,
    ROUTE_REGISTRY_SPEC,
)
from registry_pipeline.registries.entries.change_plan import (
    Change,
    ChangeRequest,
    choose_type,
    find_type,
    plan_addition,
    plan_removal,
)
from registry_pipeline.registries.entries.documents import check_documents, entry_files
from registry_pipeline.registries.entries.file_edits import NewEntry
from registry_pipeline.registries.entries.library import Library, contents_of, read_entry_files, read_library
from registry_pipeline.registries.entries.read import entry_pathspecs
from registry_pipeline.registries.entries.rules import check_contents, rules
from registry_pipeline.registries.entries.schemas import read_schemas
from registry_pipeline.registries.entries.types import FAMILIES, FAMILY_OF
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import YamlNode
from registry_pipeline.yaml.document import MAX_BYTES

__all__ = [
    "FAMILIES",
    "ChangeRequest",
    "GivenEntry",
    "Recovery",
    "WriteResult",
    "add_entries",
    "check_coordination",
    "check_entries",
    "find_type",
    "initialise_entries",
    "read_entries",
    "remove_entries",
    "rules",
]
_SPECS: Final = {
    spec.registry_id: spec
    for spec in (ABILITY_REGISTRY_SPEC, HOOK_REGISTRY_SPEC, MODULE_REGISTRY_SPEC, ROUTE_REGISTRY_SPEC)
}
WAIT_SECONDS: Final = 30.0
"""How long a command waits for another one that changes registry entries."""


@value_type
class GivenEntry:
    """An entry as it was given: the name of its type or family, its values, where they come from, and their places."""

    type_name: str
    value: object
    origin: str
    node: YamlNode | None = None


@value_type
class WriteResult:
    """What became of a change: its plan, whether it was written, and what was settled of an older one before."""

    change: Change
    written: bool
    settled: Recovery | None


def stage_folder(repository: Repository) -> StageFolder:
    """Return where changes of registry entries are staged: beside publish_root, and no evidence."""
    return StageFolder(repository.root, repository.state_root / "entries", "change of registry entries", MAX_BYTES)


def read_entries(repository: Repository) -> tuple[Library, Recovery | None]:
    """Return the registries; a change that was interrupted is settled first.

    Raises:
        BusyError: another change took longer than `WAIT_SECONDS` (exit 6).
    """
    settled = recover(stage_folder(repository), wait_seconds=WAIT_SECONDS)
    return read_library(repository), settled


def check_entries(repository: Repository) -> tuple[Library, tuple[Finding, ...], Recovery | None]:
    """Return the registries and every finding, the generated documents included; raises as `read_entries`."""
    contents, settled = read_entries(repository)
    own = (each.content for each in contents.schemas.types.values() if each.folder is None)
    tracked = check_tracked_files(repository, (*entry_pathspecs(repository.config), *file_pathspecs(*own)))
    found = (*check_contents(contents), *check_documents(repository, contents.schemas), *tracked)
    return contents, sorted_findings(found), settled


def add_entries(
    repository: Repository, given: Sequence[GivenEntry], asked: ChangeRequest, *, dry_run: bool
) -> WriteResult:
    """Add or update entries as one change; a plan that is refused, or a dry run, writes nothing.

    Raises:
        NotFoundError: there is no such type (exit 7).
        BusyError: another change took longer than `WAIT_SECONDS`, or a file changed meanwhile (exit 6).
        RefusedError: a file cannot be changed in a way that can be proven (exit 5).
        WriteError: the disk refused; nothing changed (exit 1).
    """
    with hold_stage(stage_folder(repository), wait_seconds=WAIT_SECONDS) as settled:
        contents = read_library(repository)
        change = plan_addition(repository, contents, [_typed(contents, each) for each in given], asked)
        return _write(repository, change, settled, dry_run=dry_run)


def remove_entries(repository: Repository, named: Sequence[tuple[str, str]], *, dry_run: bool) -> WriteResult:
    """Remove entries, each named by its type and key, as one change.

    Raises:
        NotFoundError: there is no such type or entry (exit 7).
        BusyError, RefusedError: as `add_entries`.
    """
    with hold_stage(stage_folder(repository), wait_seconds=WAIT_SECONDS) as settled:
        contents = read_library(repository)
        change = plan_removal(repository, contents, [(find_type(contents, name), key) for name, key in named])
        return _write(repository, change, settled, dry_run=dry_run)


def initialise_entries(repository: Repository) -> tuple[str, ...]:
    """Write the schemas that are not there and both generated documents; return what was written.

    Raises:
        BusyError, RefusedError: as `add_entries`.
    """
    with hold_stage(stage_folder(repository), wait_seconds=WAIT_SECONDS):
        files = entry_files(repository, read_schemas(repository))
        before = {path: read_own_file(repository.path(path), MAX_BYTES) for path in files}
        write_files(stage_folder(repository), {path: (before[path], data) for path, data in files.items()})
    return tuple(sorted(files))


def check_coordination(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Judge a captured registry of entries: its sealed files, among what the other registries hold now (SPEC 10).

    What an override lifts is a warning. Findings about the other registries are theirs to tell.
    """
    spec = _SPECS[sealed.registry_id]
    sealed_files = {path: report.kept[path] for path in artifacts_in(spec, report.kept)}
    schemas = read_schemas(repository)
    others, unread = read_entry_files(repository, schemas, but=FAMILY_OF[sealed.registry_id])
    contents = contents_of(repository, {**others, **sealed_files}, unread, schemas)
    return tuple(each for each in check_contents(contents) if each.path in sealed_files)


def _write(repository: Repository, change: Change, settled: Recovery | None, *, dry_run: bool) -> WriteResult:
    if change.refused or dry_run:
        return WriteResult(change, written=False, settled=settled)
    if change.files:
        write_files(stage_folder(repository), change.files)
    return WriteResult(change, written=True, settled=settled)


def _typed(contents: Library, given: GivenEntry) -> NewEntry:
    value = given.value if isinstance(given.value, Mapping) else {}
    is_family = given.type_name in FAMILIES
    chosen = choose_type(contents, given.type_name, value) if is_family else find_type(contents, given.type_name)
    return NewEntry(chosen, given.value, given.origin, given.node)  # type: ignore[arg-type]  # what is no mapping is told as EN001
