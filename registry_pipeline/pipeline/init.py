"""Set up a repository: the files that `init` writes, and their texts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import CONFIG_NAME, Repository, load_repository
from registry_pipeline.errors import BusyError, NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import create_file, overwrite_file, read_own_file, replace_file
from registry_pipeline.files.durable import make_folders, make_write_error
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.git.first_parent import read_first_commit_day
from registry_pipeline.git.repository import TEMPORARY_HOMES, is_tracked, read_top_level
from registry_pipeline.pipeline.config_text import format_config
from registry_pipeline.pipeline.run_root_search import RunRoot, SearchResult, find_run_roots
from registry_pipeline.pointers.state import read_chain
from registry_pipeline.registries.base.seal_build import STATE_NAMES, list_own_paths, refuse_linked_publish_root
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.sources import RUN_ROOTS, find_source_paths, list_sources
from registry_pipeline.runs.pointer_file import parse_pointer_file, read_pointer_bytes, read_pointers
from registry_pipeline.runs.reference import empty_pointer_file, pointer_file_bytes
from registry_pipeline.values import replace, value_type

OPERATIONS_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_OPERATIONS_ADDENDUM_v0_1.md"
COVERAGE_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_COVERAGE_ADDENDUM_v0_1.md"
# The git pattern of the temporary files that an atomic write creates beside the file.
TEMPORARY_FILES: Final = ".*.registry-pipeline.tmp"


@value_type
class LayerOperation:
    """One operation of registry-pipeline itself; `level` is its coverage level."""

    operation_id: str
    name: str
    purpose: str
    command: str
    level: str = "C3"


# The addenda are sources of op_status_table: a changed text changes the registries of every repository that runs
# `init` afterwards, and the known answers of the example.
# fmt: off
LAYER_OPERATIONS: Final = (
    LayerOperation("OP-QA07", "Run Registry Build", "List every run folder, one line each.", "build run_registry"),
    LayerOperation(
        "OP-QA08", "Operation Status Table Build",
        "Report for each operation its last run, the evidence of it, its age and its drift.", "build op_status_table"),
    LayerOperation(
        "OP-QA09", "Drift Signals Build",
        "Compare versions, thresholds and the tracked tree with what is expected.", "build drift_signals"),
    LayerOperation(
        "OP-QA10", "System Health Render",
        "Render the health report from the active registries.", "build system_health_report"),
    LayerOperation(
        "OP-QA11", "Registry Delta Log Build",
        "Append what changed between successive sealed snapshots.", "build registry_delta_log"),
    LayerOperation(
        "OP-QA12", "Governance Scorecard Build",
        "Count operations, coverage, executables and registries.", "build governance_scorecard"),
    LayerOperation(
        "OP-QA13", "Captured Snapshot Seal",
        "Seal a copy of a governed document or of what another operation made.", "build expected_versions"),
    LayerOperation(
        "OP-QA14", "Pointer Activation",
        "Record who activated which snapshot, when and why.", "activate REGISTRY RUN --reason TEXT"),
    LayerOperation(
        "OP-QA15", "Role Registry Build", "Seal the role pack and its contract surface.", "build role_registry"),
    LayerOperation(
        "OP-QA16", "Registry Entries Build",
        "Seal the module, route, ability and hook registries.", "build module_registry"),
    LayerOperation("OP-QA17", "Run Index Build", "Seal the run index and the log of overrides.", "build run_index"),
)
# fmt: on
_OPERATIONS_HEAD: Final = """\
# Allowed Operations: Addendum for the Registry Layer

**Version**: 0.1

The operations by which registry-pipeline observes itself. They are added to the base catalog, which they
do not change.

"""
_OPERATION: Final = """\
### {id} — {name}

| Field | Value |
|---|---|
| **Option** | QA |
| **Purpose** | {purpose} |
| **Command** | `registry-pipeline {command}` |
| **Evidence** | a sealed run folder with run.json, manifest.json and MANIFEST.sha256 |
"""
_COVERAGE_HEAD: Final = """\
# Enforcement Coverage: Addendum for the Registry Layer

**Version**: 0.1

