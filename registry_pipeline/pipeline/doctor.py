"""Find what is wrong with a repository, and repair what can be repaired without loss."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, parse_instant, parse_strict_json
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.files.atomic_write import is_temporary, remove_temporary
from registry_pipeline.files.durable import make_write_error
from registry_pipeline.files.lock import is_locked
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.findings.line_ends import make_converted_finding
from registry_pipeline.git.first_parent import read_default_branch
from registry_pipeline.git.repository import read_ignored_paths, read_text_attributes
from registry_pipeline.pipeline.growth import Growth, measure_growth
from registry_pipeline.pipeline.init import list_git_ignores, list_used_run_roots
from registry_pipeline.pipeline.inspect import Inspection
from registry_pipeline.pipeline.rebuild import render_after_change
from registry_pipeline.pipeline.status import inspect_with_git
from registry_pipeline.pointers.recovery import complete_pending, remove_leftovers, restore_pointer_file, void_records
from registry_pipeline.pointers.state import intent_path, read_chain_state
from registry_pipeline.registries.base.drift import make_git_unreadable_finding
from registry_pipeline.registries.base.seal_build import BuildRun, refuse_linked_publish_root
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.base.upstream import parse_run_rows
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.entries.library import find_content_paths
from registry_pipeline.registries.entries.schemas import AGENTS_PATH, COORDINATION_PATH, ENTRY_TYPES, SCHEMA_FOLDER
from registry_pipeline.registries.run_registry.archives import read_archived_runs
from registry_pipeline.runs.scan import list_run_folder_names
from registry_pipeline.runs.sealed_run import Refusal
from registry_pipeline.runs.writer import find_leftovers, quarantine_folder
from registry_pipeline.stale_limits import ProposedLimit, propose_limit
from registry_pipeline.values import asdict, replace, value_type

_LOG_TAIL: Final = 1 << 20


def find_temporary_files(repository: Repository) -> tuple[Path, ...]:
    """Return the temporary files of atomic writes that no writer uses, in the folders of known files."""
    # Only folders of known files are searched: the whole tree may be large, and is not ours.
    folders = {repository.path(path).parent for path in _list_known_files(repository)}
    folders.update(_list_other_folders(repository))
    return tuple(path for folder in sorted(folders) for path in _list_temporary_files(folder) if not is_locked(path))


def _list_known_files(repository: Repository) -> Iterator[str]:
    config = repository.config
    yield from (CONFIG_NAME, config.pointers, config.roles.pack, config.run_index.path, config.run_index.overrides)
    yield from (*config.operations_catalog, *config.coverage_matrix, AGENTS_PATH, COORDINATION_PATH)
    yield from find_content_paths(repository, ENTRY_TYPES.values())


def _list_other_folders(repository: Repository) -> Iterator[Path]:
    """Yield the folders of entries, schemas, quarantine, Dagster and recent run logs, whether they exist or not."""
    entries = repository.config.entries
    yield from map(repository.path, (entries.modules, entries.abilities_low, entries.abilities_high, entries.hooks))
    yield from map(repository.path, (entries.routes, SCHEMA_FOLDER))
    yield from (repository.state_root / "quarantine", repository.dagster_home)
    yield from _list_run_log_folders(repository)


def _list_run_log_folders(repository: Repository) -> Iterator[Path]:
    """Yield the folders of the newest run logs inside the repository."""
    try:
        with repository.path(repository.config.run_index.path).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
            lines = log.read().split(b"\n")
    except OSError:
        return  # `run-index check` reports a log that cannot be read
    # The first line may be cut. Lines that cannot be parsed are reported by `run-index check` as well.
    for line in lines:
        with suppress(StrictJsonError, KeyError, TypeError):
            folder = Path(parse_strict_json(line)["run_log_filepath_abs"]).parent
            if folder.is_relative_to(repository.root):
                yield folder


def _list_temporary_files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if is_temporary(e.name) and e.is_file(follow_symlinks=False)]
    except OSError:
        return []  # the folder is missing, or the command that needs it reports why it cannot be read
    return [folder / name for name in sorted(names)]


@value_type
class RepairOptions:
    """What to do with a pending record or a fork: `finish` it, or `void` the named records, by whom and why."""

    actor: str
    reason: str = ""
    finish: bool = False
    void: tuple[str, ...] = ()


@value_type
class Repair:
    """One thing that `doctor --fix` did: the code of the repaired finding, its path, and the action."""

    code: str
    path: str
    done: str


@value_type
class DoctorDocument:
    """What was repaired, what was refused and why, what remains, growth, and limits for `[stale_days]`."""

    findings: tuple[Finding, ...]
    growth: Growth
    repairs: tuple[Repair, ...] = ()
    refused: tuple[Finding, ...] = ()
    proposed_limits: tuple[ProposedLimit, ...] = ()
    default_limit: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the document of `doctor --json`."""
        return {
            "mended": [asdict(repair) for repair in self.repairs],
            "refused": [finding.to_json() for finding in self.refused],
            "findings": [finding.to_json() for finding in self.findings],
            "growth": self.growth.to_json(),
            "proposed_limits": [asdict(limit) for limit in self.proposed_limits],
        }


