"""The operations on registry entries that commands use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.files.atomic_write import read_own_file
from registry_pipeline.files.transaction import Recovery, StageFolder, hold_stage, recover, write_files
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.drift import check_tracked_files, make_pathspecs
from registry_pipeline.registries.base.sealed_input import find_artifacts
from registry_pipeline.registries.entries import SPECS
from registry_pipeline.registries.entries.change_plan import (
    Change,
    ChangeRequest,
    choose_type,
    find_type,
    plan_addition,
    plan_removal,
)
from registry_pipeline.registries.entries.documents import check_documents, make_initial_files
from registry_pipeline.registries.entries.library import Entry, Library, make_library, read_entry_files, read_library
from registry_pipeline.registries.entries.rules import check_library
from registry_pipeline.registries.entries.schemas import FAMILIES, FAMILY_OF, make_entry_pathspecs, read_entry_schemas
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import YamlNode
from registry_pipeline.yaml.document import MAX_BYTES

# How long a command waits for another change to end.
WAIT_SECONDS: Final = 30.0


@value_type
class GivenEntry:
    """An entry as the user gave it; its type may be a family, and `origin` names the source that it was read from."""

    type_name: str
    value: Any
    origin: str
    node: YamlNode | None = None


@value_type
class WriteResult:
    """The result of a change: `written` unless refused or a dry run; `settled` is the recovery of an earlier one."""

    change: Change
    written: bool
    settled: Recovery | None


def stage_folder(repository: Repository) -> StageFolder:
    """Return the folder in which changes are staged, beside publish_root."""
    return StageFolder(repository.root, repository.state_root / "entries", "change of registry entries", MAX_BYTES)


def recover_and_read_library(repository: Repository) -> tuple[Library, Recovery | None]:
    """Complete or undo an interrupted change, then return the registries and that recovery (None: nothing to do).

    Raises:
        BusyError: another change took longer than `WAIT_SECONDS` (exit 6).
    """
    recovery = recover(stage_folder(repository), wait_seconds=WAIT_SECONDS)
    return read_library(repository), recovery


def check_entries(repository: Repository) -> tuple[Library, tuple[Finding, ...], Recovery | None]:
    """Return the registries, all findings about them, their documents and their files in git, and the recovery."""
    library, recovery = recover_and_read_library(repository)
    # git must have every content file, those of the types that the repository defines too.
    own = (entry_type.content for entry_type in library.schemas.types.values() if entry_type.folder is None)
    tracked = check_tracked_files(repository, (*make_entry_pathspecs(repository.config), *make_pathspecs(*own)))
    findings = (*check_library(library), *check_documents(repository, library.schemas), *tracked)
    return library, sorted_findings(findings), recovery


def add_entries(
    repository: Repository, given: Sequence[GivenEntry], request: ChangeRequest, *, dry_run: bool
) -> WriteResult:
    """Add or update entries as one change; a refused plan and a dry run write nothing.

    Raises:
        NotFoundError: there is no such type or, with `request.existing_only`, no such entry (exit 7).
        BusyError: another change took longer than `WAIT_SECONDS`, or a file changed meanwhile (exit 6).
        RefusedError: a file cannot be changed with a verified result (exit 5).
        WriteError: writing failed; nothing changed (exit 1).
    """

    def plan(library: Library) -> Change:
        return plan_addition(library, [_make_entry(library, entry) for entry in given], request)

    return _plan_and_write(repository, plan, dry_run=dry_run)


def remove_entries(repository: Repository, names: Sequence[tuple[str, str]], *, dry_run: bool) -> WriteResult:
    """Remove entries, each named by its type and key, as one change.

    Raises:
        NotFoundError: there is no such type or entry (exit 7).
        BusyError, RefusedError, WriteError: as `add_entries`.
    """

    def plan(library: Library) -> Change:
        return plan_removal(library, [(find_type(library, name), key) for name, key in names])

    return _plan_and_write(repository, plan, dry_run=dry_run)


def initialise_entries(repository: Repository) -> tuple[str, ...]:
    """Recover, write missing schemas and missing or outdated documents, and return the paths of written files."""
    with hold_stage(stage_folder(repository), wait_seconds=WAIT_SECONDS):
        files = make_initial_files(repository, read_entry_schemas(repository))
        before = {path: read_own_file(repository.path(path), MAX_BYTES) for path in files}
        write_files(stage_folder(repository), {path: (before[path], data) for path, data in files.items()})
    return tuple(sorted(files))


def check_coordination(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings about the sealed files of one registry, checked with the present files of the others."""
    # The other registries report the findings about their own files.
    artifacts = find_artifacts(SPECS[sealed.registry_id], report.kept)
    sealed_files = {path: report.kept[path] for path in artifacts}
    schemas = read_entry_schemas(repository)
    others, unreadable = read_entry_files(repository, schemas, without_family=FAMILY_OF[sealed.registry_id])
    library = make_library(repository, {**others, **sealed_files}, unreadable, schemas)
    return tuple(f for f in check_library(library) if f.path in sealed_files)


def _plan_and_write(repository: Repository, plan: Callable[[Library], Change], *, dry_run: bool) -> WriteResult:
    """Recover, read the registries, plan, and write the plan unless it is refused or a dry run: under one lock."""
    with hold_stage(stage_folder(repository), wait_seconds=WAIT_SECONDS) as recovery:
        # The registries are read under the lock: the plan is made for the files that it changes.
        change = plan(read_library(repository))
        is_written = not (change.refused or dry_run)
        if is_written and change.files:
            write_files(stage_folder(repository), change.files)
        return WriteResult(change, is_written, recovery)


def _make_entry(library: Library, given: GivenEntry) -> Entry:
    # The plan reports a value that is not a mapping (EN001).
    name, value = given.type_name, given.value if isinstance(given.value, Mapping) else {}
    chosen = choose_type(library, name, value) if name in FAMILIES else find_type(library, name)
    return Entry(chosen, chosen.key_of(value) or "", given.value, given.origin, given.node)