| Operation | Enforced by | Coverage Level |
|---|---|---|
"""


def format_operations_addendum() -> str:
    """Return the addendum to the operations catalog."""
    sections = (
        _OPERATION.format(id=o.operation_id, name=o.name, purpose=o.purpose, command=o.command)
        for o in LAYER_OPERATIONS
    )
    return _OPERATIONS_HEAD + "\n".join(sections)


def format_coverage_addendum() -> str:
    """Return the addendum to the coverage matrix."""
    rows = (
        f"| {o.operation_id} {o.name} | seal, schema, registry rules, activation gate | **{o.level}** |\n"
        for o in LAYER_OPERATIONS
    )
    return _COVERAGE_HEAD + "".join(rows)


def list_git_attributes(run_roots: Iterable[str], pointers: str, logs: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the `.gitattributes` lines of evidence and append-only logs, whose line endings git must not convert."""
    # A converted line ending would break a seal, and would edit every record of a log.
    return tuple(f"{path} -text" for path in (*(f"{root}/**" for root in run_roots), pointers, *logs))


def list_used_run_roots(repository: Repository) -> list[str]:
    """Return publish_root and the other run roots that exist."""
    config = repository.config
    return [root for root in config.run_roots if root == config.publish_root or repository.path(root).is_dir()]


def list_git_ignores(
    publish_root: str, pointers: str, logs: Iterable[str] = (), *, track_runs: bool
) -> tuple[str, ...]:
    """Return the `.gitignore` lines: local state, caches of logs, unless `track_runs` run folders and pointer file."""
    state_root = publish_root.rpartition("/")[0]
    state = (f"/{state_root}/{name}" for name in STATE_NAMES)
    change_files = (f"/{pointers}.lock", f"/{pointers}.intent", TEMPORARY_FILES, TEMPORARY_HOMES)
    runs = () if track_runs else (f"/{publish_root}/", f"/{pointers}")
    # A torn tail of a log that was moved away is not ignored: somebody has to look at it.
    log_files = (f"/{path}.{suffix}" for path in logs for suffix in ("index.sqlite3*", "batch"))
    return (*state, *change_files, *runs, *log_files)


@value_type
class InitOutcome:
    """The files that `init` created or extended, relative to the repository, in the order of writing."""

    repository: Repository
    created: tuple[str, ...]
    search: SearchResult
    notes: tuple[str, ...]
    # Whether git tracks run folders and the pointer file, once they are committed; None outside git.
    track_runs: bool | None

    def find_unlisted_roots(self) -> tuple[RunRoot, ...]:
        """Return the run roots that were found and that the configuration does not name."""
        return tuple(root for root in self.search.roots if root.path not in self.repository.config.run_roots)


def prepare(root: Path, pointers: str | None = None) -> Repository:
    """Return the repository that `init` would set up, without writing anything; `pointers` is its pointer file.

    Raises:
        NotFoundError: `root` is not a folder (exit 7).
        ConfigError: its toml file is invalid (exit 2).
        RefusedError: publish_root is behind a link, or the toml file names another pointer file (exit 5).
    """
    if not root.is_dir():
        raise NotFoundError(f"{root} is not a folder", "create it first, or name another folder with -C")
    repository = load_repository(root)
    refuse_linked_publish_root(repository)
    if pointers is None or pointers == repository.config.pointers:
        return repository
    if (root / CONFIG_NAME).exists():
        raise RefusedError(
            f"{CONFIG_NAME} names the pointer file {repository.config.pointers}",
            f"set `pointers` in {CONFIG_NAME} to {pointers!r} first",
        )
    return replace(repository, config=replace(repository.config, pointers=pointers))


def search_run_roots(repository: Repository) -> SearchResult:
    """Return the run roots that exist: the configured ones, those of the pointer file, and those that look like one."""
    config = repository.config
    named = {ref.run_root for ref in read_pointers(repository).active_refs().values()}
    # A pointer file of another tool may name any folder, but no run root contains another.
    known = [*config.run_roots]
    for path in sorted(named):
        known += [] if _is_nested(path, known) else [path]
    # What a captured registry is made from may look like runs.
    sources = {path for name in list_sources(SHIPPED) if name != RUN_ROOTS for path in find_source_paths(config, name)}
    return find_run_roots(repository.root, known, {*list_own_paths(repository), *sources} - {*known})