def diagnose(repository: Repository, now: datetime) -> DoctorDocument:
    """Return every finding on pointers, chain, active runs, archives, leftovers and git's rules, growth, and limits.

    Raises as `inspect_with_git`.
    """
    _, inspection, findings = inspect_with_git(repository, now)
    leftovers = [("DOCTOR_TEMPORARY_LEFTOVER", path) for path in find_temporary_files(repository)]
    leftovers += [("DOCTOR_STAGING_LEFTOVER", path) for path in find_leftovers(repository.staging_root)]
    # While a change is pending, its intent is needed to finish it.
    intent = intent_path(repository.pointer_path)
    if inspection.chain.state in ("committed", "not_chained") and intent.is_file():
        leftovers.append(("DOCTOR_INTENT_LEFTOVER", intent))
    surroundings = [finding(code, _relative_to_root(repository, path)) for code, path in leftovers]
    try:
        surroundings += [*_check_line_ends(repository), *_check_ignores(repository), *_check_history_start(repository)]
    except NotFoundError as error:
        # `inspect_with_git` has already reported that git cannot read the repository, unless git failed just now.
        unreadable = make_git_unreadable_finding(error)
        surroundings += [unreadable] if unreadable.code not in {f.code for f in findings} else []
    surroundings += read_archived_runs(repository).findings
    return DoctorDocument(
        sorted_findings((*findings, *surroundings)),
        measure_growth(repository),
        proposed_limits=tuple(_propose_limits(repository, inspection)),
        default_limit=repository.config.stale_days.default,
    )


def _propose_limits(repository: Repository, inspection: Inspection) -> Iterator[ProposedLimit]:
    """Yield a limit for each operation of the active status table that is stale between its usual runs."""
    snapshot, days = inspection.active.get("run_registry"), defaultdict[str, set[date]](set)
    if snapshot is None or snapshot.verdict is None:
        return
    # A run registry that does not verify is a finding already.
    with suppress(EvidenceError):
        spec = catalog_of(repository).spec_of("run_registry")
        for run in parse_run_rows(read_sealed_report(repository, spec, snapshot.ref).kept[spec.artifact]):
            created = parse_instant(run.created_utc)
            if run.operation_id is not None and created is not None:
                days[run.operation_id].add(created.astimezone(UTC).date())
    for row in inspection.status_rows or ():
        name, limits = row["operation_id"], repository.config.stale_days
        proposed = propose_limit(name, row["option"], days[name], limits)
        if proposed is not None:
            yield proposed


def _check_line_ends(repository: Repository) -> Iterator[Finding]:
    """Yield a finding for each run root and the pointer file if git may convert, or has converted, line endings."""
    pointers, roots = repository.config.pointers, list_used_run_roots(repository)
    # A file that stands for every sealed file, also of future runs.
    paths = {f"{root}/RUN/manifest.json": root for root in roots} | {pointers: pointers}
    attributes = read_text_attributes(repository.root, tuple(paths)) or {}
    for path, reported_path in paths.items():
        if attributes.get(path, "unset") != "unset":
            yield finding("DOCTOR_LINE_ENDS", reported_path, detail=attributes[path])
    for run_root, names in list_run_folder_names(repository, roots, lambda _root, _error: None):
        count = sum(_has_converted_hashes(repository.path(f"{run_root}/{name}/{SEAL_FILES[1]}")) for name in names)
        if count:
            # Only what is active is verified here; an error of that is reported besides.
            yield make_converted_finding(run_root, count, Severity.WARNING)


def _has_converted_hashes(path: Path) -> bool:
    """Return whether the first line of a list of hashes ends with CRLF, which no writer of such lists uses."""
    try:
        return read_regular_file(path, follow_links=False).partition(b"\n")[0].endswith(b"\r")
    except OSError:
        return False  # there is no seal, or `verify` reports that it cannot be read


def _check_ignores(repository: Repository) -> Iterable[Finding]:
    """Return a finding for each path of local state that git does not ignore."""
    config = repository.config
    lines = list_git_ignores(config.publish_root, config.pointers, track_runs=True)
    paths = [line.strip("/") for line in lines]
    # Git refuses to look beyond a link. That is a finding of its own.
    paths = [path for path in paths if not any((repository.root / p).is_symlink() for p in PurePosixPath(path).parents)]
    ignored = read_ignored_paths(repository.root, paths)
    return [] if ignored is None else [finding("DOCTOR_NOT_IGNORED", path) for path in paths if path not in ignored]