def _is_nested(path: str, roots: Collection[str]) -> bool:
    return any(PurePosixPath(a).is_relative_to(b) for root in roots for a, b in ((path, root), (root, path)))


def find_tracked_evidence(repository: Repository) -> str | None:
    """Return publish_root or the pointer file if git tracks it, else None; NotFoundError if git cannot be asked."""
    evidence = (repository.config.publish_root, repository.config.pointers)
    return next((path for path in evidence if is_tracked(repository.root, path)), None)


def is_tracking_undecided(repository: Repository) -> bool:
    """Return whether the user has to decide if git tracks the runs: a checkout that is not set up and tracks none."""
    if (repository.root / CONFIG_NAME).exists() or read_top_level(repository.root) is None:
        return False
    return find_tracked_evidence(repository) is None


def initialize(
    root: Path,
    *,
    track_runs: bool | None,
    now: datetime,
    pointers: str | None = None,
) -> InitOutcome:
    """Create the toml file, the addenda, publish_root and the pointer file, and extend git's rule files.

    Existing files are kept; only missing lines of git's rule files and a missing `repository_id` are added. The addenda
    are created together with the toml file only. It names the run roots that `search_run_roots` finds, and `pointers`
    as the pointer file. If `track_runs` is None, git tracks the runs if it does so already. If it is True, the lines
    that ignore them are removed from .gitignore.

    Raises:
        NotFoundError: `root` is not a folder, or git cannot read it (exit 7).
        BusyError: a rule file of git was edited meanwhile (exit 6).
        RefusedError: publish_root is behind a link, a rule file of git is a link, or git tracks runs that shall be
            ignored (exit 5).
    """
    repository = prepare(root, pointers)
    # Ask git before writing: if git cannot read the repository, nothing is written.
    is_checkout = read_top_level(repository.root) is not None
    first_day = read_first_commit_day(repository.root)
    # Track both or none: a clone with one of them has pointers without evidence, or evidence without pointers.
    tracked = find_tracked_evidence(repository)
    if tracked is not None and track_runs is False:
        raise RefusedError(
            f"git tracks {tracked}, so its runs cannot be local",
            f"leave out --local-runs, or first run `git rm -r --cached {tracked}`",
        )
    # Only on request: a line that ignores runs although one is tracked may be the user's.
    is_requested, track_runs = track_runs is True, bool(track_runs or tracked)
    search = search_run_roots(repository)
    created: list[str] = []
    # (1) The toml file and the addenda that it names.
    if not (root / CONFIG_NAME).exists():
        created += _write_addenda_and_config(repository, first_day, search)
        repository = load_repository(root)
    if repository.config.repository_id is None:
        _add_repository_id(repository.root / CONFIG_NAME)
        repository = load_repository(root)
        created.append(CONFIG_NAME)
    # (2) publish_root and an empty pointer file.
    created += _create_publish_root_and_pointer_file(repository, now)
    # (3) Rules of git, in a checkout only.
    if is_checkout:
        created += _extend_git_rules(repository, track_runs=track_runs, may_remove=is_requested)
    notes = (*search.notes, *_list_pointer_file_notes(repository, search))
    return InitOutcome(
        repository=repository,
        created=tuple(dict.fromkeys(created)),
        search=search,
        notes=notes,
        track_runs=track_runs if is_checkout else None,
    )


def _list_pointer_file_notes(repository: Repository, search: SearchResult) -> Iterator[str]:
    """Yield what to do about pointer files of older tools: those that are not configured, and one with errors."""
    pointers = repository.config.pointers
    for path in search.pointer_files:
        if path != pointers:
            advice = f"set `pointers` in {CONFIG_NAME} to it and run `registry-pipeline init --adopt`"
            yield f"{path} has the name of a pointer file; to take it over, {advice}"
    data = read_pointer_bytes(repository)
    if data is None:
        yield f"{pointers} is missing: run `registry-pipeline doctor --fix` to restore it from the last record"
    # With records the chain says what the file should be.
    elif has_errors(parse_pointer_file(data, pointers)[1]) and not read_chain(repository).records:
        yield f"{pointers} has entries that cannot be used: run `registry-pipeline init --adopt` to take it over"


def _write_addenda_and_config(repository: Repository, first_day: date | None, search: SearchResult) -> list[str]:
    root = repository.root
    # The toml file comes last: after an interruption the next `init` starts over.
    addenda = {
        OPERATIONS_ADDENDUM_PATH: format_operations_addendum(),
        COVERAGE_ADDENDUM_PATH: format_coverage_addendum(),
    }
    created = [path for path, text in addenda.items() if _create_if_missing(root, path, text)]
    paths = (OPERATIONS_ADDENDUM_PATH, COVERAGE_ADDENDUM_PATH)
    text = format_config(repository, _make_repository_id_line(), paths, search.roots, first_day)
    _create_if_missing(root, CONFIG_NAME, text)
    return [CONFIG_NAME, *created]


def _make_repository_id_line() -> str:
    # A random id: two repositories must never have the same one.
    return f'repository_id = "{uuid.uuid4()}"'


def _add_repository_id(path: Path) -> None:
    """Insert a new id as the first line of a toml file: there it is a top-level key, whatever tables follow."""
    # Insert text instead of writing the parsed file, which would lose the user's comments and line endings.
    data = path.read_bytes()
    line_end = b"\r\n" if data.partition(b"\n")[0].endswith(b"\r") else b"\n"
    overwrite_file(path, _make_repository_id_line().encode() + line_end + data)


def _create_publish_root_and_pointer_file(repository: Repository, now: datetime) -> list[str]:
    created: list[str] = []
    if not repository.publish_root.is_dir():
        try:
            make_folders(repository.publish_root)
        except OSError as error:
            raise make_write_error(repository.publish_root, error) from None
        created.append(f"{repository.config.publish_root}/")
    # An empty file must not replace a state that activation records know; `doctor --fix` restores it.
    is_missing = not os.path.lexists(repository.pointer_path)
    if not is_missing or read_chain(repository).records:
        return created
    text = pointer_file_bytes(empty_pointer_file(utc_text(now))).decode("ascii")
    if _create_if_missing(repository.root, repository.config.pointers, text):
        created.append(repository.config.pointers)
    return created


def _extend_git_rules(repository: Repository, *, track_runs: bool, may_remove: bool) -> list[str]:
    """Add the missing lines to git's rule files; with `may_remove`, remove those that ignore the runs."""
    config = repository.config
    # Rules for logs that do not exist yet, too: the first append writes no rules of git.
    paths = (config.publish_root, config.pointers, (config.run_index.path, config.run_index.overrides))
    rules = {
        ".gitattributes": list_git_attributes(list_used_run_roots(repository), *paths[1:]),
        ".gitignore": list_git_ignores(*paths, track_runs=track_runs),
    }
    unwanted = {*list_git_ignores(*paths, track_runs=False)} - {*list_git_ignores(*paths, track_runs=True)}
    removed = frozenset(unwanted if may_remove else ())
    return [name for name, lines in rules.items() if _edit_lines(repository.root / name, lines, removed)]


def _edit_lines(path: Path, lines: Iterable[str], removed: Collection[str]) -> bool:
    """Append the lines that a file lacks, in their order, and remove others; return whether the file changed.

    Every other line keeps its bytes. A missing file is created.
    """
    before = read_own_file(path)
    old_lines = (before or b"").splitlines(keepends=True)
    texts = [line.decode("utf-8", "surrogateescape").strip() for line in old_lines]
    kept = b"".join(line for line, text in zip(old_lines, texts, strict=True) if text not in removed)
    missing = [line for line in lines if line not in texts]
    if not missing and len(kept) == len(before or b""):
        return False
    separator = b"" if not kept or kept.endswith(b"\n") else b"\n"
    after = kept + separator + "".join(f"{line}\n" for line in missing).encode()
    replace_file(path, after, None if before is None else sha256_hex(before))
    return True


def _create_if_missing(root: Path, relative: str, text: str) -> bool:
    """Create a file unless there is one, or a link; return False if another `init` has just created it."""
    path = root / relative
    if os.path.lexists(path):
        return False
    try:
        create_file(path, text.encode())
    except BusyError:
        return False
    return True