def _check_history_start(repository: Repository) -> Iterator[Finding]:
    if repository.config.history_start is None and read_default_branch(repository.root) is not None:
        yield finding("CONFIG_HISTORY_START", CONFIG_NAME)


def repair(repository: Repository, run: BuildRun, options: RepairOptions) -> DoctorDocument:
    """Repair what needs no decision, resolve a pending record or a fork as the options say, and diagnose again.

    If that record is refused, the other repairs are made all the same.

    Raises:
        BusyError: another change holds the lock. NotFoundError: `options` name an unknown record.
        RefusedError: the options cannot be followed, or publish_root is behind a link.
    """
    refuse_linked_publish_root(repository)
    repairs: list[Repair] = []
    refused: tuple[Finding, ...] = ()
    not_rendered: tuple[Finding, ...] = ()
    # (1) A pending record or a fork. Only on request: nothing is ever completed or voided by itself.
    if options.finish or options.void:
        repairs, refused, not_rendered = _resolve_records(repository, run, options)
    # (2) A pointer file that is not that of the last record.
    restored = _restore_pointer_file(repository)
    if isinstance(restored, Refusal):
        refused = (*refused, *restored.findings)
    else:
        repairs += restored
    # (3) Leftovers of writers that were killed.
    repairs += _remove_leftovers(repository)
    remaining = diagnose(repository, run.started)
    findings = sorted_findings((*remaining.findings, *not_rendered))
    return replace(remaining, findings=findings, repairs=tuple(repairs), refused=refused)


def _resolve_records(
    repository: Repository, run: BuildRun, options: RepairOptions
) -> tuple[list[Repair], tuple[Finding, ...], tuple[Finding, ...]]:
    """Finish or void records, and return the repairs, the findings of a refusal, and why no report was rendered."""
    chain_findings = read_chain_state(repository).findings
    if options.finish:
        outcome = complete_pending(repository)
    else:
        outcome = void_records(repository, run, options.void, actor=options.actor, reason=options.reason)
    if isinstance(outcome, Refusal):
        return [], outcome.findings, ()
    if outcome is None:
        return [], (), ()
    repaired = [f for f in chain_findings if f.code in ("CHAIN_PENDING", "CHAIN_FORK", "CHAIN_DETACHED")]
    locations = [(f.code, f.path) for f in repaired] or [("CHAIN_PENDING", outcome.record.path)]
    action = "finished" if options.finish else f"voided by {outcome.record.run_id}"
    repairs = [Repair(code, path, action) for code, path in locations]
    if not options.finish or not outcome.moves:
        return repairs, (), ()
    report, not_rendered = render_after_change(repository, run)
    if report is not None:
        repairs.append(Repair("CHAIN_PENDING", report.ref.path, "rendered the report"))
    return repairs, (), not_rendered


def _restore_pointer_file(repository: Repository) -> list[Repair] | Refusal:
    """Restore the pointer file to the state of the last record if it was rewound or edited; return what was done."""
    chain = read_chain_state(repository)
    if chain.state not in ("rewound", "edited") or chain.head is None:
        return []
    replaced = restore_pointer_file(repository, repository.state_root / "quarantine")
    if isinstance(replaced, Refusal):
        return replaced
    if replaced is None:
        return []
    code = "POINTER_REWOUND" if chain.state == "rewound" else "POINTER_EDITED"
    kept = "; its previous content is in quarantine" if replaced else ""
    return [Repair(code, repository.config.pointers, f"restored the state of {chain.head.ref.run_id}{kept}")]


def _remove_leftovers(repository: Repository) -> Iterator[Repair]:
    """Remove temporary files and a leftover intent, move leftovers of staging to quarantine; yield each repair."""
    for path in find_temporary_files(repository):
        try:
            is_removed = remove_temporary(path)
        except OSError as error:
            raise make_write_error(path, error) from None
        if is_removed:
            yield Repair("DOCTOR_TEMPORARY_LEFTOVER", _relative_to_root(repository, path), "removed")
    intent = intent_path(repository.pointer_path)
    if intent.is_file() and remove_leftovers(repository):
        yield Repair("DOCTOR_INTENT_LEFTOVER", _relative_to_root(repository, intent), "removed")
    for leftover in find_leftovers(repository.staging_root):
        target = quarantine_folder(leftover, repository.state_root / "quarantine")
        action = f"moved to {_relative_to_root(repository, target)}"
        yield Repair("DOCTOR_STAGING_LEFTOVER", _relative_to_root(repository, leftover), action)


def _relative_to_root(repository: Repository, path: Path) -> str:
    return path.relative_to(repository.root).as_posix()
